/** What the owner of the installation sees of a cluster beyond its registration: how it answers, and whose projects it holds. */
import { builder } from "../builder.ts";
import { pageComplexity } from "../connections.ts";
import { requireInstanceOwner } from "../permissions.ts";
import { ProjectConnection, ProjectType, projectConnection } from "../projects/project.graphql.ts";
import { ClusterType } from "./cluster.graphql.ts";
import type { ClusterStatus } from "./cluster-status.ts";

/** Opens a session and counts sizes over there. */
const COMPLEXITY = 30;

const ClusterStatusType = builder.objectRef<ClusterStatus>("ClusterStatus").implement({
  description: "At most ten seconds old. All but `problem` is null while the cluster does not answer.",
  fields: (t) => ({
    problem: t.exposeString("problem", { nullable: true, description: "Why it does not answer; null when it does." }),
    answerMs: t.exposeFloat("answerMs", { nullable: true, description: "To a first answer." }),
    version: t.exposeString("version", { nullable: true, description: "Of PostgreSQL." }),
    databaseBytes: t.exposeFloat("databaseBytes", { nullable: true, description: "Of all its databases, on disk." }),
    connections: t.exposeInt("connections", { nullable: true }),
    maxConnections: t.exposeInt("maxConnections", { nullable: true }),
    replicationSlots: t.exposeInt("replicationSlots", { nullable: true }),
    maxReplicationSlots: t.exposeInt("maxReplicationSlots", { nullable: true }),
    checkedAt: t.expose("checkedAt", { type: "DateTime" }),
  }),
});

builder.objectFields(ClusterType, (t) => ({
  status: t.field({
    type: ClusterStatusType,
    complexity: COMPLEXITY,
    resolve: ({ id }, _args, context) => {
      requireInstanceOwner(context);
      return context.clusterStatus(id);
    },
  }),
  projects: t.connection(
    {
      type: ProjectType,
      complexity: pageComplexity,
      description: "Newest first.",
      args: { search: t.arg.string({ required: false, description: "Part of a name, or a whole ref." }) },
      resolve: ({ id }, args, context) => {
        requireInstanceOwner(context);
        const scope = { kind: "cluster", clusterId: id } as const;
        return projectConnection(context.database, args, { scope, search: args.search ?? null, states: null });
      },
    },
    ProjectConnection,
  ),
}));
