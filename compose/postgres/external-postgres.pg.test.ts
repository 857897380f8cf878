import { once } from "node:events";
import { createServer } from "node:net";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { hasPostgres, startTestCluster } from "../../test/harness/cluster.ts";
import { externalPostgres } from "./external-postgres.ts";

const role = `plain_${process.pid}_${Date.now()}`;
const admin = () => new pg.Client({ connectionString: inject("clusterUrl") });

async function asAdmin(text: string): Promise<void> {
  const client = admin();
  await client.connect();
  await client.query(text);
  await client.end();
}

beforeAll(() =>
  asAdmin(`create role ${role} login password 'plain-secret'; grant connect on database postgres to ${role}`),
);
afterAll(() => asAdmin(`drop owned by ${role}; drop role ${role}`));

describe("a PostgreSQL of somebody else's", () => {
  test("is accepted when a superuser reaches it", async () => {
    expect((await externalPostgres(inject("clusterUrl"))).version).toMatch(/^18\./);
  });

  test.runIf(hasPostgres(15))("may be as old as 15", { timeout: 60_000 }, async () => {
    const cluster = await startTestCluster(15);
    expect((await externalPostgres(cluster.url)).version).toMatch(/^15\./);
    await cluster.stop();
  });

  test("is refused for a user who is no superuser", async () => {
    const url = new URL(inject("clusterUrl"));
    url.username = role;
    url.password = "plain-secret";
    await expect(externalPostgres(url.href)).rejects.toThrow(`user ${role} is no superuser`);
  });

  test("is refused for a wrong password, which the message does not repeat", async () => {
    const url = new URL(inject("clusterUrl"));
    url.password = "not-the-password";
    const error = await externalPostgres(url.href).catch((thrown: Error) => thrown);
    expect(String(error)).toMatch(/cannot be reached: password authentication failed/);
    expect(String(error)).not.toContain("not-the-password");
  });

  test("that is not there is named by host and port", async () => {
    await expect(externalPostgres("postgresql://someone:secret@127.0.0.1:1/postgres")).rejects.toThrow(
      /PostgreSQL at 127.0.0.1:1, which DATABASE_URL names, cannot be reached: .*ECONNREFUSED/,
    );
  });

  test("or that is something else altogether is refused", async () => {
    const other = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    await expect(externalPostgres(`postgresql://someone:secret@127.0.0.1:${port}/postgres`)).rejects.toThrow(
      /cannot be reached/,
    );
    other.close();
  });
});
