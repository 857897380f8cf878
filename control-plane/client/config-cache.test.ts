import { afterEach, expect, test } from "vitest";
import { type ConfigCacheOptions, FedConfigCache } from "./config-cache.ts";
import { ConfigUnavailable } from "./operation-requests.ts";
import { ScriptedSource } from "./testing/scripted-source.ts";
import { gatewaySnapshot, refNumber } from "./testing/snapshots.ts";

const ref = refNumber(1);
const open: FedConfigCache<"gateway">[] = [];

afterEach(() => {
  for (const cache of open.splice(0)) cache.close();
});

/** A cache whose feed is there at cursor 10. */
async function connected(options: Partial<ConfigCacheOptions<"gateway">> = {}) {
  const source = new ScriptedSource();
  const cache = new FedConfigCache<"gateway">({ audience: "gateway", ...options }, source);
  open.push(cache);
  const feed = await source.feed();
  feed.push({ cursor: 10, resync: true });
  await cache.ready;
  return { source, cache, feed };
}

/** Waits until the cache has taken in what was pushed before: pushes are delivered in order. */
async function told(cache: FedConfigCache<"gateway">, cursor: number): Promise<void> {
  while (cache.status().cursor !== cursor) await new Promise(setImmediate);
}

const project = (version: number, overrides = {}) => gatewaySnapshot({ projectRef: ref, version, ...overrides });

test("a project is asked for once, however many requests wait, and is then at hand", async () => {
  const { source, cache } = await connected();
  expect(cache.peek(ref)).toBeUndefined();
  const waiting = Promise.all([cache.get(ref), cache.get(ref), cache.get(ref)]);
  (await source.lookup()).answer(project(3));
  expect(new Set(await waiting)).toEqual(new Set([project(3)]));
  expect(cache.peek(ref)).toEqual(project(3));
  await cache.get(ref);
  expect(source.lookups).toHaveLength(1);
});

test("projects of one moment are asked for in one request of at most 100 names", async () => {
  const { source, cache } = await connected();
  const refs = Array.from({ length: 250 }, (_, number) => refNumber(number));
  const found = Promise.all(refs.map((each) => cache.get(each)));
  for (const count of [1, 2, 3])
    (await source.lookup(count)).answer(...refs.map((projectRef) => gatewaySnapshot({ projectRef })));
  expect((await found).map((snapshot) => snapshot?.projectRef)).toEqual(refs);
  expect(source.lookups.map((lookup) => lookup.refs.length)).toEqual([100, 100, 50]);
});

test("made-up refs cost few requests at a time and push no project out", async () => {
  const { source, cache } = await connected({ maxEntries: 50 });
  const first = cache.get(ref);
  (await source.lookup()).answer(project(3));
  await first;
  const madeUp = Array.from({ length: 1000 }, (_, number) => cache.get(refNumber(1000 + number)));
  await source.lookup(5);
  expect(source.lookups).toHaveLength(5); // one for the project, and four under way
  for (let count = 2; count <= 11; count++) (await source.lookup(count)).answer();
  expect(new Set(await Promise.all(madeUp))).toEqual(new Set([null]));
  expect(cache.peek(ref)).toEqual(project(3));
  expect(cache.status()).toMatchObject({ entries: 1, absentEntries: 50 });
});

test("what is no ref is never asked for", async () => {
  const { source, cache } = await connected();
  expect(await cache.get("../../etc/passwd")).toBeNull();
  expect(source.lookups).toHaveLength(0);
});

test("that there is no such project is believed for a short time", async () => {
  let now = 0;
  const { source, cache } = await connected({ negativeTtlMs: 1000, now: () => now });
  const absent = cache.get(ref);
  (await source.lookup()).answer();
  expect(await absent).toBeNull();
  now = 999;
  expect(cache.peek(ref)).toBeNull();
  now = 1000;
  expect(cache.peek(ref)).toBeUndefined();
});

test("a project that is made after it was asked for is there with the push", async () => {
  const { source, cache, feed } = await connected();
  const absent = cache.get(ref);
  (await source.lookup()).answer();
  await absent;
  feed.push({ cursor: 11, snapshots: [project(11)] });
  await told(cache, 11);
  expect(cache.peek(ref)).toEqual(project(11));
});

