/** docs/reference.md: the tables that are printed from their catalogues, so that they cannot fall behind. */
import { printVariables } from "../control-plane/client/environment-variables.ts";
import { ENVIRONMENT as CONTROL_PLANE } from "../control-plane/environment.ts";
import { ERROR_CODES } from "../control-plane/errors.ts";
import { ENVIRONMENT as DATA_PLANE } from "../data-plane/environment.ts";
import { ENVIRONMENT as GATEWAY } from "../gateway/environment.ts";
import { ERROR_CATALOGUE } from "../gateway/errors.ts";
import { ENVIRONMENT as STANDALONE } from "./environment.ts";

export const REFERENCE_PATH = "docs/reference.md";

/** Markdown. */
export function printReference(): string {
  return `# Reference

Printed by \`npm run reference:print\` from the catalogues in the code; a test fails when it is out of date.

A variable that holds a secret can be given as a file instead: \`<NAME>_FILE\` is the path of a file with the value, of
which one newline at the end is left out. Both at once are refused, and so is a file that cannot be read or is empty;
messages name the file, never what is in it.

## Environment of \`npm start\` and of the command line

${printVariables(STANDALONE)}

## Environment of the control plane as a process of its own (\`node control-plane/main.ts\`)

${printVariables(CONTROL_PLANE)}

## Environment of a gateway as a process of its own (\`node gateway/main.ts\`)

${printVariables(GATEWAY)}

## Environment of data-plane services as a process of their own (\`node data-plane/main.ts\`)

${printVariables(DATA_PLANE)}

## Error codes of the GraphQL API (\`extensions.code\`)

${table(["Code", "Meaning"], Object.entries(ERROR_CODES))}

## Errors of the gateway itself

REST, auth and storage errors of a project have the codes of their own protocols; these are the gateway's, in the shape that the
client library of the service reads.

${table(
  ["Code", "Status", "Message"],
  Object.entries(ERROR_CATALOGUE).map(([code, { status, message }]) => [code, String(status), message]),
)}
`;
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const codes = rows.map(([code = "", ...rest]) => [`\`${code}\``, ...rest]);
  return [line(header), `|${"---|".repeat(header.length)}`, ...codes.map(line)].join("\n");
}
