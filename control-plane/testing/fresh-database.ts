/** For tests: a database of its own in the run's cluster, empty or with the control plane's schema. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { createPool, Database } from "../database.ts";
import { migrate } from "../migrations.ts";

export interface FreshDatabase extends AsyncDisposable {
  readonly url: string;
  /** Ends its connections and drops it. */
  drop(): Promise<void>;
}

/** @param clusterUrl Superuser URL of a cluster: `inject("clusterUrl")`. */
export async function createFreshDatabase(clusterUrl: string): Promise<FreshDatabase> {
  const name = `test_${randomBytes(6).toString("hex")}`;
  await run(clusterUrl, `create database ${name} template template0`);
  const url = new URL(clusterUrl);
  url.pathname = `/${name}`;
  const drop = () => run(clusterUrl, `drop database if exists ${name} with (force)`);
  return { url: url.href, drop, [Symbol.asyncDispose]: drop };
}

export interface ControlPlaneDatabase extends FreshDatabase {
  readonly database: Database;
}

/** As {@link createFreshDatabase}, migrated, with an open {@link Database} that is closed before the drop. */
export async function createControlPlaneDatabase(clusterUrl: string): Promise<ControlPlaneDatabase> {
  const fresh = await createFreshDatabase(clusterUrl);
  await migrate(fresh.url);
  const database = new Database(createPool({ databaseUrl: fresh.url, maxConnections: 5 }));
  const drop = async () => {
    await database.close();
    await fresh.drop();
  };
  return { url: fresh.url, database, drop, [Symbol.asyncDispose]: drop };
}

async function run(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
