/** The SQL of sql/cluster and sql/project: numbered files, run in order, each re-runnable. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const SQL_FOLDER = resolve(import.meta.dirname, "../../sql");

export interface SqlFile {
  readonly name: string;
  readonly text: string;
}

/** Values that stand as `:"name"` (identifier) or `:'name'` (text) in a file, as psql would have them. */
export interface SqlParameters {
  /** The group role that stands for Supabase's `postgres`. */
  readonly postgres_group: string;
}

/** Files of `sql/<folder>` in order of their numbers. */
export function readSqlFiles(folder: "cluster" | "project"): SqlFile[] {
  return readdirSync(join(SQL_FOLDER, folder))
    .filter((name) => /^\d{3}_\w+\.sql$/.test(name))
    .sort()
    .map((name) => ({ name, text: readFileSync(join(SQL_FOLDER, folder, name), "utf8") }));
}

/** @throws {TypeError} for a parameter the values do not have: a misspelt one must not reach the server. */
export function renderSql(text: string, parameters: SqlParameters): string {
  return text.replaceAll(/(?<!:):(["'])(\w+)\1/g, (_match, quote: string, name: string) => {
    const value = (parameters as unknown as Record<string, string>)[name];
    if (value === undefined || !/^[a-z_][a-z0-9_]*$/.test(value)) throw new TypeError(`no SQL parameter ${name}`);
    return quote + value + quote;
  });
}

/**
 * A number that stands for the content of sql/project: equal files, equal number. 31 bits, so that it fits
 * `clusters.template_version`; it tells versions apart and says nothing about which is newer.
 */
export function projectSqlVersion(files: readonly SqlFile[] = readSqlFiles("project")): number {
  const hash = createHash("sha256");
  for (const file of files) hash.update(`${file.name}\0${file.text}\0`);
  return hash.digest().readUInt32BE(0) >>> 1;
}