test("a push replaces what is known, and an older one does not", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.get(ref);
  (await source.lookup()).answer(project(5));
  await found;
  feed.push({ cursor: 12, snapshots: [project(12, { state: "paused" })] });
  feed.push({ cursor: 13, snapshots: [project(11)] });
  await told(cache, 13);
  expect(cache.peek(ref)).toEqual(project(12, { state: "paused" }));
});

test("a push that comes while the project is asked for wins over an older answer", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.get(ref);
  const lookup = await source.lookup();
  feed.push({ cursor: 12, snapshots: [project(12)] });
  await told(cache, 12);
  lookup.answer(project(11));
  expect(await found).toEqual(project(12));
});

test("'no such project' is not believed when a push came meanwhile", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.get(ref);
  const lookup = await source.lookup();
  feed.push({ cursor: 12, snapshots: [project(12)] });
  await told(cache, 12);
  lookup.answer();
  expect(await found).toEqual(project(12));
  expect(cache.peek(ref)).toEqual(project(12));
});

test("a project that was deleted while it was asked for does not come back", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.get(ref);
  const lookup = await source.lookup();
  feed.push({ cursor: 12, snapshots: [{ projectRef: ref, version: 12, deleted: true }] });
  await told(cache, 12);
  lookup.answer(project(11));
  expect(await found).toBeNull();
  expect(cache.peek(ref)).toBeNull();
});

test("projects that nobody here has used are not kept, but listeners hear of them", async () => {
  const { cache, feed } = await connected();
  const changes: unknown[] = [];
  const undo = cache.onChange((change) => changes.push(change));
  feed.push({ cursor: 11, snapshots: [project(11)] });
  feed.push({ cursor: 12, snapshots: [{ projectRef: ref, version: 12, deleted: true }] });
  await told(cache, 12);
  expect(changes).toEqual([
    { projectRef: ref, snapshot: project(11) },
    { projectRef: ref, snapshot: null },
  ]);
  expect(cache.status().entries).toBe(0);
  undo();
  feed.push({ cursor: 13, snapshots: [project(13)] });
  await told(cache, 13);
  expect(changes).toHaveLength(2);
});

test("a listener that throws keeps nobody else from the change", async () => {
  const { cache, feed } = await connected();
  const heard: string[] = [];
  cache.onChange(() => {
    throw new Error("mine");
  });
  cache.onChange(({ projectRef }) => heard.push(projectRef));
  feed.push({ cursor: 11, snapshots: [project(11)] });
  await told(cache, 11);
  expect(heard).toEqual([ref]);
});

test("while the feed is lost the last snapshot is served; afterwards it goes on from the cursor", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.get(ref);
  (await source.lookup()).answer(project(5));
  await found;
  feed.break();
  const next = await source.feed(2);
  expect(next.after).toBe(10);
  expect(cache.status().connected).toBe(false);
  expect(cache.peek(ref)).toEqual(project(5));
  next.push({ cursor: 14, snapshots: [project(14)] });
  await told(cache, 14);
  expect(cache.peek(ref)).toEqual(project(14));
  expect(source.lookups).toHaveLength(1);
});

test("after a gap that cannot be replayed, what is used is asked for again, whatever its version", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.get(ref);
  (await source.lookup()).answer(project(9));
  await found;
  feed.break();
  (await source.feed(2)).push({ cursor: 4, resync: true }); // a database restored from a backup
  await told(cache, 4);
  expect(cache.peek(ref)).toBeUndefined();
  const again = cache.get(ref);
  (await source.lookup(2)).answer(project(3, { state: "paused" }));
  expect(await again).toEqual(project(3, { state: "paused" }));
  expect(cache.peek(ref)).toEqual(project(3, { state: "paused" }));
});

test("what was read before the feed was first there is asked for again: a change in between went unseen", async () => {
  const source = new ScriptedSource();
  const cache = new FedConfigCache<"gateway">({ audience: "gateway" }, source);
  open.push(cache);
  const early = cache.get(ref);
  (await source.lookup()).answer(project(5));
  await early;
  expect(cache.peek(ref)).toEqual(project(5)); // nobody to ask anything better
  (await source.feed()).push({ cursor: 6, resync: true });
  await cache.ready;
  expect(cache.peek(ref)).toBeUndefined();
});

