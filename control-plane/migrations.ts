/**
 * Brings the control plane's schema up to date: sql/control-plane/NNN_*.sql, each once, in order of the numbers, each in
 * a transaction of its own and recorded with its checksum. Instances that start together wait for one another.
 *
 * A file may hold the line `-- compatible-from: NNN`: code whose newest migration is NNN or later runs on the database
 * that the file leaves behind. So the code of before can go on beside newer code, and come back after it.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type pg from "pg";
import { clientConfig } from "./database.ts";
import { createClient } from "./postgres-client.ts";

export const MIGRATIONS_DIRECTORY = resolve(import.meta.dirname, "../sql/control-plane");

/** Any number, as long as nothing else takes this advisory lock: the bytes of "supalove" as one int8. */
const MIGRATION_LOCK = "8319679450370242149";

export interface Migration {
  readonly number: number;
  /** The file's name, such as `001_initial.sql`. */
  readonly name: string;
  /** SHA-256 of the file, lower-case hex. */
  readonly checksum: string;
  /** Newest migration of the oldest code that runs on what this one leaves behind; null: only code that knows this one. */
  readonly compatibleFrom: number | null;
  readonly sql: string;
}

export type AppliedMigration = Omit<Migration, "sql">;

/** The database does not fit this version of the code; the message says what to do. */
export class MigrationMismatch extends Error {}

/**
 * What is left to apply. Pure.
 * @throws {MigrationMismatch} newer code has applied a migration that excludes this code, or an applied file was edited since.
 */
export function pendingMigrations(known: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const byNumber = new Map(known.map((migration) => [migration.number, migration]));
  const newestKnown = Math.max(0, ...byNumber.keys());
  for (const { number, name, checksum, compatibleFrom } of applied) {
    const migration = byNumber.get(number);
    if (!migration) {
      if (number > newestKnown && compatibleFrom !== null && compatibleFrom <= newestKnown) continue;
      throw new MigrationMismatch(
        `the database is newer than this version of Supalove: it has migration ${name}, which is unknown here and not said to be compatible; start the version that made it, or a later one`,
      );
    }
    if (migration.checksum !== checksum) {
      throw new MigrationMismatch(
        `migration ${name} was edited after it had been applied: migrations only go forward, put the change into a new file`,
      );
    }
  }
  const done = new Set(applied.map(({ number }) => number));
  return known.filter(({ number }) => !done.has(number));
}

/** In order of their numbers. @throws when two files have the same number, or a file has none. */
export async function readMigrations(directory: string = MIGRATIONS_DIRECTORY): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sql")).sort();
  const migrations = await Promise.all(
    names.map(async (name) => {
      const number = /^(\d{3})_/.exec(name)?.[1];
      if (!number) throw new Error(`${name}: a migration is named NNN_what.sql`);
      const sql = await readFile(join(directory, name), "utf8");
      const compatibleFrom = /^-- compatible-from: (\d{3})$/m.exec(sql)?.[1];
      return {
        number: Number(number),
        name,
        sql,
        checksum: createHash("sha256").update(sql).digest("hex"),
        compatibleFrom: compatibleFrom === undefined ? null : Number(compatibleFrom),
      };
    }),
  );
  const twice = migrations.find(({ number }, index) => migrations[index + 1]?.number === number);
  if (twice) throw new Error(`two migrations have the number ${twice.number}`);
  return migrations;
}

/**
 * Applies what is pending on a connection of its own and returns the names.
 * @throws {MigrationMismatch} @throws pg's error of the statement that failed; that file is then not applied at all.
 */
export async function migrate(databaseUrl: string, directory?: string): Promise<string[]> {
  const known = await readMigrations(directory);
  const client = createClient(clientConfig(databaseUrl));
  await client.connect();
  try {
    // Held until the connection ends, so also when this process is killed in between.
    await client.query("/* migrate */ select pg_advisory_lock($1)", [MIGRATION_LOCK]);
    await client.query("/* migrate */ create schema if not exists supalove");
    await client.query(`/* migrate */ create table if not exists supalove.migrations (
      number integer primary key,
      name text not null,
      checksum text not null,
      applied_at timestamptz not null default now()
    )`);
    await client.query(
      "/* migrate */ alter table supalove.migrations add column if not exists compatible_from integer",
    );
    const applied = await client.query<AppliedMigration>(
      `/* migrate */ select number, name, checksum, compatible_from as "compatibleFrom" from supalove.migrations order by number`,
    );
    const pending = pendingMigrations(known, applied.rows);
    for (const migration of pending) await applyMigration(client, migration);
    return pending.map(({ name }) => name);
  } finally {
    await client.end();
  }
}

async function applyMigration(
  client: pg.Client,
  { number, name, checksum, compatibleFrom, sql }: Migration,
): Promise<void> {
  await client.query("begin");
  try {
    await client.query(sql);
    await client.query(
      "/* applyMigration */ insert into supalove.migrations (number, name, checksum, compatible_from) values ($1, $2, $3, $4)",
      [number, name, checksum, compatibleFrom],
    );
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => undefined);
    throw error;
  }
}
