/** Members and invitations of an organization. */
import { findAccountByEmail, parseEmail } from "../accounts/account-row.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { keysetSql, pageComplexity, resolveConnection } from "../connections.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { Conflict, NotFound } from "../errors.ts";
import { publishEvent } from "../events.ts";
import { type OrganizationRow, requireAccount, requireOrganization } from "../permissions.ts";
import { isUuid } from "../uuid.ts";
import type { AccountViewer } from "../viewer.ts";
import { createInvitation, INVITATION_COLUMNS, type InvitationRow, useInvitation } from "./invitations.ts";
import { changeMember, requireMayGive } from "./member-changes.ts";
import { OrganizationType, RoleEnum } from "./organization.graphql.ts";
import { findMember, insertMember, MEMBER_COLUMNS, type MemberRow } from "./organization-table.ts";

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
          page: (page) => {
            const keyset = keysetSql(page, {
              key: "lower(accounts.email)",
              keyOf: (cursor) => `lower(${cursor})`,
              direction: "asc",
              firstParameter: 3,
            });
            return database.query<MemberRow>(
              `/* members */ select ${MEMBER_COLUMNS} from memberships join accounts on accounts.id = account_id
             where organization_id = $1 and ${keyset.where} order by ${keyset.orderBy} limit $2`,
              [organization.id, page.limit, ...keyset.values],
            );
          },
          count: () => countMembers({ database }, organization),
        }),
    },
    builder.connectionObject({ type: MemberType, name: "MemberConnection" }),
  ),
  invitations: t.field({
    type: [InvitationType],
    description: "Open invitations. Role ADMIN and up.",
    resolve: async (organization, _args, context) => {
      await requireOrganization(context, organization.id, "members.manage");
      return context.database.query<InvitationRow>(
        `/* invitations */ select ${INVITATION_COLUMNS} from invitations
         where organization_id = $1 and expires_at > $2 order by created_at desc, id`,
        [organization.id, new Date(context.now())],
      );
    },
  }),
}));

async function countMembers({ database }: Pick<GraphqlContext, "database">, { id }: OrganizationRow): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    "/* countMembers */ select count(*) from memberships where organization_id = $1",
    [id],
  );
  return row?.count ?? 0;
}

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
        const [invitation] = isUuid(id)
          ? await tx.query<{ email: string }>(
              "/* revokeInvitation */ delete from invitations where organization_id = $1 and id = $2 returning email",
              [organizationId, id],
            )
          : [];
        if (!invitation) throw new NotFound("invitation");
        await recordAudit(tx, context, {
          action: "invitation.revoke",
          organizationId,
          details: { email: invitation.email },
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
          await tx.query(
            "/* changeMemberRole */ update memberships set role = $3 where organization_id = $1 and account_id = $2",
            [organizationId, accountId, role],
          );
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
        await tx.query("/* removeMember */ delete from memberships where organization_id = $1 and account_id = $2", [
          organizationId,
          accountId,
        ]);
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
  const shared = await tx.query(
    `/* isAcquainted */ select from memberships mine join memberships theirs using (organization_id)
     where mine.account_id = $1 and theirs.account_id = $2 limit 1`,
    [viewer.accountId, accountId],
  );
  return shared.length > 0;
}

/** An id that is no UUID names nobody. */
function parseAccountId(id: string): string {
  return isUuid(id) ? id.toLowerCase() : "00000000-0000-0000-0000-000000000000";
}
