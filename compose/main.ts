/** Entry of the command line: reads the environment, runs one command, turns failures into a message and an exit code. */

import { EnvironmentError } from "../control-plane/client/environment-variables.ts";
import { CommandError } from "./cli/output.ts";
import { createProgram } from "./cli/program.ts";
import { parseEnvironment } from "./environment.ts";

const program = createProgram(() => parseEnvironment(process.env));
try {
  await program.parseAsync(process.argv);
} catch (error) {
  // What a person can act on is told in a sentence; anything else is a bug and shows where.
  const expected = error instanceof CommandError || error instanceof EnvironmentError;
  console.error(expected ? error.message : error);
  process.exitCode = 1;
}
