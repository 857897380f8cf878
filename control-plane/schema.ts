/** The whole schema: every feature registers itself on the builder by being imported here. */
import { type GraphQLSchema, lexicographicSortSchema, printSchema } from "graphql";
import "./accounts/account.graphql.ts";
import "./accounts/accounts.graphql.ts";
import "./accounts/service-token.graphql.ts";
import "./advisors/advisors.graphql.ts";
import "./api-keys/api-keys.graphql.ts";
import "./audit/audit.graphql.ts";
import "./clusters/cluster-status.graphql.ts";
import "./clusters/cluster.graphql.ts";
import "./config-snapshots/config-snapshots.graphql.ts";
import "./custom-hosts/custom-hosts.graphql.ts";
import "./health/health.graphql.ts";
import "./jwt/jwt.graphql.ts";
import "./mails/mails.graphql.ts";
import "./organizations/members.graphql.ts";
import "./organizations/organization.graphql.ts";
import "./project-data/project-data.graphql.ts";
import "./project-users/project-users.graphql.ts";
import "./project-users/user-details.graphql.ts";
import "./projects/operation.graphql.ts";
import "./projects/project-subscriptions.graphql.ts";
import "./projects/project.graphql.ts";
import "./projects/setting-list.graphql.ts";
import "./projects/settings.graphql.ts";
import "./s3-access-keys/s3-access-keys.graphql.ts";
import "./secrets/secrets.graphql.ts";
import "./sql-editor/sql-editor.graphql.ts";
import "./usage/usage.graphql.ts";
import { builder } from "./builder.ts";

/** One schema a process: the builder belongs to the module. */
export function buildSchema(): GraphQLSchema {
  schema ??= builder.toSchema();
  return schema;
}

let schema: GraphQLSchema | undefined;

/** As schema.graphql holds it. */
export function printedSchema(): string {
  return `${printSchema(lexicographicSortSchema(buildSchema()))}\n`;
}
