/** What a person waits for when the way to the project's database is gone. */
import { randomUUID } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createRunningProject, type RunningProject } from "../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";
import { runSql } from "./run-sql.ts";

let plane: TestControlPlane;
let project: RunningProject;
beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  project = await createRunningProject(plane);
});
afterAll(async () => {
  await project.remove();
  await plane[Symbol.asyncDispose]();
});

test("a run ends at its time limit though the server has fallen silent and takes no signals", async () => {
  const { hostname, port } = new URL(inject("clusterUrl"));
  await using way = await startMutableWay({ host: hostname, port: Number(port) });
  const password = await plane.controlPlane.services.vault.get(plane.database, project.ref, "POSTGRES_PASSWORD");
  const run = {
    script: "select pg_sleep(0.1); select 1",
    role: "user",
    claims: {},
    readOnly: false,
    isDryRun: false,
    maxRows: 10,
    maxBytes: 1000,
    timeoutMs: 300,
    executionId: randomUUID(),
  } as const;
  const target = {
    address: { host: "127.0.0.1", port: way.port, ssl: false },
    ref: project.ref,
    password: password ?? "",
    restorePassword: async () => {},
    confirm: async () => {},
  };
  const running = runSql(target, run, () => new Promise(() => {}), new AbortController().signal);
  way.muteAfterQuery();
  await expect(running).rejects.toMatchObject({ code: "SQL_ERROR", details: { sqlState: "57014" } });
});

/** As a network that loses every packet: nothing is refused, nothing arrives. */
async function startMutableWay(target: { host: string; port: number }) {
  const sockets = new Set<Socket>();
  let isWatched = false;
  let isMute = false;
  const server = createServer((inbound) => {
    const outbound = connect(target.port, target.host);
    for (const socket of [inbound, outbound]) sockets.add(socket.on("error", () => {}));
    inbound.on("data", (bytes) => {
      isMute ||= isWatched && bytes.includes("pg_sleep");
      outbound.write(bytes);
    });
    outbound.on("data", (bytes) => isMute || inbound.write(bytes));
  }).listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  return {
    port: (server.address() as { port: number }).port,
    muteAfterQuery: () => {
      isWatched = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}
