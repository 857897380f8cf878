import { expect, test } from "vitest";
import { type Migration, MigrationMismatch, pendingMigrations, readMigrations } from "./migrations.ts";

const migration = (number: number): Migration => ({
  number,
  name: `00${number}_x.sql`,
  checksum: `sum ${number}`,
  sql: "",
});

test("what was applied is not applied again", () => {
  expect(pendingMigrations([migration(1), migration(2)], [migration(1)])).toEqual([migration(2)]);
});

test("a database that newer code has migrated is refused, with its unknown migration named", () => {
  expect(() => pendingMigrations([migration(1)], [migration(1), migration(2)])).toThrow(/newer.*002_x\.sql/);
});

test("a migration edited after it was applied is refused", () => {
  const edited = { ...migration(1), checksum: "other" };
  expect(() => pendingMigrations([edited], [migration(1)])).toThrow(MigrationMismatch);
});

test("the migrations of the repository are numbered without gaps", async () => {
  const numbers = (await readMigrations()).map(({ number }) => number);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});
