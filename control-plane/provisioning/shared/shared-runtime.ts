/** Shared projects: a database and two logins in a shared cluster, made from its template. */
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { hashGeneratedPassword } from "../../accounts/password-hashing.ts";
import { withAuthenticatorSession } from "../../clusters/authenticator-session.ts";
import type { ClusterConnections } from "../../clusters/cluster-connections.ts";
import { migrateProjectDatabase } from "../../clusters/migrate.ts";
import { projectDatabaseName } from "../../clusters/names.ts";
import {
  ensureProjectDatabase,
  grantExistingObjects,
  grantProject,
  pauseProject,
  resumeProject,
} from "../../clusters/project-database.ts";
import { ensureProjectRoles } from "../../clusters/project-roles.ts";
import { terminateProjectSessions } from "../../clusters/project-sessions.ts";
import type { Database } from "../../database.ts";
import type { Logger } from "../../logger.ts";
import { insertProjectUser } from "../../project-users/insert-user.ts";
import type { Vault } from "../../secrets/vault.ts";
import { isUnreachable } from "../failure.ts";
import type { OperationKind, ProvisionedProject } from "../operation.ts";
import type { Runtime } from "../runtime.ts";
import type { Step } from "../step-runner.ts";
import { dropDatabaseOf, dropRolesOf, recordLeftover, removeLeftovers } from "./leftovers.ts";
import { placeProject } from "./place-project.ts";
import { ensureProjectSecrets, type ProjectSecrets, readProjectSecrets } from "./project-secrets.ts";
import { ReadyClusters } from "./ready-clusters.ts";

export interface SharedRuntimeOptions {
  readonly database: Database;
  readonly vault: Vault;
  readonly clusters: ClusterConnections;
  /** Removes the bytes of a project's objects; may run again. Left out where the services see to it themselves. */
  readonly eraseStorage?: ((ref: string) => Promise<void>) | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The first user's claim `app_metadata.role`: policies may ask for it. It gives no power of its own. */
const FIRST_USER_ROLE = "admin";
const TEMPLATE_GONE = "3D000";

export function createSharedRuntime(options: SharedRuntimeOptions): Runtime {
  const ready = new ReadyClusters(options.database, options.vault, options.clusters);
  return {
    steps: (kind, project) => STEPS[kind](new SharedProject(options, ready, project)),
    tidy: (logger) => removeLeftovers(options.database, options.clusters, logger),
    prepare: (logger) => prepareClusters(options.database, ready, logger),
  };
}

const STEPS: Readonly<Record<OperationKind, (project: SharedProject) => readonly Step[]>> = {
  create: (project) => [
    { name: "place", run: () => project.place() },
    { name: "secrets", run: () => project.makeSecrets() },
    { name: "roles", run: () => project.ensureRoles() },
    { name: "database", run: () => project.ensureDatabase() },
    { name: "contents", run: () => project.fill() },
  ],
  pause: (project) => [{ name: "close", run: () => project.onCluster(pauseProject) }],
  // A tenant can give his logins other passwords and timeouts: both bring them back to what is stored.
  resume: (project) => [
    { name: "roles", run: () => project.ensureRoles() },
    { name: "open", run: () => project.onCluster(resumeProject) },
  ],
  restart: (project) => [
    { name: "roles", run: () => project.ensureRoles() },
    { name: "end-sessions", run: () => project.onCluster(terminateProjectSessions) }, // of whoever came by another password
    { name: "open", run: () => project.onCluster(resumeProject) },
  ],
  delete: (project) => [
    { name: "database", run: () => project.dropDatabase() },
    { name: "roles", run: () => project.dropRoles() },
    { name: "storage", run: () => project.eraseStorage() }, // behind the database: nothing is uploaded any more
    { name: "records", run: () => project.forget() },
  ],
  abandon: (project) => [
    { name: "cluster", run: () => project.dropOrLeaveBehind() },
    { name: "storage", run: () => project.eraseStorage() },
    { name: "records", run: () => project.forget() },
  ],
  migrate: (project) => [{ name: "project-sql", run: () => project.migrate() }],
};

async function prepareClusters(database: Database, ready: ReadyClusters, logger: Logger): Promise<string[]> {
  const clusters = await database.query<{ id: string }>(
    "/* prepareClusters */ select id from clusters where state <> 'offline'",
  );
  const prepared = clusters.map(({ id }) =>
    ready.get(id).catch((error) => logger.warn({ err: error, clusterId: id }, "a cluster is not ready yet")),
  );
  await Promise.all(prepared);
  const outdated = await database.query<{ ref: string }>(
    `/* prepareClusters: outdated projects */ select ref from projects join clusters on clusters.id = cluster_id
     where deleted_at is null and projects.state in ('ACTIVE', 'PAUSED')
       and projects.template_version <> clusters.template_version
     order by ref`,
  );
  return outdated.map(({ ref }) => ref);
}

/** One run's view of a project: reads what it needs when a step first asks, since an earlier step may have been another process's. */
class SharedProject {
  readonly #options: SharedRuntimeOptions;
  readonly #ready: ReadyClusters;
  readonly #ref: string;
  #clusterId: string | null;
  #secrets: Promise<ProjectSecrets> | null = null;

  constructor(options: SharedRuntimeOptions, ready: ReadyClusters, project: ProvisionedProject) {
    this.#options = options;
    this.#ready = ready;
    this.#ref = project.ref;
    this.#clusterId = project.clusterId;
  }

  async place(): Promise<void> {
    this.#clusterId = await placeProject(this.#options.database, this.#ref);
  }

