/** The keys that sign a project's tokens: the JWT secret (HS256), and signing keys (ES256) for projects that want them. */

import { markLegacyKeysRevoked } from "../api-keys/api-key-table.ts";
import { issueJwtSecret } from "../api-keys/issue.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { requireProject } from "../permissions.ts";
import { changeProjectConfig } from "../projects/locked-project.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import type { ProjectRow } from "../projects/project-row.ts";
import { MissingDataKey } from "../secrets/vault.ts";
import { addSigningKey, removeSigningKey, rotateSigningKeys } from "./signing-key-changes.ts";
import { generateSigningKey, parseSigningKeyList, publicJwk, type SigningKey } from "./signing-keys.ts";

const SigningKeyStateEnum = builder.enumType("SigningKeyState", {
  values: {
    STANDBY: { value: "standby", description: "Verifies already, signs after the next rotation." },
    CURRENT: { value: "current", description: "Signs user tokens." },
    PREVIOUS: { value: "previous", description: "Verifies what it has signed, until it is removed." },
  },
});

const SigningKeyType = builder.objectRef<SigningKey>("SigningKey").implement({
  description: "An ES256 key pair. While none is CURRENT, user tokens are signed with the JWT secret.",
  fields: (t) => ({
    kid: t.exposeID("kid"),
    state: t.expose("state", { type: SigningKeyStateEnum }),
    publicJwk: t.field({ type: "JSON", resolve: publicJwk }),
    createdAt: t.field({ type: "DateTime", resolve: ({ createdAt }) => new Date(createdAt * 1000) }),
  }),
});

builder.objectField(ProjectType, "signingKeys", (t) =>
  t.field({
    type: [SigningKeyType],
    description: "Newest first. Role DEVELOPER and up.",
    resolve: async ({ ref }, _args, context) => {
      await requireProject(context, ref, "keys.read");
      return readSigningKeys(context, context.database, ref);
    },
  }),
);

builder.mutationFields((t) => ({
  rotateJwtSecret: t.field({
    type: ProjectType,
    description:
      "A new JWT secret and a new legacy key pair. At once the old pair and every user token that the old secret has signed stop working; publishable and secret keys go on. Role ADMIN.",
    args: { ref: t.arg.id() },
    resolve: (_root, { ref }, context) =>
      changeProjectConfig(context, ref, "keys.manage", async (tx, { organizationId }) => {
        // Without a secret there is nothing to rotate: provisioning makes the first one.
        if ((await context.vault.get(tx, ref, "JWT_SECRET")) === null) throw new MissingDataKey("no JWT secret yet");
        await markLegacyKeysRevoked(tx, ref);
        await issueJwtSecret(tx, context.vault, ref, context.now());
        await recordAudit(tx, context, { action: "jwt_secret.rotate", organizationId, projectRef: ref });
      }),
  }),
  createSigningKey: t.field({
    type: ProjectType,
    description: "A further signing key, in state STANDBY. Role ADMIN.",
    args: { ref: t.arg.id() },
    resolve: async (_root, { ref }, context) => {
      const key = await generateSigningKey(context.now());
      return changeSigningKeys(context, ref, "signing_key.create", { kid: key.kid }, (keys) =>
        addSigningKey(keys, key),
      );
    },
  }),
  rotateSigningKey: t.field({
    type: ProjectType,
    description: "The STANDBY key becomes CURRENT, the CURRENT one PREVIOUS; nobody is signed out. Role ADMIN.",
    args: { ref: t.arg.id() },
    resolve: (_root, { ref }, context) => changeSigningKeys(context, ref, "signing_key.rotate", {}, rotateSigningKeys),
  }),
  removeSigningKey: t.field({
    type: ProjectType,
    description:
      "What the key has signed stops working. After the CURRENT one tokens are signed with the JWT secret again. Role ADMIN.",
    args: { ref: t.arg.id(), kid: t.arg.id() },
    resolve: (_root, { ref, kid }, context) =>
      changeSigningKeys(context, ref, "signing_key.remove", { kid }, (keys) => removeSigningKey(keys, kid)),
  }),
}));

function changeSigningKeys(
  context: GraphqlContext,
  ref: string,
  action: string,
  details: Readonly<Record<string, unknown>>,
  change: (keys: readonly SigningKey[]) => readonly SigningKey[],
): Promise<ProjectRow> {
  return changeProjectConfig(context, ref, "keys.manage", async (tx, { organizationId }) => {
    const keys = change(await readSigningKeys(context, tx, ref));
    await context.vault.put(tx, ref, "JWT_SIGNING_KEYS", JSON.stringify(keys), { system: true });
    await recordAudit(tx, context, { action, organizationId, projectRef: ref, details });
  });
}

async function readSigningKeys({ vault }: GraphqlContext, db: Queryable, ref: string): Promise<SigningKey[]> {
  return parseSigningKeyList(await vault.get(db, ref, "JWT_SIGNING_KEYS"));
}
