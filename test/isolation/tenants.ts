/** Two projects in one cluster, seen from the inside: everybody a tenant can be in SQL. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { bootstrapCluster } from "../../control-plane/clusters/bootstrap.ts";
import { connectAsAdmin, parseClusterUrl } from "../../control-plane/clusters/cluster-connections.ts";
import { ensureProjectDatabase, grantProject } from "../../control-plane/clusters/project-database.ts";
import { ensureProjectRoles } from "../../control-plane/clusters/project-roles.ts";
import { ensureTemplate } from "../../control-plane/clusters/template.ts";
import { startTestCluster, type TestCluster } from "../harness/cluster.ts";

export const VERSIONS = [15, 17, 18] as const;

/** The roles a tenant can take by SET ROLE; the login itself is `null`. */
export const ROLES = [
  "anon",
  "authenticated",
  "service_role",
  "postgres",
  "supabase_auth_admin",
  "supabase_storage_admin",
  "supabase_realtime_admin",
] as const;

export interface Tenant {
  readonly ref: string;
  readonly database: string;
  readonly userRole: string;
  readonly authenticatorRole: string;
  readonly passwords: { readonly user: string; readonly authenticator: string };
  /** Logged in as `project_<ref>_user`. */
  readonly user: pg.Client;
  /** Logged in as `project_<ref>_authenticator`. */
  readonly authenticator: pg.Client;
  /** One more session of the project's user. */
  connect(): Promise<pg.Client>;
}

export interface Neighbours {
  readonly cluster: TestCluster;
  readonly templateName: string;
  readonly alice: Tenant;
  readonly bob: Tenant;
  /** Superuser in database `postgres`. */
  readonly admin: pg.Client;
  connect(options: { user: string; password: string; database: string; replication?: string }): Promise<pg.Client>;
  addTenant(): Promise<Tenant>;
  stop(): Promise<void>;
}

/** @param settings of the server, such as a lower `max_connections`. */
export async function startNeighbours(
  major: (typeof VERSIONS)[number],
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Neighbours> {
  const cluster = await startTestCluster(major, { shared_preload_libraries: "pg_stat_statements", ...settings });
  const address = parseClusterUrl(cluster.url);
  const open: pg.Client[] = [];
  const connect: Neighbours["connect"] = async (options) => {
    const client = new pg.Client({ host: address.host, port: address.port, ...options } as pg.ClientConfig);
    client.on("error", () => {}); // sessions are ended on purpose
    await client.connect();
    open.push(client);
    return client;
  };
  const admin = await connectAsAdmin(address, "postgres");
  const roles = await bootstrapCluster(admin);
  const template = await ensureTemplate(admin, (database) => connectAsAdmin(address, database), roles);

  const addTenant = async (): Promise<Tenant> => {
    const ref = [...randomBytes(20)].map((byte) => String.fromCharCode(97 + (byte % 26))).join("");
    const passwords = { user: randomBytes(16).toString("hex"), authenticator: randomBytes(16).toString("hex") };
    await ensureProjectRoles(admin, ref, roles, {
      userPassword: passwords.user,
      authenticatorPassword: passwords.authenticator,
    });
    await ensureProjectDatabase(admin, ref, template);
    const database = `project_${ref}`;
    const session = await connectAsAdmin(address, database);
    await grantProject(session, ref, roles);
    await session.end();
    const userRole = `${database}_user`;
    const authenticatorRole = `${database}_authenticator`;
    const asUser = () => connect({ user: userRole, password: passwords.user, database });
    return {
      ...{ ref, database, userRole, authenticatorRole, passwords },
      user: await asUser(),
      authenticator: await connect({ user: authenticatorRole, password: passwords.authenticator, database }),
      connect: asUser,
    };
  };

  const alice = await addTenant();
  const bob = await addTenant();
  return {
    ...{ cluster, admin, alice, bob, connect, addTenant },
    templateName: template.name,
    async stop() {
      await Promise.all([...open, admin].map((client) => client.end().catch(() => {})));
      await cluster.stop();
    },
  };
}

/** Every way a tenant's statement can reach the server: both logins, as themselves and as each role they can take. */
export function* identitiesOf(tenant: Tenant): Generator<{ name: string; client: pg.Client; role: string | null }> {
  for (const [login, client] of [
    ["user", tenant.user],
    ["authenticator", tenant.authenticator],
  ] as const) {
    yield { name: login, client, role: null };
    for (const role of ROLES) {
      if (login === "authenticator" && role === "postgres") continue;
      yield { name: `${login} as ${role}`, client, role };
    }
  }
}

/**
 * Runs the statement as every identity, outside a transaction, and answers how each fared: the SQLSTATE, or `ok`.
 * Equal results of all are one entry.
 */
export async function tryAsEverybody(tenant: Tenant, statement: string): Promise<string[]> {
  const results = new Map<string, string[]>();
  for (const { name, client, role } of identitiesOf(tenant)) {
    if (role) await client.query(`set role ${role}`);
    const outcome = await client.query(statement).then(
      () => "ok",
      (error: { code?: string }) => error.code ?? String(error),
    );
    await client.query("reset role");
    results.set(outcome, [...(results.get(outcome) ?? []), name]);
  }
  const all = [...results];
  return all.length === 1 ? [all[0]?.[0] ?? ""] : all.map(([outcome, names]) => `${outcome}: ${names.join(", ")}`);
}
