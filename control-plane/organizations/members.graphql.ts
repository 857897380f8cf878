/** Members and invitations of an organization. */
import { findAccountByEmail, parseEmail } from "../accounts/account-table.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { pageComplexity, resolveConnection } from "../connections.ts";
import type { Queryable } from "../database.ts";
import { Conflict, NotFound } from "../errors.ts";
import { publishEvent } from "../events.ts";
import { requireAccount, requireOrganization } from "../permissions.ts";
import { isUuid } from "../uuid.ts";
import type { AccountViewer } from "../viewer.ts";
import {
  createInvitation,
  deleteInvitation,
  type InvitationRow,
  listInvitations,
  useInvitation,
} from "./invitations.ts";
import { changeMember, requireMayGive } from "./member-changes.ts";
import { OrganizationType, RoleEnum } from "./organization.graphql.ts";
import {
  countMembers,
  deleteMember,
  findMember,
  haveCommonOrganization,
  insertMember,
  listMembers,
  type MemberRow,
  setMemberRole,
} from "./organization-table.ts";

export const MemberType = builder.objectRef<MemberRow>("Member").implement({
  description: "An account's place in an organization.",
  fields: (t) => ({
    accountId: t.exposeID("accountId"),
    email: t.exposeString("email"),
    name: t.exposeString("name"),
    role: t.expose("role", { type: RoleEnum }),
    createdAt: t.expose("createdAt", { type: "DateTime", description: "When the account joined." }),
  }),
});

