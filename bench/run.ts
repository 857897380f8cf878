/**
 * All benchmarks, or those that are named, one after the other; each writes its section of bench/RESULTS.md. What a
 * missing program makes impossible is left out, and said.
 *
 * npm run bench [-- name …]
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { missingPrograms, type Program } from "./programs.ts";
import { machineFacts, writeSection } from "./results.ts";

interface Benchmark {
  readonly name: string;
  readonly title: string;
  readonly script: string;
  readonly nodeOptions?: readonly string[];
  readonly needs: readonly Program[];
  /** It writes its section itself. */
  readonly writesItself?: boolean;
}

const BENCHMARKS: readonly Benchmark[] = [
  { name: "standalone", title: "Start and memory of the whole stack", script: "standalone.ts", needs: [] },
  { name: "create-project", title: "Creating projects", script: "create-project.ts", needs: [] },
  { name: "dashboard", title: "Dashboard", script: "dashboard.ts", needs: [] },
  { name: "key-revocation", title: "Revoked keys", script: "key-revocation.ts", needs: [] },
  { name: "database", title: "Two statements in one transaction", script: "database.ts", needs: ["pgbench"] },
  { name: "rest", title: "REST through the gateway", script: "rest.ts", needs: ["pgbench"] },
  { name: "rest-neighbours", title: "REST for ten projects at once", script: "rest-neighbours.ts", needs: [] },
  { name: "workers", title: "One and two serving processes", script: "workers.ts", needs: [] },
  { name: "rest-memory", title: "Memory of a large body", script: "rest-memory.ts", needs: [] },
  {
    name: "schema-cache",
    title: "Loading a schema cache",
    script: "schema-cache.ts",
    nodeOptions: ["--expose-gc"],
    needs: [],
  },
  { name: "realtime", title: "Realtime", script: "realtime.ts", needs: [] },
  { name: "storage", title: "Storage", script: "storage.ts", needs: ["nginx", "pgbench"] },
  { name: "gateway", title: "Gateway", script: "gateway/run.ts", needs: ["nginx", "wrk"], writesItself: true },
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name));
if (unknown.length > 0) {
  console.error(
    `no benchmark is called ${unknown.join(", ")}; there are: ${BENCHMARKS.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

let failed = 0;
for (const benchmark of BENCHMARKS) {
  if (wanted.length > 0 && !wanted.includes(benchmark.name)) continue;
  console.log(`\n== ${benchmark.title} (${benchmark.name})`);
  const missing = missingPrograms(benchmark.needs);
  for (const line of missing) console.log(line);
  if (missing.length > 0) continue;
  const output = await run(benchmark);
  if (output === null) failed += 1;
  else if (!benchmark.writesItself) {
    const facts = machineFacts(benchmark.needs);
    writeSection(benchmark.name, `## ${benchmark.title}\n\n${facts}\n\n\`\`\`text\n${output.trim()}\n\`\`\``);
  }
}
process.exit(failed > 0 ? 1 : 0);

/** @returns What it printed; null when it failed. */
async function run({ script, nodeOptions = [] }: Benchmark): Promise<string | null> {
  const child = spawn(process.execPath, [...nodeOptions, join(import.meta.dirname, script)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
    process.stdout.write(chunk);
  });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (code === 0) return output;
  console.error(`ended with ${code}`);
  return null;
}
