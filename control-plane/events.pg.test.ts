import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createEvents, type PostgresEvents, type PublishedEvent } from "./events.ts";
import { createLogger } from "./logger.ts";
import { startSeverableProxy } from "./provisioning/testing/severable-proxy.ts";
import { type ControlPlaneDatabase, createControlPlaneDatabase } from "./testing/fresh-database.ts";

let fresh: ControlPlaneDatabase;
let events: PostgresEvents;

beforeAll(async () => {
  fresh = await createControlPlaneDatabase(inject("clusterUrl"));
  events = createEvents({ databaseUrl: fresh.url, logger: createLogger("silent") });
  await events.start();
});
afterAll(async () => {
  await events.close();
  await fresh.drop();
});

const config = (ref: string, version: number): PublishedEvent => ({ topic: "project-config", ref, version });
const ofRef = (ref: string) => (event: PublishedEvent) => event.topic === "project-config" && event.ref === ref;

test("an event is heard when its transaction commits, in order, by those who asked for it", async () => {
  const stream = events.subscribe(ofRef("a"));
  await fresh.database.transaction(async (tx) => {
    await events.publish(tx, config("a", 1));
    await events.publish(tx, config("b", 2));
    await events.publish(tx, config("a", 3));
  });
  expect((await stream.next()).value).toEqual(config("a", 1));
  expect((await stream.next()).value).toEqual(config("a", 3));
  await stream.return();
});

test("nobody hears of what was rolled back", async () => {
  const stream = events.subscribe(ofRef("r"));
  await expect(
    fresh.database.transaction(async (tx) => {
      await events.publish(tx, config("r", 1));
      throw new Error("no");
    }),
  ).rejects.toThrow("no");
  await events.publish(fresh.database, config("r", 2));
  expect((await stream.next()).value).toEqual(config("r", 2));
  await stream.return();
});

test("ending a stream lets go of who waits for it", async () => {
  const stream = events.subscribe(() => true);
  const waiting = stream.next();
  await stream.return();
  expect(await waiting).toEqual({ done: true, value: undefined });
});

test("a reader that has fallen behind is told to read again instead of filling the memory", async () => {
  const stream = events.subscribe(ofRef("flood"));
  const marker = events.subscribe(ofRef("marker"));
  await fresh.database.query(
    `select pg_notify('supalove_events', json_build_object('topic', 'project-config', 'ref', 'flood', 'version', n)::text)
     from generate_series(1, 1500) n`,
  );
  await events.publish(fresh.database, config("marker", 1));
  await marker.next(); // by now all of the flood is queued
  expect((await stream.next()).value).toEqual({ topic: "resync" });
  await Promise.all([stream.return(), marker.return()]);
});

test("after a lost connection every reader is told to read again, and events flow", async () => {
  const stream = events.subscribe(ofRef("lost"));
  const cut = await fresh.database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'supalove control plane events'`,
  );
  expect(cut).toHaveLength(1);
  expect((await stream.next()).value).toEqual({ topic: "resync" });
  expect(events.connected).toBe(true);
  await events.publish(fresh.database, config("lost", 1));
  expect((await stream.next()).value).toEqual(config("lost", 1));
  await stream.return();
});

test("a connection whose other end has gone without a word is noticed, replaced, and every reader told to read again", async () => {
  const { hostname, port } = new URL(fresh.url);
  await using proxy = await startSeverableProxy({ host: hostname, port: Number(port) });
  const url = new URL(fresh.url);
  url.port = String(proxy.port);
  const beat = { heartbeatMs: 50, answerWithinMs: 500 };
  const faraway = createEvents({ databaseUrl: url.href, logger: createLogger("silent"), ...beat });
  await faraway.start();
  const stream = faraway.subscribe(ofRef("far"));
  await faraway.publish(fresh.database, config("far", 1));
  expect((await stream.next()).value).toEqual(config("far", 1));
  proxy.freeze();
  await faraway.publish(fresh.database, config("far", 2)); // lost on the way
  expect((await stream.next()).value).toEqual({ topic: "resync" });
  await faraway.publish(fresh.database, config("far", 3));
  expect((await stream.next()).value).toEqual(config("far", 3));
  proxy.freeze();
  await faraway.close(); // not held up by an end that nobody answers
});

test("closing ends every stream, and one opened later is over at once", async () => {
  const closing = createEvents({ databaseUrl: fresh.url, logger: createLogger("silent") });
  await closing.start();
  const waiting = closing.subscribe(() => true).next();
  await closing.close();
  expect((await waiting).done).toBe(true);
  expect((await closing.subscribe(() => true).next()).done).toBe(true);
});