const InvitationType = builder.objectRef<InvitationRow>("Invitation").implement({
  description: "Lets one e-mail address join; it is gone once accepted or revoked.",
  fields: (t) => ({
    id: t.exposeID("id"),
    email: t.exposeString("email"),
    role: t.expose("role", { type: RoleEnum }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    expiresAt: t.expose("expiresAt", { type: "DateTime" }),
  }),
});

interface AddedMember {
  readonly member: MemberRow | null;
  readonly invitation: InvitationRow | null;
  readonly token: string | null;
}

const AddMemberPayload = builder.objectRef<AddedMember>("AddMemberPayload").implement({
  description: "Either a member or an invitation; the other one is null.",
  fields: (t) => ({
    member: t.expose("member", { type: MemberType, nullable: true }),
    invitation: t.expose("invitation", { type: InvitationType, nullable: true }),
    invitationToken: t.exposeString("token", {
      nullable: true,
      description: "Shown only here. Hand it to the person: signUp and acceptInvitation take it.",
    }),
  }),
});

builder.objectFields(OrganizationType, (t) => ({
  members: t.connection(
    {
      type: MemberType,
      complexity: pageComplexity,
      description: "By e-mail.",
      resolve: (organization, args, { database }) =>
        resolveConnection<MemberRow>(args, {
          cursorOf: ({ email }) => email,
          page: (page) => listMembers(database, organization.id, page),
          count: () => countMembers(database, organization.id),
        }),
    },
    builder.connectionObject({ type: MemberType, name: "MemberConnection" }),
  ),
  invitations: t.field({
    type: [InvitationType],
    description: "Open invitations. Role ADMIN and up.",
    resolve: async (organization, _args, context) => {
      await requireOrganization(context, organization.id, "members.manage");
      return listInvitations(context.database, organization.id, context.now());
    },
  }),
}));

builder.mutationFields((t) => ({
  addMember: t.field({
    type: AddMemberPayload,
    description:
      "Adds the account of an e-mail address when the viewer already shares an organization with it (the instance owner adds any account). Otherwise makes an invitation, whether there is an account or not; inviting again replaces it. Role ADMIN; only an OWNER makes owners.",
    args: { organizationId: t.arg.id(), email: t.arg.string(), role: t.arg({ type: RoleEnum }) },
    resolve: async (_root, { organizationId, role, ...args }, context) => {
      const organization = await requireMayGive(context, organizationId, role);
      const email = parseEmail("email", args.email);
      const viewer = requireAccount(context);
      return context.database.transaction(async (tx): Promise<AddedMember> => {
        const account = await findAccountByEmail(tx, email);
        if (!account || !(await isAcquainted(tx, viewer, account.id))) {
          const invitedBy = viewer.accountId;
          const created = await createInvitation(tx, { organizationId, email, role, invitedBy, now: context.now() });
          await recordAudit(tx, context, { action: "invitation.create", organizationId, details: { email, role } });
          return { member: null, ...created };
        }
        if (!(await insertMember(tx, organization.id, account.id, role))) {
          throw new Conflict("this account is a member already");
        }
        await recordAudit(tx, context, { action: "member.add", organizationId, details: { email, role } });
        await publishEvent(tx, { topic: "access", accountId: account.id });
        return { member: await findMember(tx, organization.id, account.id), invitation: null, token: null };
      });
    },
  }),
  acceptInvitation: t.field({
    type: OrganizationType,
    description: "Joins the organization of an invitation that was made for the viewer's e-mail address.",
    args: { token: t.arg.string() },
    resolve: async (_root, { token }, context) => {
      const viewer = requireAccount(context);
      const organizationId = await context.database.transaction(async (tx) => {
        const account = { id: viewer.accountId, email: viewer.email };
        const invitation = await useInvitation(tx, token, account, context.now());
        await recordAudit(tx, context, {
          action: "invitation.accept",
          organizationId: invitation.organizationId,
          details: { role: invitation.role },
        });
        await publishEvent(tx, { topic: "access", accountId: viewer.accountId });
        return invitation.organizationId;
      });
      return requireOrganization(context, organizationId, "organization.read");
    },
  }),
  revokeInvitation: t.field({
    type: "ID",
    description: "Its token stops working. Role ADMIN.",
    args: { organizationId: t.arg.id(), id: t.arg.id() },
    resolve: async (_root, { organizationId, id }, context) => {
      await requireOrganization(context, organizationId, "members.manage");
      await context.database.transaction(async (tx) => {
        const email = isUuid(id) ? await deleteInvitation(tx, organizationId, id) : null;
        if (email === null) throw new NotFound("invitation");
        await recordAudit(tx, context, {
          action: "invitation.revoke",
          organizationId,
          details: { email },
        });
      });
      return id;
    },
  }),
  changeMemberRole: t.field({
    type: MemberType,
    description: "Role ADMIN; only an OWNER gives or takes the role OWNER. The last owner keeps it.",
    args: { organizationId: t.arg.id(), accountId: t.arg.id(), role: t.arg({ type: RoleEnum }) },
    resolve: async (_root, { organizationId, accountId, role }, context) => {
      const member = await changeMember(
        context,
        organizationId,
        parseAccountId(accountId),
        role,
        async (tx, before) => {
          await setMemberRole(tx, organizationId, accountId, role);
          const details = { email: before.email, from: before.role, to: role };
          await recordAudit(tx, context, { action: "member.change_role", organizationId, details });
        },
      );
      return { ...member, role };
    },
  }),
  removeMember: t.field({
    type: "ID",
    description: "Role ADMIN, or the member itself, who leaves. The last owner cannot.",
    args: { organizationId: t.arg.id(), accountId: t.arg.id() },
    resolve: async (_root, { organizationId, accountId }, context) => {
      await changeMember(context, organizationId, parseAccountId(accountId), null, async (tx, { email, role }) => {
        await deleteMember(tx, organizationId, accountId);
        await recordAudit(tx, context, { action: "member.remove", organizationId, details: { email, role } });
      });
      return accountId;
    },
  }),
}));

/**
 * E-mail addresses are not verified here: a stranger may have made an account of somebody's address. So only accounts
 * that somebody has let in before are added by address alone; others need the invitation's token, which goes from hand
 * to hand. It also keeps from admins which addresses have accounts.
 */
async function isAcquainted(tx: Queryable, viewer: AccountViewer, accountId: string): Promise<boolean> {
  if (viewer.isInstanceOwner) return true;
  return haveCommonOrganization(tx, viewer.accountId, accountId);
}

/** An id that is no UUID names nobody. */
function parseAccountId(id: string): string {
  return isUuid(id) ? id.toLowerCase() : "00000000-0000-0000-0000-000000000000";
}
