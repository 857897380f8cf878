/** API keys: what clients put into the header `apikey`. */
import { parseName } from "../accounts/account-table.ts";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict, NotFound } from "../errors.ts";
import { requireProject } from "../permissions.ts";
import { changeProjectConfig } from "../projects/locked-project.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import {
  type ApiKeyRow,
  countUsableApiKeys,
  findApiKey,
  listApiKeys,
  markApiKeyRevoked,
  openApiKey,
} from "./api-key-table.ts";
import { insertApiKeys } from "./issue.ts";
import { generateOpaqueKey, type OpaqueKeyKind } from "./key-format.ts";

/** Every key is in every gateway's snapshot of the project. */
const MAX_USABLE_KEYS = 100;

const ApiKeyKindEnum = builder.enumType("ApiKeyKind", {
  values: {
    LEGACY: { value: "legacy", description: "A JWT that the project's JWT secret signs; made by rotateJwtSecret." },
    PUBLISHABLE: { value: "publishable", description: "`sb_publishable_…`: may be in a page or an app." },
    SECRET: { value: "secret", description: "`sb_secret_…`: for servers, bypasses row-level security." },
  },
});

const ApiKeyRoleEnum = builder.enumType("ApiKeyRole", {
  description: "The database role that requests with the key act as.",
  values: { ANON: { value: "anon" }, SERVICE_ROLE: { value: "service_role" } },
});

/** With the key's text where the viewer may read it along. */
type ListedApiKey = ApiKeyRow & { readonly key: string | null };

const ApiKeyType = builder.objectRef<ListedApiKey>("ApiKey").implement({
  fields: (t) => ({
    id: t.exposeID("id"),
    name: t.exposeString("name"),
    kind: t.expose("kind", { type: ApiKeyKindEnum }),
    role: t.expose("role", { type: ApiKeyRoleEnum }),
    prefix: t.exposeString("prefix", { description: "The first characters, to tell keys apart." }),
    key: t.exposeString("key", {
      nullable: true,
      description: "The whole key where it is a public one (role ANON); for the others revealApiKey.",
    }),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
    revokedAt: t.expose("revokedAt", { type: "DateTime", nullable: true, description: "Null while it works." }),
  }),
});

const CreateApiKeyPayload = builder.objectRef<{ apiKey: ListedApiKey; key: string }>("CreateApiKeyPayload").implement({
  fields: (t) => ({
    apiKey: t.expose("apiKey", { type: ApiKeyType }),
    key: t.exposeString("key"),
  }),
});

const OpaqueKeyKindEnum = builder.enumType("NewApiKeyKind", {
  values: { PUBLISHABLE: { value: "publishable" }, SECRET: { value: "secret" } },
});

builder.objectField(ProjectType, "apiKeys", (t) =>
  t.field({
    type: [ApiKeyType],
    description: "Oldest first, revoked ones included. Role DEVELOPER and up.",
    resolve: async ({ ref }, _args, context) => {
      await requireProject(context, ref, "keys.read");
      return withPublicTexts(context, ref, await listApiKeys(context.database, ref));
    },
  }),
);

builder.mutationFields((t) => ({
  createApiKey: t.field({
    type: CreateApiKeyPayload,
    description: "A further key, usable at once. Role ADMIN.",
    args: {
      ref: t.arg.id(),
      name: t.arg.string({ description: "What it is for: 1 to 100 characters." }),
      kind: t.arg({ type: OpaqueKeyKindEnum }),
    },
    resolve: (_root, { ref, name, kind }, context) => createApiKey(context, ref, name, kind),
  }),
  revokeApiKey: t.field({
    type: ApiKeyType,
    description: "Gateways refuse the key within 100 ms. It cannot be undone. Role ADMIN.",
    args: { ref: t.arg.id(), id: t.arg.id() },
    resolve: async (_root, { ref, id }, context) => {
      await changeProjectConfig(context, ref, "keys.manage", async (tx, { organizationId }) => {
        const { id: keyId, name, kind, role } = existing(await findApiKey(tx, ref, id));
        if (!(await markApiKeyRevoked(tx, ref, keyId))) return;
        const details = { id: keyId, name, kind, role };
        await recordAudit(tx, context, { action: "api_key.revoke", organizationId, projectRef: ref, details });
      });
      const [revoked] = await withPublicTexts(context, ref, [existing(await findApiKey(context.database, ref, id))]);
      return existing(revoked);
    },
  }),
  revealApiKey: t.string({
    description: "The whole key. Role ADMIN, for public keys DEVELOPER. The audit log notes it.",
    args: { ref: t.arg.id(), id: t.arg.id() },
    resolve: async (_root, args, context) => {
      const { ref, organizationId } = await requireProject(context, args.ref, "keys.read");
      const key = existing(await findApiKey(context.database, ref, args.id));
      if (key.role === "service_role") await requireProject(context, ref, "keys.reveal");
      const text = openApiKey(await context.vault.dataKey(context.database, ref), key);
      const details = { id: key.id, name: key.name, kind: key.kind, role: key.role };
      await recordAudit(context.database, context, {
        action: "api_key.reveal",
        organizationId,
        projectRef: ref,
        details,
      });
      return text;
    },
  }),
}));

async function createApiKey(context: GraphqlContext, ref: string, givenName: string, kind: OpaqueKeyKind) {
  const name = parseName("name", givenName);
  const text = generateOpaqueKey(kind);
  const role = kind === "secret" ? "service_role" : "anon";
  let created = "";
  await changeProjectConfig(context, ref, "keys.manage", async (tx, { organizationId }) => {
    if ((await countUsableApiKeys(tx, ref)) >= MAX_USABLE_KEYS)
      throw new Conflict(`a project has at most ${MAX_USABLE_KEYS} API keys: revoke one first`);
    const [id = ""] = await insertApiKeys(tx, context.vault, ref, [{ name, kind, role, text }]);
    const details = { id, name, kind, role };
    await recordAudit(tx, context, { action: "api_key.create", organizationId, projectRef: ref, details });
    created = id;
  });
  const apiKey = existing(await findApiKey(context.database, ref, created));
  return { apiKey: { ...apiKey, key: role === "anon" ? text : null }, key: text };
}

async function withPublicTexts(
  { vault, database }: GraphqlContext,
  ref: string,
  keys: readonly ApiKeyRow[],
): Promise<ListedApiKey[]> {
  if (keys.length === 0) return [];
  const dataKey = await vault.dataKey(database, ref);
  return keys.map((key) => ({ ...key, key: key.role === "anon" ? openApiKey(dataKey, key) : null }));
}

function existing<T>(key: T | null | undefined): T {
  if (!key) throw new NotFound("API key");
  return key;
}
