/** The PostgreSQL servers that hold shared projects: for the owner of the installation. */
import { parseName } from "../accounts/account-table.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import { isUniqueViolation } from "../database.ts";
import { Conflict, InvalidInput, NotFound } from "../errors.ts";
import { requireInstanceOwner } from "../permissions.ts";
import { listLeftovers } from "../provisioning/shared/leftovers.ts";
import { isUuid } from "../uuid.ts";
import { bootstrapCluster } from "./bootstrap.ts";
import { type ClusterAddress, connectAsAdmin } from "./cluster-connections.ts";
import {
  type ClusterRow,
  countClusterProjects,
  findCluster,
  getClusterAddress,
  insertCluster,
  listClusters,
  moveCluster,
} from "./cluster-table.ts";
import { rotateReplicationPassword } from "./replication-login.ts";

const OLDEST_POSTGRES = 15;

const ClusterStateEnum = builder.enumType("ClusterState", {
  values: {
    ACTIVE: { value: "active", description: "Takes new projects." },
    DRAINING: { value: "draining", description: "Serves its projects, takes no new ones." },
    OFFLINE: { value: "offline", description: "Is known to be away; takes no new projects." },
  },
});

export const ClusterType = builder.objectRef<ClusterRow>("Cluster").implement({
  description: "A PostgreSQL server that holds shared projects. Its password is never shown.",
  fields: (t) => ({
    id: t.exposeID("id"),
    name: t.exposeString("name"),
    host: t.exposeString("host"),
    port: t.exposeInt("port"),
    adminUser: t.exposeString("adminUser"),
    ssl: t.exposeBoolean("ssl"),
    publicHost: t.exposeString("publicHost", {
      nullable: true,
      description: "Where people connect to, when not `host`.",
    }),
    publicPort: t.exposeInt("publicPort", { nullable: true }),
    capacity: t.exposeInt("capacity", { description: "Most projects placed on it." }),
    state: t.expose("state", { type: ClusterStateEnum }),
    projectCount: t.int({ resolve: ({ id }, _args, { database }) => countClusterProjects(database, id) }),
    leftovers: t.field({
      type: ["ID"],
      description:
        "Refs of projects deleted by force whose database and logins may still be here; removed once it can be reached.",
      resolve: ({ id }, _args, { database }) => listLeftovers(database, id),
    }),
    templateVersion: t.exposeInt("templateVersion", { nullable: true, description: "Null until a project was made." }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
  }),
});

const RegisterClusterInput = builder.inputType("RegisterClusterInput", {
  fields: (t) => ({
    name: t.string({ description: "Unique." }),
    host: t.string(),
    port: t.int({ defaultValue: 5432 }),
    adminUser: t.string({ description: "A superuser." }),
    adminPassword: t.string(),
    ssl: t.boolean({ defaultValue: false }),
    capacity: t.int({ defaultValue: 1000 }),
    publicHost: t.string({ required: false }),
    publicPort: t.int({ required: false }),
  }),
});

const UpdateClusterInput = builder.inputType("UpdateClusterInput", {
  description: "What is left out stays.",
  fields: (t) => ({
    state: t.field({ type: ClusterStateEnum, required: false }),
    capacity: t.int({ required: false }),
    host: t.string({ required: false }),
    port: t.int({ required: false }),
    adminUser: t.string({ required: false }),
    adminPassword: t.string({ required: false }),
    ssl: t.boolean({ required: false }),
  }),
});

builder.queryField("clusters", (t) =>
  t.field({
    type: [ClusterType],
    description: "Oldest first; for the owner of the installation.",
    resolve: (_root, _args, context) => {
      requireInstanceOwner(context);
      return listClusters(context.database);
    },
  }),
);

builder.mutationFields((t) => ({
  registerCluster: t.field({
    type: ClusterType,
    description:
      "Connects to a PostgreSQL server as superuser, makes the shared roles on it, and lets new projects be placed there. For the owner of the installation.",
    args: { input: t.arg({ type: RegisterClusterInput }) },
    resolve: async (_root, { input }, context) => {
      requireInstanceOwner(context);
      const name = parseName("input.name", input.name);
      checkNumbers(input);
      const address: ClusterAddress = {
        host: input.host,
        port: input.port,
        user: input.adminUser,
        password: input.adminPassword,
        ssl: input.ssl,
      };
      await prepare(context, address);
      return conflictWhenTaken(() =>
        context.database.transaction(async (tx) => {
          const cluster = await insertCluster(tx, context.vault, {
            name,
            address,
            capacity: input.capacity,
            publicHost: input.publicHost ?? null,
            publicPort: input.publicPort ?? null,
          });
          const details = { name, host: input.host, port: input.port };
          await recordAudit(tx, context, { action: "cluster.register", details });
          return cluster;
        }),
      );
    },
  }),
  rotateReplicationPassword: t.field({
    type: ClusterType,
    description:
      "Gives the login by which the realtime service reads database changes a new password. Streams that are open go on. For the owner of the installation.",
    args: { id: t.arg.id() },
    resolve: async (_root, { id }, context) => {
      requireInstanceOwner(context);
      const cluster = isUuid(id) ? await findCluster(context.database, id) : null;
      if (!cluster) throw new NotFound("cluster");
      await context.database.transaction(async (tx) => {
        await recordAudit(tx, context, {
          action: "cluster.rotate_replication_password",
          details: { name: cluster.name },
        });
        await rotateReplicationPassword(tx, context.vault, context.clusters, cluster.id);
      });
      return cluster;
    },
  }),
  updateCluster: t.field({
    type: ClusterType,
    description: "Changes state, capacity or address. For the owner of the installation.",
    args: { id: t.arg.id(), input: t.arg({ type: UpdateClusterInput }) },
    resolve: async (_root, { id, input }, context) => {
      requireInstanceOwner(context);
      const cluster = isUuid(id) ? await findCluster(context.database, id) : null;
      if (!cluster) throw new NotFound("cluster");
      checkNumbers(input);
      const { state, capacity, adminPassword: _password, ...place } = input;
      const before = await getClusterAddress(context.database, context.vault, cluster.id);
      const address: ClusterAddress = {
        host: input.host ?? before.host,
        port: input.port ?? before.port,
        user: input.adminUser ?? before.user,
        password: input.adminPassword ?? before.password,
        ssl: input.ssl ?? before.ssl,
      };
      const moves = (["host", "port", "user", "password", "ssl"] as const).some((key) => address[key] !== before[key]);
      if (moves) await prepare(context, address);
      return context.database.transaction(async (tx) => {
        await tx.query(
          "/* updateCluster */ update clusters set state = coalesce($2, state), capacity = coalesce($3, capacity) where id = $1",
          [cluster.id, state ?? null, capacity ?? null],
        );
        await recordAudit(tx, context, {
          action: "cluster.update",
          details: { name: cluster.name, state, capacity, ...place },
        });
        if (moves) await moveCluster(tx, context.vault, cluster.id, address);
        return (await findCluster(tx, cluster.id)) ?? cluster;
      });
    },
  }),
}));

/** @throws {InvalidInput} when the server cannot be reached, is too old, or the login is no superuser. */
async function prepare(context: GraphqlContext, address: ClusterAddress): Promise<void> {
  const client = await connectAsAdmin(address, "postgres").catch((error: Error & { code?: string }) => {
    throw new InvalidInput("input.host", `cannot connect (${error.code ?? "no answer"})`);
  });
  try {
    const { rows } = await client.query<{ version: string; super: boolean }>(
      `/* prepareCluster */ select current_setting('server_version_num') as version,
         (select rolsuper from pg_roles where rolname = current_user) as super`,
    );
    if (!rows[0]?.super) throw new InvalidInput("input.adminUser", "this login is no superuser");
    if (Number(rows[0].version) < OLDEST_POSTGRES * 10_000) {
      throw new InvalidInput("input.host", `PostgreSQL ${OLDEST_POSTGRES} or later is needed`);
    }
    const { openDatabases } = await bootstrapCluster(client);
    if (openDatabases.length > 0) {
      context.logger.warn({ openDatabases }, "every project's users can connect to these databases of the cluster");
    }
  } finally {
    await client.end();
  }
}

function checkNumbers(input: {
  port?: number | null | undefined;
  publicPort?: number | null | undefined;
  capacity?: number | null | undefined;
}): void {
  for (const field of ["port", "publicPort"] as const) {
    const port = input[field];
    if (port != null && (port < 1 || port > 65_535)) throw new InvalidInput(`input.${field}`, "a port is 1 to 65535");
  }
  if (input.capacity != null && input.capacity < 0) throw new InvalidInput("input.capacity", "this cannot be negative");
}

async function conflictWhenTaken<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isUniqueViolation(error, "clusters_name_key")) throw new Conflict("a cluster of this name exists already");
    throw error;
  }
}
