/**
 * The glob patterns of a project's redirect allow-list. Both pattern and text come from outside, so matching never
 * backtracks: it walks the text once with the set of pattern positions that are still possible, O(pattern × text).
 *
 * `*` any run without `.` and `/`, `**` any run, `?` one character other than these, `[abc]` `[a-z]` `[!a]` a class,
 * `{a,b}` alternatives, `\` takes the next character as it is.
 */
type Step =
  | { readonly kind: "one"; readonly accepts: (character: string) => boolean; readonly next: number }
  | { readonly kind: "fork"; readonly next: readonly number[] }
  | { readonly kind: "accept" };

/** Takes what it costs from the budget; false when that is used up. */
export type Glob = (text: string, budget?: GlobBudget) => boolean;

/** Steps that may still be taken, by all patterns that are tried on one text: positions of a pattern times characters. */
export interface GlobBudget {
  stepsLeft: number;
}

/** A usual pattern takes three steps a character, and most end at the first that differs. */
export function globBudget(): GlobBudget {
  return { stepsLeft: 100_000 };
}

const notSeparator = (character: string): boolean => character !== "." && character !== "/";
const anything = (): boolean => true;

/** Null when the pattern is malformed: it then matches nothing. */
export function compileGlob(pattern: string): Glob | null {
  const compiler = new GlobCompiler([...pattern]);
  try {
    const start = compiler.compile();
    return (text, budget = globBudget()) => run(compiler.steps, start, text, budget);
  } catch (error) {
    if (error instanceof MalformedGlob) return null;
    throw error;
  }
}

class MalformedGlob extends Error {}

/** Builds the steps back to front: each construct is compiled knowing the step that follows it. */
class GlobCompiler {
  readonly steps: Step[] = [];
  readonly #pattern: readonly string[];
  #position = 0;

  constructor(pattern: readonly string[]) {
    this.#pattern = pattern;
  }

  compile(): number {
    const parts = this.#readSequence(false);
    return this.#chain(parts, this.#add({ kind: "accept" }));
  }

  #add(step: Step): number {
    return this.steps.push(step) - 1;
  }

  #chain(parts: readonly ((next: number) => number)[], end: number): number {
    return parts.reduceRight((next, part) => part(next), end);
  }

  #readSequence(inBraces: boolean): ((next: number) => number)[] {
    const parts: ((next: number) => number)[] = [];
    while (this.#position < this.#pattern.length) {
      const character = this.#pattern[this.#position] ?? "";
      if (inBraces && (character === "," || character === "}")) break;
      this.#position++;
      parts.push(this.#readPart(character));
    }
    return parts;
  }

  #readPart(character: string): (next: number) => number {
    switch (character) {
      case "*":
        return this.#readStar();
      case "?":
        return (next) => this.#add({ kind: "one", accepts: notSeparator, next });
      case "[": {
        const accepts = this.#readClass();
        return (next) => this.#add({ kind: "one", accepts, next });
      }
      case "{":
        return this.#readAlternatives();
      case "\\": {
        const escaped = this.#take();
        return (next) => this.#add({ kind: "one", accepts: (given) => given === escaped, next });
      }
      default:
        return (next) => this.#add({ kind: "one", accepts: (given) => given === character, next });
    }
  }

  #readStar(): (next: number) => number {
    const isDouble = this.#pattern[this.#position] === "*";
    if (isDouble) this.#position++;
    const accepts = isDouble ? anything : notSeparator;
    return (next) => {
      const fork = this.#add({ kind: "accept" }); // replaced below, once its own loop is known
      this.steps[fork] = { kind: "fork", next: [this.#add({ kind: "one", accepts, next: fork }), next] };
      return fork;
    };
  }

  #readClass(): (character: string) => boolean {
    const isNegated = this.#pattern[this.#position] === "!";
    if (isNegated) this.#position++;
    const ranges: [string, string][] = [];
    for (;;) {
      const low = this.#take();
      if (low === "]" && ranges.length > 0) break;
      const hasHigh = this.#pattern[this.#position] === "-" && this.#pattern[this.#position + 1] !== "]";
      if (hasHigh) this.#position++;
      ranges.push([low, hasHigh ? this.#take() : low]);
    }
    return (character) => ranges.some(([low, high]) => low <= character && character <= high) !== isNegated;
  }

  #readAlternatives(): (next: number) => number {
    const alternatives: ((next: number) => number)[][] = [];
    do {
      alternatives.push(this.#readSequence(true));
    } while (this.#take() === ",");
    return (next) => {
      const starts = alternatives.map((parts) => this.#chain(parts, next));
      return this.#add({ kind: "fork", next: starts });
    };
  }

  #take(): string {
    const character = this.#pattern[this.#position++];
    if (character === undefined) throw new MalformedGlob();
    return character;
  }
}

function run(steps: readonly Step[], start: number, text: string, budget: GlobBudget): boolean {
  let current = reachable(steps, [start]);
  for (const character of text) {
    budget.stepsLeft -= current.size;
    if (budget.stepsLeft < 0) return false;
    const following: number[] = [];
    for (const index of current) {
      const step = steps[index];
      if (step?.kind === "one" && step.accepts(character)) following.push(step.next);
    }
    current = reachable(steps, following);
    if (current.size === 0) return false;
  }
  return [...current].some((index) => steps[index]?.kind === "accept");
}

/** The given positions and all that can be reached from them without a character. */
function reachable(steps: readonly Step[], from: readonly number[]): ReadonlySet<number> {
  const seen = new Set<number>();
  const waiting = [...from];
  for (let index = waiting.pop(); index !== undefined; index = waiting.pop()) {
    if (seen.has(index)) continue;
    seen.add(index);
    const step = steps[index];
    if (step?.kind === "fork") waiting.push(...step.next);
  }
  return seen;
}
