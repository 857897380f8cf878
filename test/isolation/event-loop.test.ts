/** What one project has the shared services do does not keep the others waiting: the whole stack, a hostile and a quiet project. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  temporaryDataDir,
} from "../harness/standalone.ts";
import { type QuietReader, startReader } from "./attacks/quiet-reader.ts";
import {
  describeAll,
  listUsers,
  makeLargeUser,
  makeLongError,
  makeTables,
  raiseLongError,
  reloadInALoop,
  runSql,
  sendBodies,
} from "./attacks/unbounded-work.ts";

const MB = 1_000_000;
const dataDir = temporaryDataDir();
let stack: Stack;
let hostile: CreatedProject;
let neighbour: QuietReader;

beforeAll(async () => {
  // Small maxima, so that the attacks need not be large; one serving process, so that all share its loop.
  stack = await startStack(dataDir, {
    SUPALOVE_WORKERS: "1",
    SUPALOVE_MAX_SCHEMA_COLUMNS: "20000",
    SUPALOVE_MAX_RESPONSE_BYTES: String(8 * MB),
  });
  hostile = await createProject(dataDir, "hostile");
  const quiet = await createProject(dataDir, "quiet");
  await runSql(quiet, "create table public.notes (id int primary key)", "grant select on public.notes to anon");
  const headers = { apikey: quiet.anonKey };
  const url = `${quiet.url}/rest/v1/notes`;
  await vi.waitFor(async () => expect((await fetch(url, { headers })).status).toBe(200), 30_000);
  neighbour = startReader(url, headers);
});
afterAll(async () => {
  await neighbour?.stop();
  await stack?.stop();
  removeDataDir(dataDir);
});

/**
 * While one attack runs the neighbour is answered, and never waits for the whole of it: what ran in one piece on the
 * loop would keep it waiting from beginning to end.
 */
async function expectNeighbourServed<T>(attack: () => Promise<T>): Promise<T> {
  neighbour.report();
  const startedMs = performance.now();
  const outcome = await attack();
  const tookMs = performance.now() - startedMs;
  const { answers, failures, worstMs } = neighbour.report();
  expect(failures).toBe(0);
  if (tookMs > 1_000) {
    expect(answers).toBeGreaterThan(3);
    expect(worstMs).toBeLessThan(tookMs / 2);
  }
  return outcome;
}

describe("a schema of many tables", () => {
  test("is described piece by piece, and loaded while others are served", { timeout: 120_000 }, async () => {
    await makeTables(hostile, 900, 20);
    await expect
      .poll(async () => (await describeAll(hostile)).bytes, { timeout: 60_000, interval: 500 })
      .toBeGreaterThan(3 * MB);
    const outcomes = await expectNeighbourServed(async () => {
      await reloadInALoop(hostile, 200);
      return Promise.all([describeAll(hostile), describeAll(hostile), describeAll(hostile)]);
    });
    for (const { status, beginning } of outcomes) {
      expect(status).toBe(200);
      expect(beginning).toMatch(/^\{"swagger":"2.0"/);
    }
  });

  test("of more columns than the installation serves is refused, and says why", { timeout: 120_000 }, async () => {
    const crowded = await createProject(dataDir, "crowded");
    await makeTables(crowded, 500, 41);
    const refused = await expectNeighbourServed(() => describeAll(crowded));
    expect(refused.status).toBe(503);
    expect(JSON.parse(refused.beginning)).toMatchObject({
      code: "PGRST002",
      details: "The exposed schemas have 20500 columns, where at most 20000 are served",
    });
  });
});

describe("a body that takes long to look over", () => {
  test.each(["csv", "json", "form"] as const)("%s", { timeout: 120_000 }, async (kind) => {
    const outcomes = await expectNeighbourServed(() => sendBodies(hostile, kind, 9 * MB, 3));
    for (const { status } of outcomes) expect([400, 404, 413]).toContain(status);
  });
});

describe("what a database answers", () => {
  test("is cut where it is the text of an error", { timeout: 60_000 }, async () => {
    await makeLongError(hostile);
    await expect
      .poll(async () => (await raiseLongError(hostile, 10)).beginning, { timeout: 60_000 })
      .toContain("xxxxxxxxxx");
    const long = await expectNeighbourServed(() => raiseLongError(hostile, 3 * MB));
    expect(long.status).toBe(400);
    expect(long.bytes).toBeLessThan(200_000);
  });

  test("is refused as a whole where it is larger than the installation allows", async () => {
    const larger = await expectNeighbourServed(() => raiseLongError(hostile, 20 * MB));
    expect(JSON.parse(larger.beginning)).toMatchObject({ code: "54000" });
  });
});

test("a user whose metadata SQL has made huge is listed without them", { timeout: 60_000 }, async () => {
  await makeLargeUser(hostile, 20 * MB);
  const listed = await expectNeighbourServed(() => listUsers(hostile));
  expect(listed.status).toBe(200);
  expect(JSON.parse(listed.beginning).users).toContainEqual(
    expect.objectContaining({ email: "large@example.com", user_metadata: {} }),
  );
});
