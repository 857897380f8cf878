/** The statement in which the cursor stands. Pure: quoted and dollar-quoted text and comments are skipped whole. */

const SKIPPED = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$|;/g;

export function statementAt(script: string, cursor: number): { readonly text: string; readonly offset: number } {
  let start = 0;
  for (const { 0: token, index } of script.matchAll(SKIPPED)) {
    if (token !== ";") continue;
    if (cursor <= index + 1) return { text: script.slice(start, index), offset: start };
    start = index + 1;
  }
  return { text: script.slice(start), offset: start };
}
