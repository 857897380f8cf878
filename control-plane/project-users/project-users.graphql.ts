/** The people who sign in to a project's application, and its first one with the one-time password. */
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { parseEmail } from "../accounts/account-table.ts";
import { hashGeneratedPassword } from "../accounts/password-hashing.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { pageComplexity, resolveConnection } from "../connections.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict, InvalidInput, NotFound } from "../errors.ts";
import { requireProject } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { isUuid } from "../uuid.ts";
import { takeAdminPassword } from "./admin-password.ts";
import { generatePassword } from "./generate-password.ts";
import { insertProjectUser } from "./insert-user.ts";
import {
  countProjectUsers,
  deleteProjectUser,
  findProjectUser,
  listAppRoles,
  listProjectUsers,
  type ProjectUser,
  setAppRole,
  setBannedUntil,
  type UserFilter,
} from "./user-table.ts";
import { withProjectUsers } from "./users-session.ts";

const MIN_PASSWORD_LENGTH = 6;
/** bcrypt reads no further. */
const MAX_PASSWORD_BYTES = 72;
const APP_ROLE = /^[a-z][a-z0-9_-]{0,62}$/;

const UserStatusEnum = builder.enumType("ProjectUserStatus", {
  values: {
    ACTIVE: { value: "active" },
    UNCONFIRMED: { value: "unconfirmed", description: "Neither e-mail nor phone number is confirmed." },
    BANNED: { value: "banned" },
    ANONYMOUS: { value: "anonymous" },
  } as const,
});

const UserSortEnum = builder.enumType("ProjectUserSort", {
  values: {
    CREATED: { value: "created", description: "Newest first." },
    LAST_SIGN_IN: { value: "last-sign-in", description: "Latest first." },
    EMAIL: { value: "email", description: "From a to z; those without one first." },
  } as const,
});

export const ProjectUserType = builder.objectRef<ProjectUser>("ProjectUser").implement({
  description: "A person who signs in to the project's application; not an account of this installation.",
  fields: (t) => ({
    id: t.exposeID("id"),
    email: t.exposeString("email", { nullable: true }),
    phone: t.exposeString("phone", { nullable: true }),
    role: t.exposeString("appRole", {
      nullable: true,
      description:
        "Claim `app_metadata.role` of the user's tokens, for policies to ask for: `(auth.jwt() -> 'app_metadata' ->> 'role') = 'admin'`. The database role is `authenticated` for everybody.",
    }),
    isAnonymous: t.exposeBoolean("isAnonymous"),
    createdAt: t.expose("createdAt", { type: "DateTime", nullable: true }),
    lastSignInAt: t.expose("lastSignInAt", { type: "DateTime", nullable: true }),
    emailConfirmedAt: t.expose("emailConfirmedAt", { type: "DateTime", nullable: true }),
    phoneConfirmedAt: t.expose("phoneConfirmedAt", { type: "DateTime", nullable: true }),
    providers: t.stringList({
      description: "Ways to sign in: `email`, `phone`, `github`; at most 20.",
      resolve: ({ providers }) => [...providers],
    }),
    bannedUntil: t.expose("bannedUntil", {
      type: "DateTime",
      nullable: true,
      description: "Until then the user can neither sign in nor refresh.",
    }),
  }),
});

const AdminUserType = builder.objectRef<{ email: string; hasOneTimePassword: boolean }>("ProjectAdminUser").implement({
  description: "The project's first user.",
  fields: (t) => ({
    email: t.exposeString("email"),
    hasOneTimePassword: t.exposeBoolean("hasOneTimePassword", {
      description: "Until takeAdminPassword has shown it.",
    }),
  }),
});

const CreateProjectUserPayload = builder
  .objectRef<{ user: ProjectUser; password: string | null }>("CreateProjectUserPayload")
  .implement({
    fields: (t) => ({
      user: t.expose("user", { type: ProjectUserType }),
      password: t.exposeString("password", {
        nullable: true,
        description: "The one that was made up because none was given; shown only here.",
      }),
    }),
  });

