/**
 * The gateway beside nginx, haproxy and a plain undici proxy: same upstream, same core, in turn, several times.
 * Writes its section of bench/RESULTS.md when all scenarios have run.
 *
 * node bench/gateway/run.ts [scenario …]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram, missingPrograms, type Program } from "../programs.ts";
import { machineFacts, writeSection } from "../results.ts";
import { SCENARIOS } from "./scenarios.ts";

const PROGRAMS: readonly Program[] = ["nginx", "haproxy", "wrk", "k6", "taskset"];

for (const line of missingPrograms(PROGRAMS)) console.error(line);
if (findProgram("nginx") === null || findProgram("wrk") === null) {
  console.error("nginx serves the upstream and wrk makes the load: without them nothing can be measured.");
  process.exit(1);
}

const wanted = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "supalove-bench-"));
const sections = ["## Gateway", machineFacts(["nginx", "haproxy", "wrk", "k6"])];
try {
  for (const { name, run } of SCENARIOS) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    console.log(`${name} …`);
    const section = await run(folder);
    console.log(section);
    sections.push(section);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
if (wanted.length === 0) writeSection("gateway", sections.join("\n\n"));
