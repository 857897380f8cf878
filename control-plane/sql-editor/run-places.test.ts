import { expect, test } from "vitest";
import { createRunPlaces, type RunPlaces } from "./run-places.ts";

const present = new AbortController().signal;
const REFUSED = "too many SQL scripts";

/** Takes a place for an organization, each with an account of its own; says when it has come. */
function take(places: RunPlaces, organizationId: string, accountId = `account of ${organizationId}`, signal = present) {
  const run = { begun: false, end: () => {} };
  const done = places.take({ organizationId, accountId }, signal).then((giveBack) => {
    run.begun = true;
    run.end = giveBack;
  });
  done.catch(() => undefined);
  return Object.assign(run, { done });
}

const settled = () => new Promise((resume) => setImmediate(resume));

test("an organization runs four scripts at once; the fifth waits until one has ended, whatever the project", async () => {
  const places = createRunPlaces();
  const runs = Array.from({ length: 5 }, () => take(places, "a"));
  await settled();
  expect(runs.map(({ begun }) => begun)).toEqual([true, true, true, true, false]);
  runs[0]?.end();
  await settled();
  expect(runs[4]?.begun).toBe(true);
});

test("organizations that hold all shared places do not keep another one from its first script", async () => {
  const places = createRunPlaces();
  for (const organization of "abcd") for (let run = 0; run < 8; run++) take(places, organization);
  const quiet = [take(places, "quiet"), take(places, "quiet")];
  await settled();
  expect(quiet.map(({ begun }) => begun)).toEqual([true, false]);
});

test("organizations take turns: who waits with one script does not stand behind another's eight", async () => {
  const places = createRunPlaces();
  const all = [..."abcd"].flatMap((organization) => Array.from({ length: 4 }, () => take(places, organization)));
  const first = Array.from("efghijklmnopqrst", (organization) => take(places, organization));
  const flood = Array.from({ length: 8 }, () => take(places, "flood"));
  const quiet = take(places, "quiet");
  await settled();
  expect([...flood, quiet].filter(({ begun }) => begun)).toEqual([]);
  for (const run of [...all, ...first].slice(0, 2)) run.end();
  await settled();
  expect([flood[0]?.begun, flood[1]?.begun, quiet.begun]).toEqual([true, false, true]);
});

test("an account has at most twelve under way, however many organizations it has", async () => {
  const places = createRunPlaces();
  for (let run = 0; run < 12; run++) take(places, `organization ${run}`, "somebody");
  await expect(take(places, "another", "somebody").done).rejects.toThrow(REFUSED);
  const end = await places.take({ organizationId: "another", accountId: "somebody else" }, present);
  end();
});

test("who goes away, or waits too long, leaves the queue", async () => {
  const places = createRunPlaces({ maxWaitMs: 20 });
  const running = Array.from({ length: 4 }, () => take(places, "a"));
  const leaving = new AbortController();
  const gone = take(places, "a", "somebody", leaving.signal);
  leaving.abort();
  await expect(gone.done).rejects.toThrow(REFUSED);
  await expect(take(places, "a").done).rejects.toThrow(REFUSED);
  running[0]?.end();
  const next = take(places, "a");
  await settled();
  expect(next.begun).toBe(true);
});

test("the queue of an organization is bounded", async () => {
  const places = createRunPlaces();
  for (let run = 0; run < 16; run++) take(places, "a", `account ${run}`);
  await expect(take(places, "a", "one more").done).rejects.toThrow(REFUSED);
});
