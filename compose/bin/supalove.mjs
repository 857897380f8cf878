#!/usr/bin/env node
/**
 * Entry of `npx supalove`. The servers are TypeScript files that Node 22 runs as they are, while the Node on the path
 * may be older: this file starts the Node that npm installed for the project and hands everything over to it.
 */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const main = join(dirname(fileURLToPath(import.meta.url)), "../main.ts");
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major === 22 && minor >= 18) {
  await import(main);
} else {
  const node = join(dirname(createRequire(import.meta.url).resolve("node/package.json")), "bin/node");
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => {
    process.exitCode = signal ? 1 : (code ?? 1);
  });
}
