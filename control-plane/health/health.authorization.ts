import { type AuthorizationTable, members, onProject, type ReachedBy } from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Project.health": { rule: members("viewer"), document: onProject("health { status }") },
  "Project.usage": { rule: members("viewer"), document: onProject("usage { databaseBytes }") },
};

export const reachedBy: ReachedBy = {
  ProjectHealth: "Project.health",
  DatabaseHealth: "Project.health",
  ServiceHealth: "Project.health",
  ProjectUsage: "Project.usage",
};
