/** Tokens for gateways and data-plane processes on other machines: for the owner of the installation. */
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { isUniqueViolation } from "../database.ts";
import { Conflict, NotFound } from "../errors.ts";
import { requireInstanceOwner, requireSession } from "../permissions.ts";
import { isUuid } from "../uuid.ts";
import { parseName } from "./account-table.ts";
import { createServiceToken, deleteServiceToken, listServiceTokens, type ServiceTokenRow } from "./service-tokens.ts";

const AudienceEnum = builder.enumType("Audience", {
  description: "Whom a service token is for.",
  values: {
    GATEWAY: { value: "gateway", description: "Routes and key hashes; no database credentials, no signing keys." },
    SERVICE: { value: "service", description: "REST, auth, storage and realtime: with database credentials." },
  },
});

const ServiceTokenType = builder.objectRef<ServiceTokenRow>("ServiceToken").implement({
  description: "Reads config snapshots of its audience and nothing else.",
  fields: (t) => ({
    id: t.exposeID("id"),
    audience: t.expose("audience", { type: AudienceEnum }),
    name: t.exposeString("name"),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
  }),
});

const CreateServiceTokenPayload = builder
  .objectRef<{ serviceToken: ServiceTokenRow; token: string }>("CreateServiceTokenPayload")
  .implement({
    fields: (t) => ({
      serviceToken: t.expose("serviceToken", { type: ServiceTokenType }),
      token: t.exposeString("token", { description: "Shown only here: `sbsvc_` and 40 hex digits." }),
    }),
  });

builder.queryField("serviceTokens", (t) =>
  t.field({
    type: [ServiceTokenType],
    description: "For the owner of the installation.",
    resolve: (_root, _args, context) => {
      requireInstanceOwner(context);
      return listServiceTokens(context.database);
    },
  }),
);

builder.mutationFields((t) => ({
  createServiceToken: t.field({
    type: CreateServiceTokenPayload,
    description: "For the owner of the installation, in a session: an access token cannot make tokens.",
    args: { audience: t.arg({ type: AudienceEnum }), name: t.arg.string({ description: "Unique for the audience." }) },
    resolve: async (_root, { audience, ...args }, context) => {
      requireInstanceOwner(context);
      requireSession(context);
      const name = parseName("name", args.name);
      try {
        return await context.database.transaction(async (tx) => {
          const created = await createServiceToken(tx, audience, name);
          await recordAudit(tx, context, { action: "service_token.create", details: { audience, name } });
          return created;
        });
      } catch (error) {
        if (isUniqueViolation(error)) throw new Conflict("there is a token of this name for this audience already");
        throw error;
      }
    },
  }),
  revokeServiceToken: t.field({
    type: "ID",
    description: "Its holder is refused from then on, open feeds included. For the owner of the installation.",
    args: { id: t.arg.id() },
    resolve: async (_root, { id }, context) => {
      requireInstanceOwner(context);
      await context.database.transaction(async (tx) => {
        const revoked = isUuid(id) ? await deleteServiceToken(tx, id) : null;
        if (!revoked) throw new NotFound("service token");
        const { audience, name } = revoked;
        await recordAudit(tx, context, { action: "service_token.revoke", details: { audience, name } });
      });
      return id;
    },
  }),
}));
