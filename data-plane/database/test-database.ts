/** For tests: a fresh database in the run's cluster, its address, and a superuser's connection to look from outside. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { type DatabaseAddress, type ProjectRef, parseProjectRef } from "../../control-plane/client/config-snapshot.ts";

export interface TestDatabase {
  readonly projectRef: ProjectRef;
  readonly address: DatabaseAddress;
  /** Runs SQL as superuser in the database. */
  query(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>;
  drop(): Promise<void>;
}

export async function createTestDatabase(clusterUrl: string): Promise<TestDatabase> {
  const url = new URL(clusterUrl);
  const name = `db_${randomBytes(8).toString("hex")}`;
  const admin = new pg.Client({ connectionString: clusterUrl });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  url.pathname = `/${name}`;
  const inside = new pg.Client({ connectionString: url.href });
  inside.on("error", () => {}); // tests stop servers and terminate backends
  await inside.connect();
  return {
    projectRef: parseProjectRef(randomRef()),
    address: {
      host: url.hostname,
      port: Number(url.port),
      database: name,
      user: url.username,
      password: decodeURIComponent(url.password),
      ssl: false,
    },
    query: async (text, values) => (await inside.query(text, values)).rows,
    async drop() {
      await inside.end();
      const client = new pg.Client({ connectionString: clusterUrl });
      await client.connect();
      await client.query(`drop database ${name} with (force)`);
      await client.end();
    },
  };
}

export function randomRef(): string {
  return Array.from(randomBytes(20), (byte) => String.fromCharCode(97 + (byte % 26))).join("");
}
