/** The normalised cache of accounts, organizations, projects and users: what a push tells shows on every page at once. */
import { type Cache, cacheExchange, type DataFields } from "@urql/exchange-graphcache";

/** Types that have no identity of their own are parts of what they hang on. */
const EMBEDDED = [
  "AccountConnection",
  "AccountEdge",
  "AddMemberPayload",
  "Advisory",
  "AuditLogConnection",
  "AuditLogEdge",
  "AuthSettings",
  "CreateAccessTokenPayload",
  "CreateApiKeyPayload",
  "CreateProjectUserPayload",
  "CreateServiceTokenPayload",
  "CustomHost",
  "DatabaseHealth",
  "DnsRecord",
  "GatewaySettings",
  "IgnoredAdvisory",
  "Instance",
  "Member",
  "MemberConnection",
  "MemberEdge",
  "OrganizationConnection",
  "OrganizationEdge",
  "Metrics",
  "MetricSeries",
  "PageInfo",
  "ProjectAdminUser",
  "ProjectConnection",
  "ProjectDatabase",
  "ProjectEdge",
  "ProjectHealth",
  "ProjectLimits",
  "ProjectService",
  "ProjectUsage",
  "Catalog",
  "ClusterStatus",
  "Relation",
  "RelationColumn",
  "RelationForeignKey",
  "RelationName",
  "RelationPart",
  "RelationPolicy",
  "RowChanges",
  "SqlColumn",
  "SqlResult",
  "SqlStatementResult",
  "TableRows",
  "TrafficSummary",
  "HiddenRows",
  "ProjectSetting",
  "ProjectUserDetails",
  "ProjectUserFactor",
  "ProjectUserIdentity",
  "ProjectUserSession",
  "ProjectUsersConnection",
  "ProjectUsersConnectionEdge",
  "RealtimeSettings",
  "RestSettings",
  "Secret",
  "ServiceHealth",
  "StorageSettings",
  "TakeAdminPasswordPayload",
];

const KEYS: Readonly<Record<string, (data: DataFields) => string | null>> = {
  SigningKey: ({ kid }) => (typeof kid === "string" ? kid : null),
};

/** After a change of who is signed in, or of what he belongs to, these fields of the root are asked again. */
function forget(cache: Cache, ...fields: readonly string[]): void {
  for (const { fieldName, fieldKey } of cache.inspectFields("Query")) {
    if (fields.includes(fieldName)) cache.invalidate("Query", fieldKey);
  }
}

export function entityCache() {
  const embedded = Object.fromEntries(EMBEDDED.map((type) => [type, () => null]));
  return cacheExchange({
    keys: { ...embedded, ...KEYS },
    updates: {
      Mutation: {
        signIn: (_result, _args, cache) => forget(cache, "viewer", "instance"),
        signUp: (_result, _args, cache) => forget(cache, "viewer", "instance"),
        createOrganization: (_result, _args, cache) => forget(cache, "viewer", "organizations"),
        deleteOrganization: (_result, _args, cache) => forget(cache, "viewer", "organizations"),
        acceptInvitation: (_result, _args, cache) => forget(cache, "viewer", "organizations"),
      },
    },
  });
}
