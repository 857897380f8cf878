/** One user of a project in full, and what the people who run the project change of it. */
import { parseEmail } from "../accounts/account-table.ts";
import { builder } from "../builder.ts";
import { isUniqueViolation } from "../database.ts";
import { Conflict, InvalidInput, NotFound } from "../errors.ts";
import { requireProject } from "../permissions.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { isUuid } from "../uuid.ts";
import { change, found, ProjectUserType, parsePassword, userId } from "./project-users.graphql.ts";
import {
  deleteUserFactor,
  deleteUserSessions,
  findUserDetails,
  MAX_METADATA_BYTES,
  type UserChange,
  type UserDetails,
  type UserFactor,
  type UserIdentity,
  type UserSession,
  updateUser,
} from "./user-details.ts";
import { findProjectUser, type ProjectUser } from "./user-table.ts";
import { withProjectUsers } from "./users-session.ts";

/** Five statements in a session of its own. */
const COMPLEXITY = 20;
const PHONE = /^[1-9][0-9]{5,14}$/;

const IdentityType = builder.objectRef<UserIdentity>("ProjectUserIdentity").implement({
  description: "A way to sign in.",
  fields: (t) => ({
    id: t.exposeID("id"),
    provider: t.exposeString("provider"),
    email: t.exposeString("email", { nullable: true }),
    createdAt: t.expose("createdAt", { type: "DateTime", nullable: true }),
    lastSignInAt: t.expose("lastSignInAt", { type: "DateTime", nullable: true }),
  }),
});

const SessionType = builder.objectRef<UserSession>("ProjectUserSession").implement({
  fields: (t) => ({
    id: t.exposeID("id"),
    createdAt: t.expose("createdAt", { type: "DateTime", nullable: true }),
    refreshedAt: t.expose("refreshedAt", { type: "DateTime", nullable: true }),
    ip: t.exposeString("ip", { nullable: true }),
    userAgent: t.exposeString("userAgent", { nullable: true, description: "Cut at 300 characters." }),
    aal: t.exposeString("aal", { nullable: true, description: "`aal1`, or `aal2` with a second factor." }),
  }),
});

const FactorType = builder.objectRef<UserFactor>("ProjectUserFactor").implement({
  description: "A second factor.",
  fields: (t) => ({
    id: t.exposeID("id"),
    name: t.exposeString("name", { nullable: true }),
    type: t.exposeString("type", { description: "`totp`, `phone`, `webauthn`." }),
    status: t.exposeString("status", { description: "`verified`, `unverified`." }),
    createdAt: t.expose("createdAt", { type: "DateTime", nullable: true }),
  }),
});

const DetailsType = builder
  .objectRef<{ readonly user: ProjectUser; readonly details: UserDetails }>("ProjectUserDetails")
  .implement({
    description: "The newest hundred of each list.",
    fields: (t) => ({
      user: t.expose("user", { type: ProjectUserType }),
      appMetadata: t.field({
        type: "JSON",
        nullable: true,
        description: `Null when it is larger than ${MAX_METADATA_BYTES} bytes.`,
        resolve: ({ details }) => details.appMetadata,
      }),
      appMetadataBytes: t.int({ resolve: ({ details }) => details.appMetadataBytes }),
      userMetadata: t.field({
        type: "JSON",
        nullable: true,
        description: `The user's own; null when it is larger than ${MAX_METADATA_BYTES} bytes.`,
        resolve: ({ details }) => details.userMetadata,
      }),
      userMetadataBytes: t.int({ resolve: ({ details }) => details.userMetadataBytes }),
      identities: t.field({ type: [IdentityType], resolve: ({ details }) => [...details.identities] }),
      sessions: t.field({
        type: [SessionType],
        description: "Open ones, the last used first.",
        resolve: ({ details }) => [...details.sessions],
      }),
      factors: t.field({ type: [FactorType], resolve: ({ details }) => [...details.factors] }),
    }),
  });

