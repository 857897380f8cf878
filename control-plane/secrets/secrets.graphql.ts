/** Secrets of a project: those that provisioning has made, and people's own. Lists never hold values. */

import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { Conflict, InvalidInput, NotFound } from "../errors.ts";
import { requireProject } from "../permissions.ts";
import { withProjectLocked } from "../projects/locked-project.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { INTERNAL_SECRETS, isReservedSecretName, isSecretName, SYSTEM_SECRETS } from "./names.ts";
import { listSecrets, type SecretRow } from "./secret-table.ts";

const MAX_VALUE_BYTES = 64 * 1024;
const MAX_OWN_SECRETS = 200;

const SecretType = builder.objectRef<SecretRow>("Secret").implement({
  fields: (t) => ({
    name: t.exposeString("name"),
    isSystem: t.exposeBoolean("isSystem", {
      description: "Made by the system: it can be revealed, but neither set nor deleted.",
    }),
    description: t.string({
      nullable: true,
      description: "What a system secret is for.",
      resolve: ({ name, isSystem }) => (isSystem ? describe(name) : null),
    }),
    updatedAt: t.expose("updatedAt", { type: "DateTime" }),
  }),
});

builder.objectField(ProjectType, "secrets", (t) =>
  t.field({
    type: [SecretType],
    description: "By name, without their values. Role DEVELOPER and up.",
    resolve: async ({ ref }, _args, context) => {
      await requireProject(context, ref, "secrets.read");
      return listSecrets(context.database, ref);
    },
  }),
);

builder.mutationFields((t) => ({
  revealSecret: t.string({
    description: "The secret's value. Role ADMIN; the audit log notes it.",
    args: { ref: t.arg.id(), name: t.arg.string() },
    resolve: async (_root, { name, ...args }, context) => {
      const { ref, organizationId } = await requireProject(context, args.ref, "secrets.reveal");
      if (name === "ADMIN_TEMP_PASSWORD") throw new Conflict("the one-time password is taken, not revealed");
      const isRevealable = isSecretName(name) && !INTERNAL_SECRETS.includes(name);
      const value = isRevealable ? await context.vault.get(context.database, ref, name) : null;
      if (value === null) throw new NotFound("secret");
      const details = { name };
      await recordAudit(context.database, context, {
        action: "secret.reveal",
        organizationId,
        projectRef: ref,
        details,
      });
      return value;
    },
  }),
  setSecret: t.field({
    type: SecretType,
    description: "Sets a secret of your own, new or not. Role ADMIN.",
    args: {
      ref: t.arg.id(),
      name: t.arg.string({ description: "Upper-case letters, digits and _, a letter first; at most 100." }),
      value: t.arg.string({ description: `At most ${MAX_VALUE_BYTES / 1024} KiB.` }),
    },
    resolve: (_root, { ref, name, value }, context) => {
      checkOwnName(name);
      if (Buffer.byteLength(value) > MAX_VALUE_BYTES || value.includes("\0"))
        throw new InvalidInput("value", `a secret has at most ${MAX_VALUE_BYTES} bytes and no NUL`);
      return withProjectLocked(context, ref, "secrets.manage", async (tx, { organizationId }) => {
        await context.vault.put(tx, ref, name, value);
        const secrets = await listSecrets(tx, ref);
        if (secrets.filter(({ isSystem }) => !isSystem).length > MAX_OWN_SECRETS)
          throw new Conflict(`a project has at most ${MAX_OWN_SECRETS} secrets of its own`);
        const details = { name };
        await recordAudit(tx, context, { action: "secret.set", organizationId, projectRef: ref, details });
        return named(secrets, name);
      });
    },
  }),
  deleteSecret: t.field({
    type: SecretType,
    description: "Deletes a secret of your own and answers with what it was. Role ADMIN.",
    args: { ref: t.arg.id(), name: t.arg.string() },
    resolve: (_root, { ref, name }, context) => {
      checkOwnName(name);
      return withProjectLocked(context, ref, "secrets.manage", async (tx, { organizationId }) => {
        const secret = named(await listSecrets(tx, ref), name);
        await context.vault.delete(tx, ref, name);
        const details = { name };
        await recordAudit(tx, context, { action: "secret.delete", organizationId, projectRef: ref, details });
        return secret;
      });
    },
  }),
}));

function checkOwnName(name: string): void {
  if (!isSecretName(name))
    throw new InvalidInput("name", "a secret's name has upper-case letters, digits and _, a letter first, at most 100");
  if (isReservedSecretName(name)) throw new InvalidInput("name", `${name} is made by the system`);
}

function describe(name: string): string | null {
  return Object.hasOwn(SYSTEM_SECRETS, name) ? SYSTEM_SECRETS[name as keyof typeof SYSTEM_SECRETS] : null;
}

function named(secrets: readonly SecretRow[], name: string): SecretRow {
  const secret = secrets.find((candidate) => candidate.name === name);
  if (!secret) throw new NotFound("secret");
  return secret;
}
