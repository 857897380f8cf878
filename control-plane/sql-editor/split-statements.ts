/**
 * Cuts a script into its statements, as psql does. Nothing relies on a cut for safety: each piece is sent as a single
 * statement by the extended protocol, which refuses two in one, and the transaction's state is checked after each.
 */

export interface ScriptStatement {
  readonly text: string;
  /** Characters of the script before it: positions in its errors are moved by this. */
  readonly offset: number;
}

/** Quoted text, dollar-quoted text and comments are skipped whole; what never ends reaches to the end of the script. */
export function splitStatements(script: string): ScriptStatement[] {
  const statements: ScriptStatement[] = [];
  let start = 0;
  let index = 0;
  const push = (end: number) => {
    const text = script.slice(start, end);
    if (hasContent(text)) statements.push({ text, offset: start });
    start = end + 1;
  };
  while (index < script.length) {
    if (script[index] === ";") push(index++);
    else index = skipToken(script, index);
  }
  push(script.length);
  return statements;
}

/** Index behind what begins at `index`: a quoted text, a comment, a word, or one character. */
function skipToken(script: string, index: number): number {
  const character = script[index] ?? "";
  if (character === "'")
    return skipQuoted(script, index, "'", /[eE]/.test(script[index - 1] ?? "") && isPrefix(script, index - 1));
  if (character === '"') return skipQuoted(script, index, '"', false);
  if (character === "-" && script[index + 1] === "-") return indexAfter(script, "\n", index);
  if (character === "/" && script[index + 1] === "*") return skipBlockComment(script, index);
  if (character === "$") return skipDollarQuoted(script, index);
  return index + 1;
}

/** Whether the `e` before a quote stands alone, as in `E'…'`, and does not end a word. */
function isPrefix(script: string, index: number): boolean {
  return !/[\w$\u0080-\uffff]/.test(script[index - 1] ?? "");
}

function skipQuoted(script: string, start: number, quote: string, hasEscapes: boolean): number {
  let index = start + 1;
  while (index < script.length) {
    if (hasEscapes && script[index] === "\\") index += 2;
    else if (script[index] !== quote) index += 1;
    else if (script[index + 1] === quote) index += 2;
    else return index + 1;
  }
  return script.length;
}

/** Block comments nest in SQL. */
function skipBlockComment(script: string, start: number): number {
  let depth = 0;
  let index = start;
  while (index < script.length) {
    const two = script.slice(index, index + 2);
    if (two === "/*") depth += 1;
    else if (two === "*/") depth -= 1;
    index += two === "/*" || two === "*/" ? 2 : 1;
    if (depth === 0) return index;
  }
  return script.length;
}

const DOLLAR_TAG = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;

function skipDollarQuoted(script: string, start: number): number {
  if (/[\w$\u0080-\uffff]/.test(script[start - 1] ?? "")) return start + 1; // part of a name, such as a$b$
  DOLLAR_TAG.lastIndex = start;
  const tag = DOLLAR_TAG.exec(script)?.[0];
  return tag ? indexAfter(script, tag, start + tag.length) : start + 1;
}

function indexAfter(script: string, text: string, from: number): number {
  const found = script.indexOf(text, from);
  return found === -1 ? script.length : found + text.length;
}

function hasContent(text: string): boolean {
  return startOfContent(text) < text.length;
}

/** Index behind white space and comments. */
function startOfContent(text: string): number {
  let index = 0;
  while (index < text.length) {
    const isComment = text.startsWith("--", index) || text.startsWith("/*", index);
    if (isComment) index = skipToken(text, index);
    else if (/\s/.test(text[index] ?? "")) index += 1;
    else break;
  }
  return index;
}

/** Of one statement, in lower case; empty when it begins with something else than a word. */
export function firstWord(text: string): string {
  return /^[a-z]+/i.exec(text.slice(startOfContent(text)))?.[0].toLowerCase() ?? "";
}
