/** For tests: a listening control plane on a database of its own, and people to ask it as. */
import { randomBytes, randomUUID } from "node:crypto";
import { createAccessToken } from "../accounts/access-tokens.ts";
import { createSession } from "../accounts/sessions.ts";
import { createPool, Database } from "../database.ts";
import { createLogger } from "../logger.ts";
import type { Role } from "../permissions.ts";
import { parseMasterKeys } from "../secrets/master-keys.ts";
import { type ControlPlane, type ControlPlaneOptions, createControlPlane } from "../server.ts";
import { createFreshDatabase } from "./fresh-database.ts";
import { GraphqlClient } from "./graphql-client.ts";

export interface TestControlPlane extends AsyncDisposable {
  readonly url: string;
  readonly databaseUrl: string;
  readonly controlPlane: ControlPlane;
  /** A pool of the test's own. */
  readonly database: Database;
  /** What was logged, as JSON lines. */
  readonly log: readonly string[];
  client(credential?: string | Readonly<Record<string, string>>): GraphqlClient;
  /** A further instance on the same database. It is closed with the first. */
  startAnother(
    overrides?: Partial<ControlPlaneOptions>,
    port?: number,
  ): Promise<{ url: string; controlPlane: ControlPlane }>;
}

export async function createTestControlPlane(
  clusterUrl: string,
  overrides: Partial<ControlPlaneOptions> = {},
): Promise<TestControlPlane> {
  const fresh = await createFreshDatabase(clusterUrl);
  const log: string[] = [];
  const defaults: ControlPlaneOptions = {
    databaseUrl: fresh.url,
    masterKeys: parseMasterKeys(randomBytes(32).toString("base64")),
    publicGatewayUrl: "http://localhost:8083",
    baseDomain: "localhost",
    logger: createLogger("info", (line) => log.push(line)),
    version: "0.0.0-test",
    maxDatabaseConnections: 5,
    passwordThreads: 1,
    clusterWatch: null, // all tests share one cluster: a watch sees what other files do
    ...overrides,
  };
  const instances: ControlPlane[] = [];
  const start = async (further: Partial<ControlPlaneOptions> = {}, port = 0) => {
    const controlPlane = await createControlPlane({ ...defaults, ...further });
    instances.push(controlPlane);
    const { url } = await controlPlane.listen(port, "127.0.0.1");
    return { url, controlPlane };
  };
  const { url, controlPlane } = await start();
  const database = new Database(createPool({ databaseUrl: fresh.url, maxConnections: 3 }));
  return {
    url,
    controlPlane,
    database,
    databaseUrl: fresh.url,
    log,
    client: (credential) => new GraphqlClient(url, credential),
    startAnother: start,
    async [Symbol.asyncDispose]() {
      await Promise.all(instances.map((instance) => instance.close()));
      await database.close();
      await fresh.drop();
    },
  };
}

export interface TestAccount {
  readonly id: string;
  readonly email: string;
  /** A personal access token. */
  readonly token: string;
  /** Headers of a browser session on that control plane. */
  readonly session: Readonly<Record<string, string>>;
}

/** An account without a usable password: hashing would cost each test 75 ms. The first one owns the installation. */
export async function insertTestAccount(database: Database, name = "person"): Promise<TestAccount> {
  const email = `${name}-${randomUUID().slice(0, 8)}@example.com`;
  return database.transaction(async (tx) => {
    await tx.query("select pg_advisory_xact_lock(1)");
    const [row] = await tx.query<{ id: string }>(
      `insert into accounts (email, name, password_hash, is_instance_owner)
       values ($1, $2, 'none', not exists (select from accounts)) returning id`,
      [email, name],
    );
    const id = row?.id ?? "";
    const { token } = await createAccessToken(tx, id, "test", null);
    const session = await createSession(tx, id, Date.now());
    return {
      id,
      email,
      token,
      session: { cookie: `supalove_session=${session.token}`, "x-supalove-client": "test" },
    };
  });
}

/** Makes the account a member without asking anybody. */
export async function insertTestMember(
  database: Database,
  organizationId: string,
  account: TestAccount,
  role: Role,
): Promise<void> {
  await database.query("insert into memberships (organization_id, account_id, role) values ($1, $2, $3)", [
    organizationId,
    account.id,
    role,
  ]);
}
