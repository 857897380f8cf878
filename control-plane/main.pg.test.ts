import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { expect, inject, test } from "vitest";
import { createFreshDatabase } from "./testing/fresh-database.ts";
import { GraphqlClient } from "./testing/graphql-client.ts";

const main = resolve(import.meta.dirname, "main.ts");

function start(environment: Record<string, string>) {
  return spawn(process.execPath, [main], {
    env: { PATH: process.env.PATH ?? "", CONTROL_PLANE_PORT: "0", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

test("the process starts from its environment alone, serves, and ends cleanly on SIGTERM", async () => {
  await using fresh = await createFreshDatabase(inject("clusterUrl"));
  const gatewayToken = `sbsvc_${randomBytes(20).toString("hex")}`;
  const child = start({
    DATABASE_URL: fresh.url,
    SUPALOVE_MASTER_KEYS: randomBytes(32).toString("base64"),
    SUPALOVE_OWNER_EMAIL: "owner@example.com",
    SUPALOVE_OWNER_PASSWORD: "correct horse battery",
    SUPALOVE_GATEWAY_TOKEN: gatewayToken,
  });
  const lines: Record<string, unknown>[] = [];
  for await (const line of createInterface(child.stdout)) {
    lines.push(JSON.parse(line));
    if (lines.at(-1)?.msg === "the control plane is ready") break;
  }
  const url = String(lines.at(-1)?.url).replace(/\/graphql$/, "");
  expect((await fetch(`${url}/ready`)).status).toBe(200);
  const client = new GraphqlClient(url);
  const signIn =
    'mutation { signIn(email: "owner@example.com", password: "correct horse battery") { isInstanceOwner } }';
  expect((await client.data(signIn)).signIn.isInstanceOwner).toBe(true);
  const gateway = new GraphqlClient(url, gatewayToken);
  expect(await gateway.code('{ projectConfigs(refs: ["aaaaaaaaaaaaaaaaaaaa"]) }')).toBeNull();
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
});

test("an environment that cannot be used is told in words, on one screen, and nothing is started", async () => {
  const child = start({ SUPALOVE_OPEN_SIGNUP: "perhaps" });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors += chunk;
  });
  const [code] = await once(child, "exit");
  expect(code).toBe(1);
  expect(errors).toMatch(/^The environment cannot be used:\n {2}DATABASE_URL: .*\n {2}SUPALOVE_OPEN_SIGNUP: .*\n$/);
});
