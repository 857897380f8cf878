/** Config snapshots for gateways and data-plane services; the audience is the service token's. */
import { builder } from "../builder.ts";
import type { Audience, ConfigChanges } from "../client/config-snapshot.ts";
import type { GraphqlContext } from "../context.ts";
import type { Queryable } from "../database.ts";
import { InvalidInput, Unauthenticated } from "../errors.ts";
import { requireService } from "../permissions.ts";
import type { ServiceViewer } from "../viewer.ts";

const MAX_NAMES = 100;

const ConfigChangesType = builder.objectRef<ConfigChanges<Audience>>("ConfigChanges").implement({
  description: "Config snapshots that have changed, in the order of their versions.",
  fields: (t) => ({
    cursor: t.exposeFloat("cursor", { description: "Go on from here after a break; a whole number." }),
    snapshots: t.field({
      type: ["JSON"],
      description: "A snapshot each, or `{projectRef, version, deleted: true}` for a project that is gone.",
      resolve: ({ snapshots }) => [...snapshots],
    }),
    resync: t.exposeBoolean("resync", {
      description: "No replay leads from the reader's cursor to here: whatever it holds is to be read again.",
    }),
  }),
});

builder.queryFields((t) => ({
  projectConfigs: t.field({
    type: t.listRef("JSON", { nullable: true }),
    description: "A snapshot for each ref, in the same order; null where there is no such project. For service tokens.",
    args: { refs: t.arg.idList({ description: `At most ${MAX_NAMES}.` }) },
    complexity: 1,
    resolve: async (_root, { refs }, context) => {
      const { audience } = requireService(context);
      const found = await context.configSnapshots.findByRefs(audience, atMost("refs", refs));
      return refs.map((ref) => found.get(ref) ?? null);
    },
  }),
  projectConfigsByHost: t.field({
    type: t.listRef("JSON", { nullable: true }),
    description: "The same by custom host: lower case, no port. For service tokens.",
    args: { hosts: t.arg.stringList({ description: `At most ${MAX_NAMES}.` }) },
    complexity: 1,
    resolve: async (_root, { hosts }, context) => {
      const { audience } = requireService(context);
      const found = await context.configSnapshots.findByHosts(audience, atMost("hosts", hosts));
      return hosts.map((host) => found.get(host) ?? null);
    },
  }),
}));

builder.subscriptionField("projectConfigs", (t) =>
  t.field({
    type: ConfigChangesType,
    description:
      "Every change of every project. Begins with what has changed after the cursor; without one it begins now. For service tokens.",
    args: { after: t.arg.float({ required: false, description: "The last cursor seen." }) },
    complexity: 1,
    subscribe: (_root, { after }, context) => {
      const viewer = requireService(context);
      const cursor = after ?? null;
      if (cursor !== null && !Number.isSafeInteger(cursor)) throw new InvalidInput("after", "is no cursor");
      return whileTokenIsValid(context, viewer, context.configSnapshots.changes(viewer.audience, cursor));
    },
    resolve: (changes) => changes,
  }),
);

function atMost(field: string, names: readonly string[]): readonly string[] {
  if (names.length > MAX_NAMES) throw new InvalidInput(field, `at most ${MAX_NAMES} at a time`);
  return names;
}

/** The feed outlives its request, and carries credentials: a token that was replaced or deleted gets nothing more. */
function whileTokenIsValid<Value>(
  { configDatabase }: GraphqlContext,
  viewer: ServiceViewer,
  values: AsyncIterableIterator<Value>,
): AsyncIterableIterator<Value> {
  return {
    async next() {
      const result = await values.next();
      if (result.done || (await isServiceTokenValid(configDatabase, viewer))) return result;
      await values.return?.();
      throw new Unauthenticated("the service token was revoked");
    },
    return: async () => (await values.return?.()) ?? { done: true, value: undefined },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function isServiceTokenValid(db: Queryable, { credentialHash }: ServiceViewer): Promise<boolean> {
  const rows = await db.query("/* isServiceTokenValid */ select from service_tokens where token_hash = $1", [
    credentialHash,
  ]);
  return rows.length > 0;
}