test("when it cannot be asked for again, the old one is served rather than nothing", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.get(ref);
  (await source.lookup()).answer(project(9));
  await found;
  feed.break();
  (await source.feed(2)).push({ cursor: 4, resync: true });
  await told(cache, 4);
  const again = cache.get(ref);
  (await source.lookup(2)).fail();
  expect(await again).toEqual(project(9));
});

test("an unknown project is an error while the control plane is away, and is asked for anew each time", async () => {
  const { source, cache } = await connected();
  const failing = cache.get(ref);
  (await source.lookup()).fail(new ConfigUnavailable("away"));
  await expect(failing).rejects.toThrow("away");
  const found = cache.get(ref);
  (await source.lookup(2)).answer(project(5));
  expect(await found).toEqual(project(5));
});

test("memory is bounded: what was used least goes first", async () => {
  const { source, cache } = await connected({ maxEntries: 2 });
  for (const number of [1, 2, 3]) {
    const found = cache.get(refNumber(number));
    (await source.lookup(number)).answer(
      gatewaySnapshot({ projectRef: refNumber(number), customHosts: [`${number}.com`] }),
    );
    await found;
    cache.peek(refNumber(1));
  }
  expect([1, 2, 3].map((number) => cache.peek(refNumber(number)) !== undefined)).toEqual([true, false, true]);
  expect([1, 2, 3].map((number) => cache.peekByHost(`${number}.com`) !== undefined)).toEqual([true, false, true]);
});

test("a custom host leads to its project, until it moves to another one", async () => {
  const { source, cache, feed } = await connected();
  const host = "api.example.com";
  const found = cache.getByHost(host);
  (await source.lookup()).answer(project(5, { customHosts: [host] }));
  expect(await found).toMatchObject({ projectRef: ref });
  expect(cache.peekByHost(host)).toMatchObject({ projectRef: ref });
  const other = gatewaySnapshot({ projectRef: refNumber(2), version: 12, customHosts: [host] });
  feed.push({ cursor: 12, snapshots: [project(11), other] });
  await told(cache, 12);
  expect(cache.peekByHost(host)).toBeUndefined();
  expect(cache.peek(ref)).toMatchObject({ version: 11, customHosts: [] });
});

test("a host that was nobody's leads to the project that takes it", async () => {
  const { source, cache, feed } = await connected();
  const absent = cache.getByHost("api.example.com");
  (await source.lookup()).answer();
  expect(await absent).toBeNull();
  expect(cache.peekByHost("api.example.com")).toBeNull();
  feed.push({ cursor: 11, snapshots: [project(11, { customHosts: ["api.example.com"] })] });
  await told(cache, 11);
  expect(cache.peekByHost("api.example.com")).toMatchObject({ projectRef: ref });
});

test("a host that is given up while it is asked for does not stay", async () => {
  const { source, cache, feed } = await connected();
  const found = cache.getByHost("api.example.com");
  const lookup = await source.lookup();
  feed.push({ cursor: 12, snapshots: [project(12)] });
  await told(cache, 12);
  lookup.answer(project(11, { customHosts: ["api.example.com"] }));
  expect(await found).toBeNull();
});

test("a snapshot of the other audience is refused: the process has the wrong token", async () => {
  const { source, cache } = await connected();
  const found = cache.get(ref);
  (await source.lookup()).answer(project(5, { audience: "service" }));
  await expect(found).rejects.toThrow("the service token is one of a service");
  expect(cache.peek(ref)).toBeUndefined();
});

test("close refuses what waits, and later questions", async () => {
  const source = new ScriptedSource();
  const cache = new FedConfigCache<"gateway">({ audience: "gateway" }, source);
  cache.close();
  await expect(cache.ready).rejects.toThrow("closed");
  await expect(cache.get(ref)).rejects.toThrow("closed");
});

test("10,000 projects are held and found", async () => {
  const { source, cache } = await connected();
  const refs = Array.from({ length: 10_000 }, (_, number) => refNumber(number));
  const found = Promise.all(refs.map((each) => cache.get(each)));
  const answers = refs.map((projectRef) => gatewaySnapshot({ projectRef }));
  for (let count = 1; count <= 100; count++)
    (await source.lookup(count)).answer(...answers.slice((count - 1) * 100, count * 100));
  await found;
  expect(refs.every((each) => cache.peek(each)?.projectRef === each)).toBe(true);
});
