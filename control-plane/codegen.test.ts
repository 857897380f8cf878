import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { generate, TARGETS } from "./codegen.ts";

// mercurius-codegen loads a whole compiler and a formatter: seconds on a busy machine.
test.each(TARGETS)(
  "$output is what schema and operations say (npm run codegen)",
  { timeout: 60_000 },
  async (target) => {
    const path = new URL(`../${target.output}`, import.meta.url);
    const committed = existsSync(path) ? readFileSync(path, "utf8") : null;
    expect(await generate(target)).toBe(committed);
  },
);
