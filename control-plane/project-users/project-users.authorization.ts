import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

const NOBODY = "00000000-0000-4000-8000-000000000000";

export const authorization: AuthorizationTable = {
  "Project.users": { rule: members("developer"), document: onProject("users { edges { node { id } } }") },
  "Project.user": { rule: members("developer"), document: onProject(`user(id: "${NOBODY}") { id }`) },
  "Project.userRoles": { rule: members("developer"), document: onProject("userRoles") },
  "Project.userDetails": {
    rule: members("developer"),
    document: onProject(`userDetails(id: "${NOBODY}") { sessions { id } }`),
  },
  "Project.adminUser": { rule: members("developer"), document: onProject("adminUser { email }") },
  "Mutation.createProjectUser": {
    rule: members("developer"),
    document: ({ ref }) =>
      `mutation { createProjectUser(input: {ref: "${ref}", email: "x@example.com"}) { password } }`,
  },
  "Mutation.setProjectUserRole": {
    rule: members("developer"),
    document: ({ ref }) => `mutation { setProjectUserRole(ref: "${ref}", id: "${NOBODY}", role: "admin") { id } }`,
  },
  "Mutation.setProjectUserBan": {
    rule: members("developer"),
    document: ({ ref }) => `mutation { setProjectUserBan(ref: "${ref}", id: "${NOBODY}") { id } }`,
  },
  "Mutation.deleteProjectUser": {
    rule: members("developer"),
    document: ({ ref }) => `mutation { deleteProjectUser(ref: "${ref}", id: "${NOBODY}") }`,
  },
  "Mutation.updateProjectUser": {
    rule: members("developer"),
    document: ({ ref }) =>
      `mutation { updateProjectUser(input: {ref: "${ref}", id: "${NOBODY}", email: "x@example.com"}) { id } }`,
  },
  "Mutation.signOutProjectUser": {
    rule: members("developer"),
    document: ({ ref }) => `mutation { signOutProjectUser(ref: "${ref}", id: "${NOBODY}") }`,
  },
  "Mutation.deleteProjectUserFactor": {
    rule: members("developer"),
    document: ({ ref }) =>
      `mutation { deleteProjectUserFactor(ref: "${ref}", id: "${NOBODY}", factorId: "${NOBODY}") }`,
  },
  "Mutation.takeAdminPassword": {
    rule: members("admin"),
    document: ({ ref }) => `mutation { takeAdminPassword(ref: "${ref}") { email } }`,
  },
};

export const reachedBy: ReachedBy = {
  ProjectUser: "Project.users",
  ProjectUserDetails: "Project.userDetails",
  ProjectUserFactor: "Project.userDetails",
  ProjectUserIdentity: "Project.userDetails",
  ProjectUserSession: "Project.userDetails",
  ProjectUsersConnection: "Project.users",
  ProjectUsersConnectionEdge: "Project.users",
  ProjectAdminUser: "Project.adminUser",
  CreateProjectUserPayload: "Mutation.createProjectUser",
  TakeAdminPasswordPayload: "Mutation.takeAdminPassword",
};
