/**
 * How long a newcomer waits and what an idle stack costs: `npm start` on an empty folder and again on the same one.
 *
 * node bench/standalone.ts
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { processTree, proportionalSetBytes } from "../test/harness/process-memory.ts";

const root = resolve(import.meta.dirname, "..");
const dataDir = mkdtempSync(join(tmpdir(), "supalove-bench-"));
const environment = {
  ...process.env,
  SUPALOVE_DATA_DIR: dataDir,
  CONTROL_PLANE_PORT: "0",
  GATEWAY_PORT: "0",
  POSTGRES_PORT: "0",
};

/** Long enough that start-up garbage has been collected and idle connections are closed. */
const SETTLE_MS = 20_000;

async function measure(label: string): Promise<void> {
  const startedAt = performance.now();
  const child = spawn("npm", ["start"], {
    cwd: root,
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  if (!child.pid) throw new Error("npm did not start");
  await new Promise<void>((ready, failed) => {
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes("Supalove is ready")) ready();
    });
    child.once("exit", (code) => failed(new Error(`npm start ended with ${code}:\n${output}`)));
  });
  const readyMs = performance.now() - startedAt;
  await new Promise((settled) => setTimeout(settled, SETTLE_MS));
  const tree = processTree(child.pid);
  const bytes = proportionalSetBytes(tree);
  console.log(
    `${label}: ready after ${(readyMs / 1000).toFixed(2)} s, idle ${(bytes / 1e6).toFixed(0)} MB in ${tree.length} processes`,
  );
  const exited = new Promise((done) => child.once("exit", done));
  process.kill(-child.pid, "SIGINT");
  await exited;
}

try {
  await measure("first start");
  await measure("second start");
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
