/** The viewer and its credentials: signing up, in and out, the account's own data, access tokens. */
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import { InvalidInput, NotFound } from "../errors.ts";
import { publishEvent } from "../events.ts";
import { OrganizationType } from "../organizations/organization.graphql.ts";
import { listOrganizationsOfAccount } from "../organizations/organization-table.ts";
import { requireAccount, requireSession } from "../permissions.ts";
import { isUuid } from "../uuid.ts";
import { type AccessTokenRow, createAccessToken, deleteAccessToken, listAccessTokens } from "./access-tokens.ts";
import { type AccountRow, findAccount, parseName, setAccountName } from "./account-table.ts";
import { clearedSessionCookie, sessionCookie } from "./sessions.ts";
import { changeEmail, changePassword, signIn, signOut } from "./sign-in.ts";
import { hasAccounts, type SignedIn, signUp } from "./sign-up.ts";

const AccessTokenType = builder.objectRef<AccessTokenRow>("AccessToken").implement({
  description: "A personal access token: it can do what its account can, except change credentials.",
  fields: (t) => ({
    id: t.exposeID("id"),
    name: t.exposeString("name"),
    prefix: t.exposeString("prefix", { description: "The first characters, to tell tokens apart." }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    lastUsedAt: t.expose("lastUsedAt", { type: "DateTime", nullable: true, description: "To the minute." }),
    expiresAt: t.expose("expiresAt", { type: "DateTime", nullable: true, description: "Null: it does not expire." }),
  }),
});

/** Only ever made for the account that asks. */
export const ViewerType = builder.objectRef<AccountRow>("Viewer").implement({
  description: "The account that asks.",
  fields: (t) => ({
    id: t.exposeID("id"),
    email: t.exposeString("email"),
    name: t.exposeString("name", { description: "Empty when none was given." }),
    isInstanceOwner: t.exposeBoolean("isInstanceOwner", {
      description: "Owns the installation: administers clusters and acts as owner of every organization.",
    }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    organizations: t.field({
      type: [OrganizationType],
      description: "Those the account is a member of, by name.",
      resolve: ({ id, isInstanceOwner }, _args, { database }) =>
        listOrganizationsOfAccount(database, id, isInstanceOwner),
    }),
    accessTokens: t.field({
      type: [AccessTokenType],
      description: "Newest first.",
      resolve: ({ id }, _args, { database }) => listAccessTokens(database, id),
    }),
  }),
});

const InstanceType = builder.objectRef<{ version: string; openSignUp: boolean }>("Instance").implement({
  description: "This installation, as anybody may know it.",
  fields: (t) => ({
    version: t.exposeString("version"),
    needsFirstAccount: t.boolean({
      description: "True before the first sign-up, which owns the installation.",
      resolve: async (_instance, _args, { database }) => !(await hasAccounts(database)),
    }),
    openSignUp: t.exposeBoolean("openSignUp", { description: "Whether signUp works without an invitation." }),
  }),
});

const CreateAccessTokenPayload = builder
  .objectRef<{ accessToken: AccessTokenRow; token: string }>("CreateAccessTokenPayload")
  .implement({
    fields: (t) => ({
      accessToken: t.expose("accessToken", { type: AccessTokenType }),
      token: t.exposeString("token", { description: "Shown only here: `sbp_` and 40 hex digits." }),
    }),
  });

const SignUpInput = builder.inputType("SignUpInput", {
  fields: (t) => ({
    email: t.string(),
    password: t.string({ description: "8 characters to 72 bytes." }),
    name: t.string({ required: false }),
    organizationName: t.string({ required: false, description: "Also makes an organization that the account owns." }),
    invitationToken: t.string({
      required: false,
      description: "Needed unless it is the first account or sign-up is open.",
    }),
  }),
});

builder.queryFields((t) => ({
  viewer: t.field({
    type: ViewerType,
    nullable: true,
    description: "Null for an anonymous request or a service token.",
    resolve: (_root, _args, { viewer, database }) =>
      viewer?.kind === "account" ? findAccount(database, viewer.accountId) : null,
  }),
  instance: t.field({
    type: InstanceType,
    description: "Needs no credential: what a sign-in page must know.",
    resolve: (_root, _args, { settings }) => settings,
  }),
}));

builder.mutationFields((t) => ({
  signUp: t.field({
    type: ViewerType,
    description: "Makes an account and signs it in by cookie. The first account owns the installation.",
    args: { input: t.arg({ type: SignUpInput }) },
    resolve: async (_root, { input }, context) =>
      startSession(
        context,
        await signUp(context, {
          email: input.email,
          password: input.password,
          name: input.name ?? "",
          organizationName: input.organizationName ?? null,
          invitationToken: input.invitationToken ?? null,
        }),
      ),
  }),
  signIn: t.field({
    type: ViewerType,
    description: "Starts a session by an httpOnly cookie. Scripts use a personal access token instead.",
    args: { email: t.arg.string(), password: t.arg.string() },
    resolve: async (_root, { email, password }, context) =>
      startSession(context, await signIn(context, email, password)),
  }),
  signOut: t.boolean({
    description: "Ends the session of the cookie.",
    resolve: async (_root, _args, context) => {
      await signOut(context, requireSession(context));
      context.setCookie(clearedSessionCookie(context.settings.secureCookies));
      return true;
    },
  }),
  updateAccount: t.field({
    type: ViewerType,
    args: { name: t.arg.string() },
    description: "Changes the viewer's name.",
    resolve: async (_root, args, context) => {
      const { accountId } = requireAccount(context);
      const name = parseName("name", args.name);
      await context.database.transaction(async (tx) => {
        await setAccountName(tx, accountId, name);
        await recordAudit(tx, context, { action: "account.update", details: { name } });
      });
      return getViewer(context, accountId);
    },
  }),
  changeEmail: t.field({
    type: ViewerType,
    description: "Needs a session and the current password.",
    args: { currentPassword: t.arg.string(), email: t.arg.string() },
    resolve: async (_root, { currentPassword, email }, context) => {
      const viewer = requireSession(context);
      await changeEmail(context, viewer, currentPassword, email);
      return getViewer(context, viewer.accountId);
    },
  }),
  changePassword: t.boolean({
    description:
      "Needs a session and the current password; ends all other sessions. Access tokens stay, as GitHub's and Supabase's do: revokeAccessToken.",
    args: { currentPassword: t.arg.string(), newPassword: t.arg.string() },
    resolve: async (_root, { currentPassword, newPassword }, context) => {
      await changePassword(context, requireSession(context), currentPassword, newPassword);
      return true;
    },
  }),
  createAccessToken: t.field({
    type: CreateAccessTokenPayload,
    description: "Needs a session: a token cannot make tokens.",
    args: {
      name: t.arg.string(),
      expiresAt: t.arg({ type: "DateTime", required: false, description: "Left out: it does not expire." }),
    },
    resolve: (_root, args, context) => {
      const { accountId } = requireSession(context);
      const name = parseName("name", args.name);
      const expiresAt = args.expiresAt ?? null;
      if (expiresAt && expiresAt.getTime() <= context.now()) throw new InvalidInput("expiresAt", "this is in the past");
      return context.database.transaction(async (tx) => {
        const created = await createAccessToken(tx, accountId, name, expiresAt);
        await recordAudit(tx, context, { action: "access_token.create", details: { name, expiresAt } });
        return created;
      });
    },
  }),
  revokeAccessToken: t.field({
    type: "ID",
    description: "Its holders are refused from then on.",
    args: { id: t.arg.id() },
    resolve: async (_root, { id }, context) => {
      const { accountId } = requireAccount(context);
      await context.database.transaction(async (tx) => {
        const revoked = isUuid(id) ? await deleteAccessToken(tx, accountId, id) : null;
        if (!revoked) throw new NotFound("access token");
        await recordAudit(tx, context, { action: "access_token.revoke", details: { name: revoked.name } });
        await publishEvent(tx, { topic: "access", accountId });
      });
      return id;
    },
  }),
}));

async function startSession(context: GraphqlContext, { account, session }: SignedIn): Promise<AccountRow> {
  context.setCookie(sessionCookie(session, context.settings.secureCookies));
  return account;
}

async function getViewer(context: GraphqlContext, accountId: string): Promise<AccountRow> {
  const account = await findAccount(context.database, accountId);
  if (!account) throw new NotFound("account");
  return account;
}
