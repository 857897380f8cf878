import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { ensureServiceToken } from "../accounts/service-tokens.ts";
import { DURATION_BUCKETS } from "../client/traffic.ts";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createRunningProject, type RunningProject } from "../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";
import { claimPeriodicWork } from "./periodic-work.ts";
import { removeOldUsage } from "./retention.ts";

const REPORT = `mutation ($process: ID!, $sequence: Int!, $entries: [TrafficEntryInput!]!) {
  reportTraffic(process: $process, sequence: $sequence, entries: $entries) }`;
const METRICS = `query ($ref: ID!, $names: [MetricName!]!, $from: DateTime!, $to: DateTime!, $step: Int!) {
  project(ref: $ref) { metrics(names: $names, from: $from, to: $to, stepSeconds: $step) {
    startAt stepSeconds series { name service values } } } }`;

let plane: TestControlPlane;
let project: RunningProject;
let gateway: GraphqlClient;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  project = await createRunningProject(plane);
  gateway = plane.client(await ensureServiceToken(plane.database, "gateway", "usage test"));
});
afterAll(async () => {
  await project.remove();
  await plane[Symbol.asyncDispose]();
});

/** A whole hour some hours ago, in minutes since the epoch. */
const HOUR = Math.floor(Date.now() / 3_600_000 - 3) * 60;

function entry(minute: number, changes: object = {}) {
  return {
    ref: project.ref,
    service: "rest",
    minute,
    statuses: [0, 8, 0, 1, 1],
    durations: new Array(DURATION_BUCKETS).fill(0).with(2, 10),
    bytesIn: 10,
    bytesOut: 1_000,
    sockets: 0,
    messages: 0,
    ...changes,
  };
}

async function report(entries: object[], process = randomUUID(), sequence = 1): Promise<boolean> {
  return (await gateway.data(REPORT, { process, sequence, entries })).reportTraffic;
}

async function metrics(names: string[], fromMinute: number, toMinute: number, step: number) {
  const at = (minute: number) => new Date(minute * 60_000).toISOString();
  const variables = { ref: project.ref, names, from: at(fromMinute), to: at(toMinute), step };
  return (await project.client.data(METRICS, variables)).project.metrics;
}

describe("traffic", () => {
  test("is added to its minute and its hour, service by service", async () => {
    expect(await report([entry(HOUR + 1), entry(HOUR + 2), entry(HOUR + 2, { service: "auth" })])).toBe(true);
    const minutes = await metrics(["REQUESTS", "SERVER_ERRORS"], HOUR, HOUR + 4, 60);
    expect(minutes.series).toEqual([
      { name: "REQUESTS", service: "auth", values: [0, 0, 10, 0] },
      { name: "REQUESTS", service: "rest", values: [0, 10, 10, 0] },
      { name: "SERVER_ERRORS", service: "auth", values: [0, 0, 1, 0] },
      { name: "SERVER_ERRORS", service: "rest", values: [0, 1, 1, 0] },
    ]);
    const hours = await metrics(["BYTES_OUT", "LATENCY_P95"], HOUR, HOUR + 60, 3_600);
    const ofRest = hours.series.filter(({ service }: { service: string }) => service === "rest");
    expect(ofRest.map(({ name }: { name: string }) => name)).toEqual(["BYTES_OUT", "LATENCY_P95"]);
    expect(ofRest[0].values).toEqual([2_000]);
    expect(ofRest[1].values[0]).toBeGreaterThan(2);
    expect(ofRest[1].values[0]).toBeLessThanOrEqual(3);
  });

  test("of a report that comes again is not counted again", async () => {
    const process = randomUUID();
    expect(await report([entry(HOUR + 10)], process, 7)).toBe(true);
    expect(await report([entry(HOUR + 10)], process, 7)).toBe(false);
    expect(await report([entry(HOUR + 11)], process, 8)).toBe(true);
    expect((await metrics(["REQUESTS"], HOUR + 10, HOUR + 12, 60)).series[0].values).toEqual([10, 10]);
  });

  test("of many gateways at once is counted whole", async () => {
    await Promise.all(Array.from({ length: 8 }, () => report([entry(HOUR + 20), entry(HOUR + 21)])));
    expect((await metrics(["REQUESTS"], HOUR + 20, HOUR + 22, 60)).series[0].values).toEqual([80, 80]);
  });

  test("that cannot be counted is left out and keeps nothing else waiting", async () => {
    const bad = [
      entry(HOUR + 30, { service: "none" }),
      entry(HOUR + 30, { ref: "x" }),
      entry(HOUR - 2 * 24 * 60),
      entry(HOUR + 30, { statuses: [1] }),
      entry(HOUR + 30, { bytesIn: -1 }),
      entry(HOUR + 30, { ref: "zzzzzzzzzzzzzzzzzzzz" }),
    ];
    expect(await report([...bad, entry(HOUR + 30)])).toBe(true);
    expect((await metrics(["REQUESTS"], HOUR + 30, HOUR + 31, 60)).series[0].values).toEqual([10]);
  });

  test("of the last day stands in the list of projects", async () => {
    const { project: found } = await project.client.data(`{ project(ref: "${project.ref}") {
      traffic { requests failed bytesOut } } }`);
    expect(found.traffic.requests).toBeGreaterThan(0);
    expect(found.traffic.requests).toBe(10 * found.traffic.failed);
  });

  test("is removed when it has been kept long enough", async () => {
    await plane.database.query(
      `insert into project_traffic select project_ref, step, at - interval '2 days', service, statuses, durations,
         bytes_in, bytes_out, sockets, messages from project_traffic where project_ref = $1 and step = 'minute'`,
      [project.ref],
    );
    await removeOldUsage(plane.database);
    const [left] = await plane.database.query<{ old: number }>(
      `select count(*)::int as old from project_traffic
       where project_ref = $1 and step = 'minute' and at < now() - interval '1 day'`,
      [project.ref],
    );
    expect(left?.old).toBe(0);
    expect((await metrics(["REQUESTS"], HOUR + 10, HOUR + 11, 60)).series[0].values).toEqual([10]);
  });
});

test("sizes, connections and active users are measured in the project's own database", async () => {
  await report([entry(Math.floor(Date.now() / 60_000))]);
  await project.client.data("mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }", {
    input: { ref: project.ref, sql: "insert into auth.users (id, last_sign_in_at) values (gen_random_uuid(), now())" },
  });
  await plane.controlPlane.services.usageMeasuring.measure("all");
  const now = Math.floor(Date.now() / 60_000);
  const { series } = await metrics(["DATABASE_BYTES", "ACTIVE_USERS", "STORAGE_BYTES"], now - 1, now + 1, 86_400);
  const [bytes, users, stored] = series.map(({ values }: { values: number[] }) => values.at(-1));
  expect(bytes).toBeGreaterThan(5_000_000);
  expect(users).toBe(1);
  expect(stored).toBe(0);
});

test("work for all is taken by one of several control planes", async () => {
  const name = randomUUID();
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimPeriodicWork(plane.database, name, 60)));
  expect(claims.filter(Boolean)).toHaveLength(1);
});