const AdminPasswordPayload = builder
  .objectRef<{ email: string; password: string }>("TakeAdminPasswordPayload")
  .implement({
    fields: (t) => ({ email: t.exposeString("email"), password: t.exposeString("password") }),
  });

builder.objectFields(ProjectType, (t) => ({
  users: t.connection({
    type: ProjectUserType,
    description: "Role DEVELOPER and up.",
    args: {
      search: t.arg.string({ required: false, description: "Part of an e-mail or a phone number, or a whole id." }),
      statuses: t.arg({ type: [UserStatusEnum], required: false }),
      provider: t.arg.string({ required: false, description: "One that users sign in by: `email`, `github`." }),
      role: t.arg.string({ required: false, description: "Claim `app_metadata.role`." }),
      sort: t.arg({ type: UserSortEnum, defaultValue: "created" }),
    },
    complexity: pageComplexity,
    resolve: ({ ref }, args, context) => {
      for (const name of ["after", "before"] as const) {
        if (args[name] != null && !isUuid(args[name])) throw new InvalidInput(name, "this is no cursor");
      }
      const filter: UserFilter = {
        search: args.search?.trim() || null,
        statuses: args.statuses ?? null,
        provider: args.provider ?? null,
        appRole: args.role ?? null,
      };
      return resolveConnection<ProjectUser>(args, {
        cursorOf: ({ id }) => id,
        page: (page) =>
          withProjectUsers(context, ref, "users.read", (session) => listProjectUsers(session, filter, args.sort, page)),
        count: () => withProjectUsers(context, ref, "users.read", (session) => countProjectUsers(session, filter)),
      });
    },
  }),
  userRoles: t.stringList({
    description: "What users have as claim `app_metadata.role`, the most common first. Role DEVELOPER and up.",
    resolve: ({ ref }, _args, context) => withProjectUsers(context, ref, "users.read", listAppRoles),
  }),
  user: t.field({
    type: ProjectUserType,
    description: "Role DEVELOPER and up.",
    args: { id: t.arg.id() },
    resolve: ({ ref }, { id }, context) =>
      withProjectUsers(context, ref, "users.read", async (session) =>
        found(await findProjectUser(session, userId(id))),
      ),
  }),
  adminUser: t.field({
    type: AdminUserType,
    nullable: true,
    description: "Null until the project is made. Role DEVELOPER and up.",
    resolve: async ({ ref }, _args, context) => {
      await requireProject(context, ref, "users.read");
      const email = await context.vault.get(context.database, ref, "ADMIN_EMAIL");
      if (email === null) return null;
      const password = await context.vault.get(context.database, ref, "ADMIN_TEMP_PASSWORD");
      return { email, hasOneTimePassword: password !== null };
    },
  }),
}));

const CreateProjectUserInput = builder.inputType("CreateProjectUserInput", {
  fields: (t) => ({
    ref: t.id(),
    email: t.string(),
    password: t.string({
      required: false,
      description: `${MIN_PASSWORD_LENGTH} characters to ${MAX_PASSWORD_BYTES} bytes; left out, one is made up.`,
    }),
    role: t.string({ required: false, description: "Claim `app_metadata.role`: lower-case letters, digits, - and _." }),
  }),
});

