/** Starts a server under test as a process of its own, and says how to ask it. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Scenario, World } from "./world.ts";

export interface ServerUnderTest {
  readonly port: number;
  readonly pid: number | undefined;
  stop(): void;
}

/** @param nodeOptions of the process, such as `--cpu-prof`. */
export async function startServer(
  mode: "gateway" | "plain",
  worlds: readonly World[],
  nodeOptions: readonly string[] = [],
): Promise<ServerUnderTest> {
  const file = join(import.meta.dirname, "under-test.ts");
  const child = spawn(process.execPath, [...nodeOptions, file, mode, JSON.stringify(worlds)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once("data", (text: Buffer) => resolve(Number(text.toString())));
    child.once("exit", () => reject(new Error(`${mode} did not start`)));
  });
  return { port, pid: child.pid, stop: () => child.kill() };
}

/** The scenario's nth request as it goes over the wire, with the world's key and token. */
export function requestsOf(world: World, scenario: Scenario, prefix: string): (turn: number) => Buffer {
  const body = scenario.body === null ? null : Buffer.from(scenario.body);
  const headers = [
    "Host: localhost",
    `apikey: ${world.anonKey}`,
    `Authorization: Bearer ${world.userToken}`,
    "Accept: application/json",
    ...(body === null ? [] : ["Content-Type: application/json", `Content-Length: ${body.length}`]),
  ].join("\r\n");
  return (turn) => {
    const head = Buffer.from(`${scenario.method} ${prefix}${scenario.path(turn)} HTTP/1.1\r\n${headers}\r\n\r\n`);
    return body === null ? head : Buffer.concat([head, body]);
  };
}
