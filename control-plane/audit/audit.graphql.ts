/** The audit log of an organization, a project, or the installation. */
import { builder } from "../builder.ts";
import { pageComplexity, resolveConnection } from "../connections.ts";
import type { GraphqlContext } from "../context.ts";
import { OrganizationType } from "../organizations/organization.graphql.ts";
import { requireInstanceOwner, requireOrganization, requireProject } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { type AuditFilter, type AuditRow, countAudit, listAudit, selectAudit } from "./audit-table.ts";

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

function auditConnection(
  { database }: Pick<GraphqlContext, "database">,
  args: Parameters<typeof resolveConnection>[0] & { filter?: AuditFilter | null | undefined },
  where: string,
  values: readonly [string | null],
) {
  const selection = selectAudit(where, values, args.filter ?? {});
  return resolveConnection<AuditRow>(args, {
    cursorOf: ({ id }) => String(id),
    page: (page) => listAudit(database, selection, page),
    count: () => countAudit(database, selection),
  });
}
