/** The audit log of an organization, a project, or the installation. */
import { builder } from "../builder.ts";
import { keysetSql, pageComplexity, resolveConnection } from "../connections.ts";
import type { GraphqlContext } from "../context.ts";
import { containsPattern } from "../database.ts";
import { OrganizationType } from "../organizations/organization.graphql.ts";
import { requireInstanceOwner, requireOrganization, requireProject } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";

interface AuditRow {
  readonly id: number;
  readonly at: Date;
  readonly actor: string;
  readonly projectRef: string | null;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly ipAddress: string | null;
}

const AuditEntryType = builder.objectRef<AuditRow>("AuditEntry").implement({
  description: "Who did what.",
  fields: (t) => ({
    id: t.id({ resolve: ({ id }) => String(id) }),
    at: t.expose("at", { type: "DateTime" }),
    actor: t.exposeString("actor", { description: "The account's e-mail at the time, or the service's name." }),
    projectRef: t.exposeString("projectRef", { nullable: true }),
    action: t.exposeString("action", { description: "Such as `project.create`." }),
    details: t.expose("details", { type: "JSON", description: "Names and settings; never a secret value." }),
    ipAddress: t.exposeString("ipAddress", { nullable: true }),
  }),
});

const AuditFilterInput = builder.inputType("AuditFilterInput", {
  fields: (t) => ({
    actor: t.string({ required: false, description: "Part of an e-mail or a service's name." }),
    action: t.string({ required: false, description: "Part of an action: `api_key`, `reveal`." }),
    from: t.field({ type: "DateTime", required: false }),
    to: t.field({ type: "DateTime", required: false }),
  }),
});

type AuditFilter = typeof AuditFilterInput.$inferInput;

const AuditLogConnection = builder.connectionObject({ type: AuditEntryType, name: "AuditLogConnection" });

builder.objectField(OrganizationType, "auditLog", (t) =>
  t.connection(
    {
      type: AuditEntryType,
      complexity: pageComplexity,
      description: "Newest first. Role ADMIN.",
      args: { filter: t.arg({ type: AuditFilterInput, required: false }) },
      resolve: async ({ id }, args, context) => {
        await requireOrganization(context, id, "audit.read");
        return auditConnection(context, args, "organization_id = $1", [id]);
      },
    },
    AuditLogConnection,
  ),
);

builder.objectField(ProjectType, "auditLog", (t) =>
  t.connection(
    {
      type: AuditEntryType,
      complexity: pageComplexity,
      description: "Newest first. Role ADMIN.",
      args: { filter: t.arg({ type: AuditFilterInput, required: false }) },
      resolve: async ({ ref }, args, context) => {
        await requireProject(context, ref, "audit.read");
        return auditConnection(context, args, "project_ref = $1", [ref]);
      },
    },
    AuditLogConnection,
  ),
);

builder.queryField("auditLog", (t) =>
  t.connection(
    {
      type: AuditEntryType,
      complexity: pageComplexity,
      description: "Everything, newest first; for the owner of the installation.",
      args: { filter: t.arg({ type: AuditFilterInput, required: false }) },
      resolve: (_root, args, context) => {
        requireInstanceOwner(context);
        return auditConnection(context, args, "$1::text is null", [null]);
      },
    },
    AuditLogConnection,
  ),
);

/** @param where A condition of ours on parameter $1. */
function auditConnection(
  { database }: Pick<GraphqlContext, "database">,
  args: Parameters<typeof resolveConnection>[0] & { filter?: AuditFilter | null | undefined },
  where: string,
  values: readonly [string | null],
) {
  const { actor, action, from, to } = args.filter ?? {};
  const pattern = (text: string | null | undefined) => (text ? containsPattern(text) : null);
  const filtered = `${where} and ($2::text is null or actor ilike $2) and ($3::text is null or action ilike $3)
    and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)`;
  const filterValues = [...values, pattern(actor), pattern(action), from ?? null, to ?? null];
  return resolveConnection<AuditRow>(args, {
    cursorOf: ({ id }) => String(id),
    page: (page) => {
      const keyset = keysetSql(page, {
        key: "id",
        // A cursor that is no number names no row: the comparison with null leaves an empty page.
        keyOf: (cursor) => `(case when ${cursor} ~ '^[0-9]{1,18}$' then ${cursor}::bigint end)`,
        direction: "desc",
        firstParameter: 7,
      });
      return database.query<AuditRow>(
        `/* auditLog */ select id, at, actor, project_ref as "projectRef", action, details, host(ip_address) as "ipAddress"
         from audit_log where ${filtered} and ${keyset.where} order by ${keyset.orderBy} limit $6`,
        [...filterValues, page.limit, ...keyset.values],
      );
    },
    count: async () => {
      const [row] = await database.query<{ count: number }>(
        `/* countAuditLog */ select count(*) from audit_log where ${filtered}`,
        filterValues,
      );
      return row?.count ?? 0;
    },
  });
}
