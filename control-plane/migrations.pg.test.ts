import { mkdtemp, rm, writeFile } from "node:fs/promises";
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
  await rm(directory, { recursive: true });
});

test("code of before goes on with a database whose newer migrations say that they are compatible, and with no other", async () => {
  await using fresh = await createFreshDatabase(inject("clusterUrl"));
  const before = await mkdtemp(join(tmpdir(), "supalove-migrations-"));
  const after = await mkdtemp(join(tmpdir(), "supalove-migrations-"));
  for (const directory of [before, after]) await writeFile(join(directory, "001_first.sql"), "select 1;");
  await writeFile(join(after, "002_wider.sql"), "-- compatible-from: 001\nselect 2;");
  expect(await migrate(fresh.url, after)).toEqual(["001_first.sql", "002_wider.sql"]);
  expect(await migrate(fresh.url, before)).toEqual([]);
  await writeFile(join(after, "003_narrower.sql"), "select 3;");
  await migrate(fresh.url, after);
  await expect(migrate(fresh.url, before)).rejects.toThrow(/003_narrower\.sql/);
});
