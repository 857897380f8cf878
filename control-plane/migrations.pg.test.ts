import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { migrate } from "./migrations.ts";
import { createFreshDatabase } from "./testing/fresh-database.ts";

test("two instances that start at once apply every migration exactly once", async () => {
  await using fresh = await createFreshDatabase(inject("clusterUrl"));
  const [first, second] = await Promise.all([migrate(fresh.url), migrate(fresh.url)]);
  const applied = [...(first ?? []), ...(second ?? [])];
  expect(applied.length).toBeGreaterThan(0);
  expect(new Set(applied).size).toBe(applied.length);
  expect(await migrate(fresh.url)).toEqual([]);
});

test("a migration that fails leaves nothing of itself behind and can be applied when it is mended", async () => {
  await using fresh = await createFreshDatabase(inject("clusterUrl"));
  const directory = await mkdtemp(join(tmpdir(), "supalove-migrations-"));
  const file = join(directory, "001_half.sql");
  await writeFile(file, "create table supalove.half (id int); select 1/0;");
  await expect(migrate(fresh.url, directory)).rejects.toThrow(/division by zero/);
  await writeFile(file, "create table supalove.half (id int);");
  expect(await migrate(fresh.url, directory)).toEqual(["001_half.sql"]);
});
