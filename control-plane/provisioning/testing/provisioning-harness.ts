/** For tests: everything that provisioning needs around it, on a database of its own, with one cluster and one organization. */
import { randomBytes, randomUUID } from "node:crypto";
import { type ProjectRef, parseProjectRef } from "../../client/config-snapshot.ts";
import { ClusterConnections, parseClusterUrl } from "../../clusters/cluster-connections.ts";
import { projectLeftovers } from "../../clusters/project-database.ts";
import type { Database } from "../../database.ts";
import { createEvents, type PostgresEvents } from "../../events.ts";
import { createLogger } from "../../logger.ts";
import { generateProjectRef } from "../../projects/create-project.ts";
import { findProject, type ProjectRow } from "../../projects/project-row.ts";
import { parseMasterKeys } from "../../secrets/master-keys.ts";
import { createVault, type Vault } from "../../secrets/vault.ts";
import { createControlPlaneDatabase } from "../../testing/fresh-database.ts";
import type { ProjectState } from "../lifecycle.ts";
import type { OperationKind } from "../operation.ts";
import { createProvisioner, type Provisioner, type ProvisionerOptions } from "../provisioner.ts";
import type { Runtime } from "../runtime.ts";
import { createSharedRuntime } from "../shared/shared-runtime.ts";

export interface ProvisioningHarness extends AsyncDisposable {
  readonly databaseUrl: string;
  readonly database: Database;
  readonly events: PostgresEvents;
  readonly vault: Vault;
  readonly clusters: ClusterConnections;
  readonly runtime: Runtime;
  readonly provisioner: Provisioner;
  readonly clusterId: string;
  readonly organizationId: string;
  readonly ownerEmail: string;
  /** Inserts a project in state CREATING and begins its creation. */
  beginCreate(hasAdministrator?: boolean): Promise<ProjectRef>;
  /** {@link beginCreate} until it is ACTIVE. @throws when it fails. */
  createProject(hasAdministrator?: boolean): Promise<ProjectRef>;
  begin(ref: string, kind: OperationKind): Promise<void>;
  retry(ref: string): Promise<void>;
  /** Waits until no operation runs on the project. @throws unless it is in that state then. */
  untilSettled(ref: string, state: ProjectState): Promise<ProjectRow | null>;
  /** What bears the project's name in the cluster, and what the control plane still keeps of it. */
  leftovers(ref: string): Promise<string[]>;
}

/**
 * @param clusterUrl Superuser URL of the run's cluster: `inject("clusterUrl")`.
 * @param address By which provisioning reaches it, when that is another way than the control plane's own.
 */
export async function startProvisioning(
  clusterUrl: string,
  options: Partial<ProvisionerOptions> = {},
  address = parseClusterUrl(clusterUrl),
): Promise<ProvisioningHarness> {
  const logger = createLogger("fatal");
  const fresh = await createControlPlaneDatabase(clusterUrl);
  const { database } = fresh;
  const events = createEvents({ databaseUrl: fresh.url, logger });
  await events.start();
  const vault = createVault(parseMasterKeys(randomBytes(32).toString("base64")));
  const clusters = new ClusterConnections({ getAddress: async () => address });
  const runtime = createSharedRuntime({ database, vault, clusters, now: Date.now });
  const provisioner = createProvisioner({ database, events, runtimes: { shared: runtime }, logger, ...options });
  await provisioner.start();

  const { clusterId, organizationId, ownerEmail } = await insertOrganization(database, address);

  async function beginCreate(hasAdministrator = true): Promise<ProjectRef> {
    const ref = generateProjectRef();
    await database.transaction(async (tx) => {
      await tx.query(
        `insert into projects (ref, organization_id, name, plan, state, has_administrator)
         values ($1, $2, 'test', 'shared', 'CREATING', $3)`,
        [ref, organizationId, hasAdministrator],
      );
      await provisioner.begin(tx, ref, "create");
    });
    return ref;
  }

  async function untilSettled(ref: string, state: ProjectState): Promise<ProjectRow | null> {
    const stream = events.subscribe((event) => event.topic === "operation" && event.ref === ref);
    try {
      for (;;) {
        const [row] = await database.query<{ state: ProjectState; reason: string | null; busy: boolean }>(
          `select state, state_reason as reason,
             exists (select from operations where project_ref = ref and operations.state = 'running') as busy
           from projects where ref = $1`,
          [ref],
        );
        if (row && !row.busy) {
          if (row.state !== state) throw new Error(`project is ${row.state} (${row.reason}) instead of ${state}`);
          return findProject(database, ref);
        }
        await stream.next();
      }
    } finally {
      await stream.return();
    }
  }

  return {
    databaseUrl: fresh.url,
    database,
    events,
    vault,
    clusters,
    runtime,
    provisioner,
    clusterId,
    organizationId,
    ownerEmail,
    beginCreate,
    async createProject(hasAdministrator) {
      const ref = await beginCreate(hasAdministrator);
      await untilSettled(ref, "ACTIVE");
      return ref;
    },
    async begin(ref, kind) {
      await database.transaction((tx) => provisioner.begin(tx, ref, kind));
    },
    async retry(ref) {
      await database.transaction((tx) => provisioner.retry(tx, ref));
    },
    untilSettled,
    async leftovers(ref) {
      const kept = await database.query<{ leftover: string }>(
        `select 'secret ' || name as leftover from project_secrets where project_ref = $1
         union all select 'data key' from project_data_keys where project_ref = $1
         union all select 'api key ' || name from api_keys where project_ref = $1`,
        [ref],
      );
      const inCluster = await clusters.withAdmin(clusterId, (client) => projectLeftovers(client, ref));
      return [...kept.map(({ leftover }) => leftover), ...inCluster];
    },
    async [Symbol.asyncDispose]() {
      await provisioner.stop();
      const living = await database.query<{ ref: string }>("select ref from projects where cluster_id is not null");
      for (const { ref } of living) await dropLeftProject(runtime, parseProjectRef(ref), organizationId, clusterId);
      await events.close();
      await clusters.close();
      await fresh.drop();
    },
  };
}

/** Roles and databases are the cluster's: they would outlive the test's own database. */
async function dropLeftProject(runtime: Runtime, ref: ProjectRef, organizationId: string, clusterId: string) {
  for (const step of runtime.steps("delete", { ref, organizationId, plan: "shared", clusterId }))
    await step.run(new AbortController().signal);
}

async function insertOrganization(database: Database, address: ReturnType<typeof parseClusterUrl>) {
  const ownerEmail = `owner-${randomUUID()}@example.com`;
  const [row] = await database.query<{ clusterId: string; organizationId: string }>(
    `with cluster as (
       insert into clusters (name, host, port, admin_user) values ('test', $1, $2, $3) returning id
     ), organization as (
       insert into organizations (name, slug) values ('Test', 'test') returning id
     ), account as (
       insert into accounts (email, password_hash) values ($4, '') returning id
     ), membership as (
       insert into memberships (organization_id, account_id, role)
       select organization.id, account.id, 'owner' from organization, account
     )
     select cluster.id as "clusterId", organization.id as "organizationId" from cluster, organization`,
    [address.host, address.port, address.user, ownerEmail],
  );
  if (!row) throw new Error("nothing was inserted");
  return { ...row, ownerEmail };
}
