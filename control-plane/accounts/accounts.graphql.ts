/** Everybody's accounts: for the owner of the installation, who helps those that have lost their password. */
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { pageComplexity, resolveConnection } from "../connections.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { Conflict, Forbidden, NotFound } from "../errors.ts";
import { publishEvent } from "../events.ts";
import { endAccess } from "../organizations/access-end.ts";
import { listMemberships, lockOwnedOrganizations } from "../organizations/organization-table.ts";
import { requireInstanceOwner, requireSession } from "../permissions.ts";
import { isUuid } from "../uuid.ts";
import {
  type AccountRow,
  countAccounts,
  deleteAccountRow,
  findAccount,
  listAccounts,
  setPasswordHash,
} from "./account-table.ts";
import { checkNewPassword } from "./password-hashing.ts";
import { deleteOtherSessions } from "./sessions.ts";

const AccountType = builder.objectRef<AccountRow>("Account").implement({
  description: "A person who can sign in.",
  fields: (t) => ({
    id: t.exposeID("id"),
    email: t.exposeString("email"),
    name: t.exposeString("name"),
    isInstanceOwner: t.exposeBoolean("isInstanceOwner"),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
  }),
});

builder.queryField("accounts", (t) =>
  t.connection(
    {
      type: AccountType,
      complexity: pageComplexity,
      description: "By e-mail; for the owner of the installation.",
      args: { search: t.arg.string({ required: false, description: "Part of an e-mail or a name." }) },
      resolve: (_root, args, context) => {
        requireInstanceOwner(context);
        const search = args.search ?? null;
        return resolveConnection<AccountRow>(args, {
          cursorOf: ({ email }) => email,
          page: (page) => listAccounts(context.database, search, page),
          count: () => countAccounts(context.database, search),
        });
      },
    },
    builder.connectionObject({ type: AccountType, name: "AccountConnection" }),
  ),
);

builder.mutationFields((t) => ({
  setAccountPassword: t.field({
    type: AccountType,
    description:
      "Gives a person who has lost the password a new one, to be handed over; ends all sessions of the account. Its access tokens stay. For the owner of the installation, in a session.",
    args: { accountId: t.arg.id(), newPassword: t.arg.string() },
    resolve: async (_root, { accountId, newPassword }, context) => {
      const account = await requireOther(context, accountId);
      checkNewPassword("newPassword", newPassword);
      const passwordHash = await context.passwords.hash(account.id, newPassword);
      await context.database.transaction(async (tx) => {
        await setPasswordHash(tx, account.id, passwordHash);
        await deleteOtherSessions(tx, account.id, null);
        await recordAudit(tx, context, { action: "account.set_password", details: { email: account.email } });
        await publishEvent(tx, { topic: "access", accountId: account.id });
      });
      return account;
    },
  }),
  deleteAccount: t.field({
    type: "ID",
    description:
      "Deletes an account with its tokens and memberships; CONFLICT while it is the last owner of an organization. For the owner of the installation, in a session.",
    args: { accountId: t.arg.id() },
    resolve: async (_root, { accountId }, context) => {
      const account = await requireOther(context, accountId);
      const { id, email } = account;
      let resets = false;
      await context.database.transaction(async (tx) => {
        await requireNotLastOwner(tx, id);
        for (const { organizationId, role } of await listMemberships(tx, id)) {
          const ended = await endAccess(tx, context, { organizationId, accountId: id, email, from: role, to: null });
          resets ||= ended;
        }
        await deleteAccountRow(tx, account.id);
        await recordAudit(tx, context, { action: "account.delete", details: { email: account.email } });
        await publishEvent(tx, { topic: "access", accountId: account.id });
      });
      if (resets) await context.loginResets.settle();
      return account.id;
    },
  }),
}));

/** Somebody else's account; the owner's own is changed by changePassword and cannot be deleted. */
async function requireOther(context: GraphqlContext, accountId: string): Promise<AccountRow> {
  requireInstanceOwner(context);
  const viewer = requireSession(context);
  const account = isUuid(accountId) ? await findAccount(context.database, accountId) : null;
  if (!account) throw new NotFound("account");
  if (account.id === viewer.accountId) throw new Forbidden("this is your own account");
  return account;
}

async function requireNotLastOwner(tx: Queryable, accountId: string): Promise<void> {
  const organizations = await lockOwnedOrganizations(tx, accountId);
  const last = organizations.find(({ owners }) => owners < 2);
  if (last) throw new Conflict(`the account is the last owner of ${last.name}: make somebody else an owner first`);
}
