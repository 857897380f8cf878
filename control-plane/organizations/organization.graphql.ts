/** Organizations: the type, and what is done to an organization itself. Members are in members.graphql.ts. */

import { lockAccount, parseName } from "../accounts/account-table.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { pageComplexity, resolveConnection } from "../connections.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { Conflict } from "../errors.ts";
import { type OrganizationRow, requireAccount, requireInstanceOwner, requireOrganization } from "../permissions.ts";
import {
  countOrganizations,
  countOwnedOrganizations,
  deleteOrganizationWithoutProjects,
  insertOrganization,
  listOrganizations,
  setOrganizationName,
} from "./organization-table.ts";

export const RoleEnum = builder.enumType("Role", {
  description: "What a member may do, from least to most; each role includes those before it.",
  values: {
    VIEWER: { value: "viewer", description: "Sees names, states, health and usage. No keys, no secrets, no data." },
    DEVELOPER: { value: "developer", description: "Runs SQL, reads public keys and settings, manages project users." },
    ADMIN: { value: "admin", description: "Creates and deletes projects, reveals secrets, manages members." },
    OWNER: { value: "owner", description: "Everything, including owners and the organization itself." },
  },
});

export const OrganizationType = builder.objectRef<OrganizationRow>("Organization").implement({
  description: "A team: it holds projects and members.",
  fields: (t) => ({
    id: t.exposeID("id"),
    name: t.exposeString("name"),
    slug: t.exposeString("slug", { description: "Unique; made from the first name, it does not change." }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    viewerRole: t.expose("viewerRole", { type: RoleEnum, description: "The asking account's own role." }),
  }),
});

builder.queryFields((t) => ({
  organization: t.field({
    type: OrganizationType,
    description: "An organization the viewer belongs to.",
    args: { id: t.arg.id() },
    resolve: (_root, { id }, context) => requireOrganization(context, id, "organization.read"),
  }),
  organizations: t.connection(
    {
      type: OrganizationType,
      complexity: pageComplexity,
      description: "All organizations of the installation, by name; for its owner.",
      args: { search: t.arg.string({ required: false, description: "Part of a name." }) },
      resolve: (_root, args, context) => {
        requireInstanceOwner(context);
        const search = args.search ?? null;
        return resolveConnection<OrganizationRow>(args, {
          cursorOf: ({ slug }) => slug,
          page: (page) => listOrganizations(context.database, search, page),
          count: () => countOrganizations(context.database, search),
        });
      },
    },
    builder.connectionObject({ type: OrganizationType, name: "OrganizationConnection" }),
  ),
}));

builder.mutationFields((t) => ({
  createOrganization: t.field({
    type: OrganizationType,
    description:
      "Makes an organization that the viewer owns. CONFLICT when it owns as many as an account may here; the owner of the installation may own any number.",
    args: { name: t.arg.string() },
    resolve: (_root, args, context) => {
      const viewer = requireAccount(context);
      const name = parseName("name", args.name);
      return context.database.transaction(async (tx) => {
        if (!viewer.isInstanceOwner) await requireRoomForOrganization(tx, context, viewer.accountId);
        const organization = await insertOrganization(tx, name, viewer.accountId);
        await recordAudit(tx, context, {
          action: "organization.create",
          organizationId: organization.id,
          details: { name },
        });
        return organization;
      });
    },
  }),
  renameOrganization: t.field({
    type: OrganizationType,
    description: "Its slug stays as it is.",
    args: { id: t.arg.id(), name: t.arg.string() },
    resolve: async (_root, args, context) => {
      const organization = await requireOrganization(context, args.id, "organization.update");
      const name = parseName("name", args.name);
      await context.database.transaction(async (tx) => {
        await setOrganizationName(tx, organization.id, name);
        await recordAudit(tx, context, {
          action: "organization.rename",
          organizationId: organization.id,
          details: { from: organization.name, to: name },
        });
      });
      return { ...organization, name };
    },
  }),
  deleteOrganization: t.field({
    type: "ID",
    description: "Deletes an organization without projects, with its members, invitations and audit log.",
    args: { id: t.arg.id() },
    resolve: async (_root, args, context) => {
      const organization = await requireOrganization(context, args.id, "organization.delete");
      await context.database.transaction(async (tx) => {
        if (!(await deleteOrganizationWithoutProjects(tx, organization.id))) {
          throw new Conflict("delete the organization's projects first");
        }
        await recordAudit(tx, context, {
          action: "organization.delete",
          details: { id: organization.id, name: organization.name },
        });
      });
      return organization.id;
    },
  }),
}));

/** Each may hold a share of what the installation gives to an organization. One at a time for each account. */
async function requireRoomForOrganization(tx: Queryable, context: GraphqlContext, accountId: string): Promise<void> {
  await lockAccount(tx, accountId);
  const owned = await countOwnedOrganizations(tx, accountId);
  const most = context.settings.maxOrganizationsPerAccount;
  if (owned >= most) throw new Conflict(`an account owns at most ${most} organizations here`);
}
