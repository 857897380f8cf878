/** `npm run environment:print`: the control plane's variables as a Markdown table, for the README. */
import { printedEnvironment } from "./environment.ts";

process.stdout.write(printedEnvironment());