builder.mutationFields((t) => ({
  createProjectUser: t.field({
    type: CreateProjectUserPayload,
    description: "The user is confirmed and can sign in at once. Role DEVELOPER. CONFLICT when the e-mail is taken.",
    args: { input: t.arg({ type: CreateProjectUserInput }) },
    resolve: async (_root, { input }, context) => {
      const { organizationId } = await requireProject(context, input.ref, "users.manage"); // before the hash, which costs
      const email = parseEmail("email", input.email);
      const appRole = parseAppRole(input.role);
      const isGenerated = input.password == null;
      const password = input.password == null ? generatePassword() : parsePassword(input.password);
      const passwordHash = isGenerated
        ? await hashGeneratedPassword(password)
        : await context.passwords.hash(`organization ${organizationId}`, password);
      const user = await change(context, input.ref, "create", { email, role: appRole }, async (session) => {
        const id = randomUUID();
        if (!(await insertProjectUser(session, { id, email, passwordHash, appRole })))
          throw new Conflict("a user of this e-mail exists already");
        return found(await findProjectUser(session, id));
      });
      return { user, password: isGenerated ? password : null };
    },
  }),
  setProjectUserRole: t.field({
    type: ProjectUserType,
    description: "Null takes the role away. It shows in the user's tokens from the next refresh on. Role DEVELOPER.",
    args: { ref: t.arg.id(), id: t.arg.id(), role: t.arg.string({ required: false }) },
    resolve: async (_root, args, context) => {
      const id = userId(args.id);
      const role = parseAppRole(args.role);
      return change(context, args.ref, "set_role", { id, role }, async (session) =>
        found(await setAppRole(session, id, role)),
      );
    },
  }),
  setProjectUserBan: t.field({
    type: ProjectUserType,
    description:
      "Null lifts the ban. A banned user can neither sign in nor refresh; an access token that is out lives to its end. Role DEVELOPER.",
    args: { ref: t.arg.id(), id: t.arg.id(), until: t.arg({ type: "DateTime", required: false }) },
    resolve: async (_root, args, context) => {
      const id = userId(args.id);
      const until = args.until ?? null;
      return change(context, args.ref, "set_ban", { id, until: until?.toISOString() ?? null }, async (session) =>
        found(await setBannedUntil(session, id, until)),
      );
    },
  }),
  deleteProjectUser: t.id({
    description:
      "With identities and sessions, and whatever refers to the user with `on delete cascade`. Role DEVELOPER.",
    args: { ref: t.arg.id(), id: t.arg.id() },
    resolve: async (_root, args, context) => {
      const id = userId(args.id);
      return change(context, args.ref, "delete", { id }, async (session) => {
        if (!(await deleteProjectUser(session, id))) throw new NotFound("user");
        return id;
      });
    },
  }),
  takeAdminPassword: t.field({
    type: AdminPasswordPayload,
    description:
      "The first user's one-time password, shown once: it is deleted with this answer. Role ADMIN; the audit log notes it. CONFLICT when it was taken.",
    args: { ref: t.arg.id() },
    resolve: (_root, { ref }, context) => takeAdminPassword(context, ref),
  }),
}));

/** Changes something in the project's database, and notes it when that is done. */
export async function change<T>(
  context: GraphqlContext,
  ref: string,
  verb: string,
  details: Readonly<Record<string, unknown>>,
  work: (session: pg.Client) => Promise<T>,
): Promise<T> {
  return withProjectUsers(context, ref, "users.manage", async (session, { organizationId }) => {
    const result = await work(session);
    await recordAudit(context.database, context, {
      action: `project_user.${verb}`,
      organizationId,
      projectRef: ref,
      details,
    });
    return result;
  });
}

export function found(user: ProjectUser | null): ProjectUser {
  if (!user) throw new NotFound("user");
  return user;
}

/** What is no UUID names nobody. */
export function userId(text: string): string {
  if (!isUuid(text)) throw new NotFound("user");
  return text;
}

function parseAppRole(role: string | null | undefined): string | null {
  if (role === null || role === undefined) return null;
  if (!APP_ROLE.test(role)) throw new InvalidInput("role", "a role has lower-case letters, digits, - and _");
  return role;
}

export function parsePassword(password: string): string {
  if (password.length < MIN_PASSWORD_LENGTH)
    throw new InvalidInput("password", `a password has at least ${MIN_PASSWORD_LENGTH} characters`);
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES)
    throw new InvalidInput("password", `a password has at most ${MAX_PASSWORD_BYTES} bytes`);
  return password;
}
