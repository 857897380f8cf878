import { afterEach, expect, test } from "vitest";
import { ThreadQueueFull } from "../../../control-plane/client/fair-threads.ts";
import { createHashPool, type PasswordHasher } from "./hash-pool.ts";

const open: PasswordHasher[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((pool) => pool.close()));
});

function pool(options: Partial<Parameters<typeof createHashPool>[0]> = {}): PasswordHasher {
  const created = createHashPool({
    threads: 1,
    maxQueuedPerProject: 4,
    maxQueued: 6,
    idleTimeoutMs: 1000,
    jobTimeoutMs: 10_000,
    ...options,
  });
  open.push(created);
  return created;
}

/** Cost 4: quick, so that a test is about the queue. */
const QUICK = "$2b$04$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

test("a password hashed in a worker is verified there", async () => {
  const hasher = pool();
  const hash = await hasher.hash("a", "correct horse");
  expect(await hasher.verify("a", "correct horse", hash)).toBe(true);
  expect(await hasher.verify("a", "battery staple", hash)).toBe(false);
});

test("one project's full queue is refused while another's job takes its turn early", async () => {
  const hasher = pool();
  const order: string[] = [];
  const verify = (project: string) => hasher.verify(project, "x", QUICK).then(() => order.push(project));
  const jobs = [verify("busy"), verify("busy"), verify("busy"), verify("busy"), verify("busy"), verify("calm")];
  await expect(verify("busy")).rejects.toEqual(new ThreadQueueFull("own"));
  await Promise.all(jobs);
  expect(order.indexOf("calm")).toBeLessThanOrEqual(2);
});

test("beyond the overall bound every project is refused", async () => {
  const hasher = pool({ maxQueued: 2 });
  const jobs = ["a", "b", "c"].map((project) => hasher.verify(project, "x", QUICK));
  await expect(hasher.verify("d", "x", QUICK)).rejects.toEqual(new ThreadQueueFull("all"));
  await Promise.all(jobs);
});

test("projects that fill the whole queue give way to one that has nothing in it", async () => {
  const hasher = pool({ maxQueued: 6, maxQueuedPerProject: 3 });
  const order: string[] = [];
  const verify = (project: string) => hasher.verify(project, "x", QUICK).then(() => order.push(project));
  // The first job of a goes to the thread at once; then seven more, which fill the queue and one is too many.
  const flood = ["a", "a", "a", "a", "b", "b", "b"].map(verify);
  const settled = Promise.allSettled(flood);
  const calm = verify("calm");
  await calm;
  const refused = (await settled).filter(({ status }) => status === "rejected");
  expect(refused).toMatchObject([{ reason: new ThreadQueueFull("own") }]);
  expect(order.indexOf("calm")).toBeLessThanOrEqual(3);
});

test("a job whose request was given up before its turn is not done", async () => {
  const hasher = pool();
  const first = hasher.verify("a", "x", QUICK);
  const aborted = hasher.verify("a", "x", QUICK, AbortSignal.abort(new Error("gone")));
  await expect(aborted).rejects.toThrow("gone");
  await first;
});

test("a job that takes too long fails, and the next one gets a new thread", async () => {
  const script = new URL("./stuck-worker.fixture.ts", import.meta.url);
  const hasher = pool({ jobTimeoutMs: 1500, script });
  const stuck = hasher.verify("a", "stuck", QUICK);
  const next = hasher.verify("b", "x", QUICK);
  await expect(stuck).rejects.toThrow("took too long");
  expect(await next).toBe(true);
});

test("closing fails what waits", async () => {
  const hasher = pool();
  const jobs = [hasher.verify("a", "x", QUICK), hasher.verify("a", "x", QUICK)];
  const settled = Promise.allSettled(jobs);
  await hasher.close();
  expect((await settled).every((one) => one.status === "rejected")).toBe(true);
});
