import {
  type AuthorizationTable,
  members,
  onOrganization,
  onProject,
  type ReachedBy,
} from "../testing/authorization.ts";

export const authorization: AuthorizationTable = {
  "Query.auditLog": {
    rule: { who: "instance-owner" },
    document: () => "{ auditLog { edges { node { action details } } } }",
  },
  "Organization.auditLog": {
    rule: members("admin"),
    document: onOrganization("auditLog { totalCount edges { node { action } } }"),
  },
  "Project.auditLog": { rule: members("admin"), document: onProject("auditLog { edges { node { action } } }") },
};

export const reachedBy: ReachedBy = {
  AuditEntry: "Query.auditLog",
  AuditLogConnection: "Query.auditLog",
  AuditLogEdge: "Query.auditLog",
};
