import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { kindOf, UnhandledPolicy } from "./process.ts";

const node = resolve(import.meta.dirname, "../../node_modules/.bin/node");
const module = pathToFileURL(resolve(import.meta.dirname, "process.ts")).href;

/** Runs the statements in a process under the policy, then asks whether it still answers. */
async function runGuarded(statements: string): Promise<{ code: number | null; output: string }> {
  const script = `
    import { EventEmitter } from "node:events";
    import { connect } from "node:net";
    import { Worker } from "node:worker_threads";
    import { Registry } from "prom-client";
    import { surviveUnhandled } from ${JSON.stringify(module)};
    const registry = new Registry();
    surviveUnhandled({ error: (details, message) => console.log(message, details.kind) }, registry);
    setTimeout(async () => { console.log(await registry.metrics(), "still here"); process.exit(0); }, 500);
    ${statements}`;
  const child = spawn(node, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number | null>((isOver) => child.once("close", isOver));
  return { code, output };
}

test.each([
  ["a socket that nobody listens to", 'connect(1, "127.0.0.1");'],
  ["a promise that nobody awaits", 'Promise.reject(new TypeError("forgotten"));'],
  [
    "a database connection's last word",
    'new EventEmitter().emit("error", new Error("Connection terminated unexpectedly"));',
  ],
  [
    "a session that the server ended",
    'new EventEmitter().emit("error", Object.assign(new Error("terminating connection"), { code: "57P01" }));',
  ],
])("%s is logged, counted and survived", async (_what, statements) => {
  const { code, output } = await runGuarded(statements);
  expect(output).toContain("the process goes on");
  expect(output).toMatch(/supalove_unhandled_errors_total\{kind="(?:event|rejection)"\} 1/);
  expect(output).toContain("still here");
  expect(code).toBe(0);
});

test("a fault of our own in a callback ends the process with a failure, for a supervisor to replace it", async () => {
  const { code, output } = await runGuarded("setTimeout(() => undefined.gone, 1);");
  expect(output).toContain("the process ends exception");
  expect(output).not.toContain("still here");
  expect(code).toBe(1);
});

test.each([
  [Object.assign(new Error("read"), { code: "ECONNRESET", syscall: "read" }), "event"],
  [Object.assign(new Error("hang up"), { code: "ECONNRESET" }), "event"],
  [Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" }), "event"],
  [Object.assign(new Error("idle"), { code: "25P03" }), "event"],
  [new TypeError("x is not a function"), "exception"],
  [Object.assign(new TypeError("bad"), { code: "ERR_INVALID_ARG_TYPE" }), "exception"],
  ["a thrown text", "exception"],
])("%s is an %s", (error, kind) => {
  expect(kindOf(error)).toBe(kind);
});

test("a process that meets one unhandled error after the other ends, one that met many long ago does not", () => {
  let now = 0;
  const policy = new UnhandledPolicy(() => now);
  const meet = () => policy.survives("event");
  expect(Array.from({ length: 101 }, meet)).toEqual([...Array(100).fill(true), false]);
  now += 60_000;
  expect(meet()).toBe(true);
});
