import {
  type AuthorizationTable,
  members,
  onOrganization,
  onProject,
  type ReachedBy,
  type World,
} from "../testing/authorization.ts";

/** What a viewer may see of a project: names, states and addresses. */
const VISIBLE_TO_ALL = [
  "id",
  "ref",
  "name",
  "plan",
  "state",
  "stateReason",
  "url",
  "hostUrl",
  "createdAt",
  "updatedAt",
  "organization { id }",
  "viewerRole",
  "operations { kind step error }",
];

const mutation = (name: string) => (world: World) => `mutation { ${name}(ref: "${world.ref}") { state } }`;

const inState = (state: string, name: string) => async (world: World) => {
  await world.database.query("update projects set state = $2 where ref = $1", [world.ref, state]);
  return mutation(name)(world);
};

export const authorization: AuthorizationTable = {
  "Query.project": { rule: members("viewer"), document: onProject("ref") },
  "Query.projects": {
    rule: members("viewer"),
    document: ({ organizationId }) =>
      `{ projects(organizationId: "${organizationId}") { totalCount edges { node { ref } } } }`,
  },
  "Organization.projects": { rule: members("viewer"), document: onOrganization("projects { edges { node { ref } } }") },
  ...Object.fromEntries(
    VISIBLE_TO_ALL.map((selection) => [
      `Project.${selection.split(" ")[0]}`,
      { rule: members("viewer"), document: onProject(selection) },
    ]),
  ),
  "Project.database": { rule: members("developer"), document: onProject("database { host port name user }") },
  "Mutation.createProject": {
    rule: members("admin"),
    document: ({ organizationId }) =>
      `mutation { createProject(input: {organizationId: "${organizationId}", name: "New"}) { ref } }`,
  },
  "Mutation.pauseProject": { rule: members("admin"), document: mutation("pauseProject") },
  "Mutation.resumeProject": { rule: members("admin"), document: inState("PAUSED", "resumeProject") },
  "Mutation.restartProject": { rule: members("admin"), document: mutation("restartProject") },
  "Mutation.deleteProject": { rule: members("admin"), document: mutation("deleteProject") },
  "Mutation.retryProject": { rule: members("admin"), document: inState("FAILED", "retryProject") },
  "Mutation.renameProject": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { renameProject(ref: "${ref}", name: "New") { name } }`,
  },
  "Mutation.revealDatabaseUrl": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { revealDatabaseUrl(ref: "${ref}") }`,
  },
  "Subscription.projectStatus": {
    rule: members("viewer"),
    document: ({ ref }) => `subscription { projectStatus(ref: "${ref}") { state } }`,
  },
  "Subscription.projects": {
    rule: members("viewer"),
    document: ({ organizationId }) => `subscription { projects(organizationId: "${organizationId}") { ref } }`,
  },
};

export const reachedBy: ReachedBy = {
  Operation: "Project.operations",
  ProjectConnection: "Query.projects",
  ProjectDatabase: "Project.database",
  ProjectEdge: "Query.projects",
};
