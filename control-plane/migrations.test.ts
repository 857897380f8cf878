import { expect, test } from "vitest";
import { type Migration, MigrationMismatch, pendingMigrations, readMigrations } from "./migrations.ts";

const migration = (number: number, compatibleFrom: number | null = null): Migration => ({
  number,
  name: `00${number}_x.sql`,
  checksum: `sum ${number}`,
  compatibleFrom,
  sql: "",
});

test("what was applied is not applied again", () => {
  expect(pendingMigrations([migration(1), migration(2)], [migration(1)])).toEqual([migration(2)]);
});

test("a database that newer code has migrated is refused, with its unknown migration named", () => {
  expect(() => pendingMigrations([migration(1)], [migration(1), migration(2)])).toThrow(/newer.*002_x\.sql/);
});

test("a database that newer code has migrated in a compatible way is used as it is", () => {
  expect(pendingMigrations([migration(1), migration(2)], [migration(1), migration(2), migration(3, 2)])).toEqual([]);
  expect(() => pendingMigrations([migration(1)], [migration(1), migration(2, 1), migration(3, 2)])).toThrow(
    /003_x\.sql/,
  );
});

test("a migration that is missing here below the newest known one is no newer one", () => {
  const [first, second, third] = [migration(1), migration(2, 1), migration(3)];
  expect(() => pendingMigrations([first, third], [first, second, third])).toThrow(/002_x\.sql/);
});

test("a migration edited after it was applied is refused", () => {
  const edited = { ...migration(1), checksum: "other" };
  expect(() => pendingMigrations([edited], [migration(1)])).toThrow(MigrationMismatch);
});

test("the migrations of the repository are numbered without gaps", async () => {
  const numbers = (await readMigrations()).map(({ number }) => number);
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
});