builder.objectField(ProjectType, "userDetails", (t) =>
  t.field({
    type: DetailsType,
    description: "Role DEVELOPER and up.",
    args: { id: t.arg.id() },
    complexity: COMPLEXITY,
    resolve: ({ ref }, { id }, context) =>
      withProjectUsers(context, ref, "users.read", async (session) => {
        const user = found(await findProjectUser(session, userId(id)));
        const details = await findUserDetails(session, user.id);
        if (!details) throw new NotFound("user");
        return { user, details };
      }),
  }),
);

const UpdateProjectUserInput = builder.inputType("UpdateProjectUserInput", {
  description: "What is left out stays.",
  fields: (t) => ({
    ref: t.id(),
    id: t.id(),
    email: t.string({ required: false, description: "Counts as confirmed." }),
    phone: t.string({
      required: false,
      description: "With the country's code, digits alone; counts as confirmed. Null takes it away.",
    }),
    password: t.string({ required: false, description: "Ends all sessions of the user." }),
    userMetadata: t.field({ type: "JSON", required: false, description: "Replaces the whole; an object." }),
    confirmEmail: t.boolean({ required: false, description: "The address counts as confirmed from now on." }),
  }),
});

builder.mutationFields((t) => ({
  updateProjectUser: t.field({
    type: ProjectUserType,
    description: "Role DEVELOPER. CONFLICT when the address or number is another user's.",
    args: { input: t.arg({ type: UpdateProjectUserInput }) },
    resolve: async (_root, { input }, context) => {
      const { organizationId } = await requireProject(context, input.ref, "users.manage"); // before the hash, which costs
      const id = userId(input.id);
      const password = input.password == null ? null : parsePassword(input.password);
      const changes: UserChange = {
        ...(input.email == null ? {} : { email: parseEmail("email", input.email) }),
        ...(input.phone === undefined ? {} : { phone: parsePhone(input.phone) }),
        ...(input.userMetadata == null ? {} : { userMetadata: parseMetadata(input.userMetadata) }),
        ...(input.confirmEmail ? { isEmailConfirmed: true } : {}),
        ...(password === null
          ? {}
          : { passwordHash: await context.passwords.hash(`organization ${organizationId}`, password) }),
      };
      // Addresses are in the log as those of a creation are; what a password is changed to is not.
      const details = { id, ...(changes.email ? { email: changes.email } : {}), fields: Object.keys(changes) };
      return change(context, input.ref, "update", details, async (session) => {
        try {
          if (!(await updateUser(session, id, changes))) throw new NotFound("user");
        } catch (error) {
          if (isUniqueViolation(error)) throw new Conflict("another user has this address or number");
          throw error;
        }
        return found(await findProjectUser(session, id));
      });
    },
  }),
  signOutProjectUser: t.int({
    description:
      "Ends all sessions of the user and answers how many; an access token that is out lives to its end. Role DEVELOPER.",
    args: { ref: t.arg.id(), id: t.arg.id() },
    resolve: (_root, args, context) => {
      const id = userId(args.id);
      return change(context, args.ref, "sign_out", { id }, async (session) => {
        found(await findProjectUser(session, id));
        return deleteUserSessions(session, id);
      });
    },
  }),
  deleteProjectUserFactor: t.id({
    description: "Takes a second factor away, for somebody who has lost the device. Role DEVELOPER.",
    args: { ref: t.arg.id(), id: t.arg.id(), factorId: t.arg.id() },
    resolve: (_root, args, context) => {
      const id = userId(args.id);
      const { factorId } = args;
      return change(context, args.ref, "delete_factor", { id, factorId }, async (session) => {
        if (!isUuid(factorId) || !(await deleteUserFactor(session, id, factorId))) throw new NotFound("factor");
        return factorId;
      });
    },
  }),
}));

function parsePhone(phone: string | null): string | null {
  if (phone === null || phone.trim() === "") return null;
  const digits = phone.replace(/^\s*\+/, "").replaceAll(/[\s()-]/g, "");
  if (!PHONE.test(digits)) throw new InvalidInput("phone", "a phone number has its country's code and 6 to 15 digits");
  return digits;
}

function parseMetadata(value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new InvalidInput("userMetadata", "metadata is a JSON object");
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_METADATA_BYTES)
    throw new InvalidInput("userMetadata", `metadata has at most ${MAX_METADATA_BYTES} bytes`);
  return value;
}
