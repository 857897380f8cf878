import { afterEach, expect, test } from "vitest";
import { ThreadQueueFull } from "../../control-plane/client/fair-threads.ts";
import { payloadScanner } from "../rest/request/scan-payload.ts";
import { WorkerPool } from "./worker-pool.ts";

const pools: WorkerPool[] = [];
afterEach(async () => {
  for (const pool of pools.splice(0)) await pool.close();
});

function start(options: ConstructorParameters<typeof WorkerPool>[0] = {}): WorkerPool {
  const pool = new WorkerPool(options);
  pools.push(pool);
  return pool;
}

const CSV = { contentType: "text/csv", hasColumns: false, forRoutine: false };
const JSON_BODY = { contentType: undefined, hasColumns: false, forRoutine: false };

test("a body is looked over in a thread, and comes back as it would have been here", async () => {
  const scan = payloadScanner(start(), "project");
  const rows = Buffer.from(
    JSON.stringify([
      { a: 1, b: "x" },
      { a: 2, b: "ä" },
    ]),
  );
  const scanned = await scan(Buffer.from(rows), JSON_BODY);
  expect(scanned).toEqual({
    kind: "json",
    bytes: rows,
    shape: "array",
    keys: ["a", "b"],
    empty: false,
    fromCsv: false,
  });
  const table = await scan(Buffer.from("a,b\n1,2\n"), CSV);
  expect(table).toMatchObject({ keys: ["a", "b"], bytes: Buffer.from('[{"a":"1","b":"2"}]') });
});

test("what is wrong with it is told as it would have been here", async () => {
  const scan = payloadScanner(start(), "project");
  await expect(scan(Buffer.from("[1,"), JSON_BODY)).rejects.toMatchObject({
    status: 400,
    code: "PGRST102",
    message: "Empty or invalid json",
  });
});

test("who floods the pool waits for himself, and is refused above his share", async () => {
  const pool = start({ threads: 1, maxQueuedPerProject: 4 });
  const body = Buffer.from(`t\n${'"'.repeat(400_000)}`);
  const outcomes: string[] = [];
  const job = (holder: string) =>
    pool.run(holder, "restPayload", { bytes: Buffer.from(body), options: CSV }).then(
      () => void outcomes.push(holder),
      (error) => void outcomes.push(error instanceof ThreadQueueFull ? "refused" : String(error)),
    );
  await Promise.all([...Array.from({ length: 10 }, () => job("greedy")), job("small")]);
  expect(outcomes.filter((outcome) => outcome === "refused")).toHaveLength(5);
  const served = outcomes.filter((outcome) => outcome !== "refused");
  expect(served.indexOf("small")).toBeLessThanOrEqual(2);
});

test("a job that takes too long costs its own request, and those that wait behind it get their turn", async () => {
  const scan = payloadScanner(start({ threads: 1, jobTimeoutMs: 20 }), "project");
  const body = () => Buffer.from(`t\n${'"'.repeat(20_000_000)}`);
  const outcomes = await Promise.allSettled([scan(body(), CSV), scan(body(), CSV)]);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});