  async makeSecrets(): Promise<void> {
    const { database, vault, now } = this.#options;
    const secrets = await database.transaction((tx) => ensureProjectSecrets(tx, vault, this.#ref, now()));
    this.#secrets = Promise.resolve(secrets);
  }

  async ensureRoles(): Promise<void> {
    const { roles } = await this.#ready.get(this.#cluster);
    const secrets = await this.#readSecrets();
    await this.onCluster((client, ref) =>
      ensureProjectRoles(client, ref, roles, {
        userPassword: secrets.POSTGRES_PASSWORD,
        authenticatorPassword: secrets.AUTHENTICATOR_PASSWORD,
      }),
    );
  }

  async ensureDatabase(): Promise<void> {
    const version = await this.#copyTemplate().catch((error: { code?: unknown }) => {
      if (error.code !== TEMPLATE_GONE) throw error;
      this.#ready.forget(this.#cluster); // an operator dropped it: it is built again
      return this.#copyTemplate();
    });
    await this.#recordTemplateVersion(version);
  }

  /** What could not be in the template. The two need sessions of different roles, and opening those is most of the work. */
  async fill(): Promise<void> {
    const outcomes = await Promise.allSettled([this.#grant(), this.#insertFirstUser()]);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }

  async #grant(): Promise<void> {
    const { roles } = await this.#ready.get(this.#cluster);
    const { clusters } = this.#options;
    await clusters.withProjectAdmin(this.#cluster, projectDatabaseName(this.#ref), (session) =>
      grantProject(session, this.#ref, roles),
    );
  }

  /** A user of that e-mail who is there already is kept: an earlier try has made him with the same password. */
  async #insertFirstUser(): Promise<void> {
    const { clusters } = this.#options;
    const [address, secrets] = await Promise.all([clusters.address(this.#cluster), this.#readSecrets()]);
    const { ADMIN_EMAIL: email, ADMIN_TEMP_PASSWORD: password } = secrets;
    if (email === undefined || password === undefined) return; // the project begins without users
    const user = {
      id: randomUUID(),
      email: email.toLowerCase(),
      passwordHash: await hashGeneratedPassword(password),
      appRole: FIRST_USER_ROLE,
    };
    const login = { address, ref: this.#ref, password: secrets.AUTHENTICATOR_PASSWORD };
    await withAuthenticatorSession({ ...login, role: "supabase_auth_admin", searchPath: "auth" }, (session) =>
      insertProjectUser(session, user),
    );
  }

  /** Pause, resume and restart: one idempotent function of the cluster. */
  async onCluster(change: (client: pg.ClientBase, ref: string) => Promise<void>): Promise<void> {
    await this.#options.clusters.withAdmin(this.#cluster, (client) => change(client, this.#ref));
  }

  async migrate(): Promise<void> {
    const { clusters, database } = this.#options;
    const { roles } = await this.#ready.get(this.#cluster);
    const [row] = await database.query<{ version: number | null }>(
      "/* findTemplateVersion */ select template_version as version from projects where ref = $1",
      [this.#ref],
    );
    const version = await clusters.withProjectAdmin(this.#cluster, projectDatabaseName(this.#ref), async (session) => {
      const migrated = await migrateProjectDatabase(session, row?.version ?? null, roles);
      await grantProject(session, this.#ref, roles);
      await grantExistingObjects(session, this.#ref, roles);
      return migrated;
    });
    await this.#recordTemplateVersion(version);
  }

  async dropDatabase(): Promise<void> {
    if (this.#clusterId) await dropDatabaseOf(this.#options.clusters, this.#clusterId, this.#ref);
  }

  async dropRoles(): Promise<void> {
    if (this.#clusterId) await dropRolesOf(this.#options.clusters, this.#clusterId, this.#ref);
  }

  async eraseStorage(): Promise<void> {
    await this.#options.eraseStorage?.(this.#ref);
  }

  /** What cannot be reached is remembered; anything else that goes wrong is a failure, as of an ordinary deletion. */
  async dropOrLeaveBehind(): Promise<void> {
    const { database } = this.#options;
    try {
      await this.dropDatabase();
      await this.dropRoles();
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      await recordLeftover(database, this.#ref, this.#cluster);
    }
  }

  /** Last, as the earlier steps need to know the cluster. The tombstone and the audit log stay. */
  async forget(): Promise<void> {
    const { database, vault } = this.#options;
    await database.transaction(async (tx) => {
      await vault.destroy(tx, this.#ref);
      await tx.query("/* forgetApiKeys */ delete from api_keys where project_ref = $1", [this.#ref]);
      await tx.query("/* forgetS3AccessKeys */ delete from s3_access_keys where project_ref = $1", [this.#ref]);
      await tx.query("/* forgetCustomHosts */ delete from custom_hosts where project_ref = $1", [this.#ref]);
      await tx.query(
        "/* forgetProject */ update projects set cluster_id = null, template_version = null, settings = '{}' where ref = $1",
        [this.#ref],
      );
    });
  }

  get #cluster(): string {
    if (!this.#clusterId) throw new Error(`project ${this.#ref} has no cluster`);
    return this.#clusterId;
  }

  async #copyTemplate(): Promise<number> {
    const { template, copying } = await this.#ready.get(this.#cluster);
    await copying(() => this.onCluster((client, ref) => ensureProjectDatabase(client, ref, template)));
    return template.version;
  }

  async #recordTemplateVersion(version: number): Promise<void> {
    await this.#options.database.query(
      "/* recordTemplateVersion */ update projects set template_version = $2 where ref = $1",
      [this.#ref, version],
    );
  }

  #readSecrets(): Promise<ProjectSecrets> {
    const { database, vault } = this.#options;
    this.#secrets ??= readProjectSecrets(database, vault, this.#ref);
    this.#secrets.catch(() => (this.#secrets = null));
    return this.#secrets;
  }
}
