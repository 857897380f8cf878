/**
 * Approximate look-up of names for hints: candidates by the cosine of their letter groups, ranked by edit distance
 * (the fuzzyset method, which the original uses; so the same hints come out).
 */

const MIN_SCORE = 0.33;
const GROUP_SIZES = [3, 2];
/** Candidates whose edit distance is worked out. */
const MAX_RANKED = 50;
/** The work grows with both, and both are in a stranger's hand: beyond these there is no hint. */
const MAX_CANDIDATES = 500;
const MAX_TEXT_LENGTH = 256;

export interface FuzzyMatch {
  readonly text: string;
  /** From 0 to 1; 1 is equal but for the case of letters. */
  readonly score: number;
}

/** Best match first; nothing below a score of 0.33. */
export function fuzzyMatches(candidates: readonly string[], text: string): readonly FuzzyMatch[] {
  if (candidates.length > MAX_CANDIDATES || text.length > MAX_TEXT_LENGTH) return [];
  const wanted = text.toLowerCase();
  const exact = candidates.find((candidate) => candidate.toLowerCase() === wanted);
  if (exact !== undefined) return [{ text: exact, score: 1 }];
  for (const size of GROUP_SIZES) {
    const matches = matchesBySize(candidates, wanted, size);
    if (matches.length > 0) return matches;
  }
  return [];
}

function matchesBySize(candidates: readonly string[], wanted: string, size: number): readonly FuzzyMatch[] {
  const groups = letterGroups(wanted, size);
  const length = vectorLength(groups);
  const similar: FuzzyMatch[] = [];
  for (const text of candidates) {
    if (!canBeLike(text, wanted)) continue;
    const other = letterGroups(text.toLowerCase(), size);
    let product = 0;
    for (const [group, count] of groups) product += count * (other.get(group) ?? 0);
    if (product > 0) similar.push({ text, score: product / (length * vectorLength(other)) });
  }
  return similar
    .sort(byScore)
    .slice(0, MAX_RANKED)
    .map(({ text }) => ({ text, score: likeness(text.toLowerCase(), wanted) }))
    .filter(({ score }) => score >= MIN_SCORE)
    .sort(byScore);
}

/** Texts are at least as far apart as their lengths: parameter lists may be much longer than what was asked for. */
function canBeLike(text: string, wanted: string): boolean {
  return Math.min(text.length, wanted.length) >= MIN_SCORE * Math.max(text.length, wanted.length);
}

function byScore(left: FuzzyMatch, right: FuzzyMatch): number {
  return right.score - left.score;
}

function letterGroups(text: string, size: number): ReadonlyMap<string, number> {
  const letters = [..."-", ...text.replace(/[^\p{L}\p{N} ,]/gu, ""), "-"];
  while (letters.length < size) letters.push("-");
  const groups = new Map<string, number>();
  for (let index = 0; index + size <= letters.length; index += 1) {
    const group = letters.slice(index, index + size).join("");
    groups.set(group, (groups.get(group) ?? 0) + 1);
  }
  return groups;
}

function vectorLength(groups: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of groups.values()) sum += count * count;
  return Math.sqrt(sum);
}

function likeness(left: string, right: string): number {
  const longest = Math.max(left.length, right.length);
  return longest === 0 ? 1 : 1 - editDistance(left, right) / longest;
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const substitution = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
