/** What is often wrong in a project's database, with its reason and a way to mend it. */
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { Conflict, InvalidInput } from "../errors.ts";
import { requireAccount, requireProject } from "../permissions.ts";
import { OWNER } from "../project-data/act-as.ts";
import { withDataSession } from "../project-data/data-session.ts";
import { withProjectLocked } from "../projects/locked-project.ts";
import { ProjectType } from "../projects/project.graphql.ts";
import { effectiveSettings } from "../projects/settings.ts";
import { countIgnored, heedAdvisory, type IgnoredAdvisory, ignoreAdvisory, listIgnored } from "./ignored-table.ts";
import { type Advisory, findAdvisories } from "./lints.ts";

const CATALOG = { identity: OWNER, isReadOnly: true, searchPath: "pg_catalog" } as const;
const MAX_KEY_LENGTH = 600;
const MAX_REASON_LENGTH = 500;
const MAX_IGNORED = 1_000;

const LevelEnum = builder.enumType("AdvisoryLevel", {
  values: {
    ERROR: { value: "error", description: "Data can most likely be read or written by whom it should not." },
    WARN: { value: "warn" },
    INFO: { value: "info" },
  } as const,
});

const CategoryEnum = builder.enumType("AdvisoryCategory", {
  values: { SECURITY: { value: "security" }, PERFORMANCE: { value: "performance" } } as const,
});

interface ShownAdvisory extends Advisory {
  readonly ignored: IgnoredAdvisory | null;
}

const IgnoredType = builder.objectRef<IgnoredAdvisory>("IgnoredAdvisory").implement({
  fields: (t) => ({
    reason: t.exposeString("reason"),
    actor: t.exposeString("actor"),
    createdAt: t.expose("createdAt", { type: "DateTime" }),
  }),
});

const AdvisoryType = builder.objectRef<ShownAdvisory>("Advisory").implement({
  description: "A finding of the advisors, read from the database's catalogs.",
  fields: (t) => ({
    key: t.exposeID("key", { description: "For ignoreAdvisory." }),
    name: t.exposeString("name", { description: "As Supabase's advisors name it: `rls_disabled_in_public`." }),
    level: t.expose("level", { type: LevelEnum }),
    category: t.expose("category", { type: CategoryEnum }),
    title: t.exposeString("title"),
    why: t.exposeString("why"),
    object: t.exposeString("object"),
    fix: t.exposeString("fix", { nullable: true, description: "SQL that mends it; null where it takes a decision." }),
    ignored: t.expose("ignored", {
      type: IgnoredType,
      nullable: true,
      description: "Somebody has decided to live with it.",
    }),
  }),
});

builder.objectField(ProjectType, "advisories", (t) =>
  t.field({
    type: [AdvisoryType],
    description: "Security first. Role DEVELOPER and up.",
    complexity: 300,
    resolve: async ({ ref, settings }, _args, context) => {
      const { rest } = effectiveSettings(context.settingsPolicy, settings, []);
      const found = await withDataSession(context, ref, CATALOG, (session) => findAdvisories(session, rest.schemas));
      const ignored = new Map((await listIgnored(context.database, ref)).map((entry) => [entry.key, entry]));
      return found.map((advisory) => ({ ...advisory, ignored: ignored.get(advisory.key) ?? null }));
    },
  }),
);

builder.mutationFields((t) => ({
  ignoreAdvisory: t.boolean({
    description:
      "Marks a finding as one to live with, for everybody of the project; without a reason it counts again. Role ADMIN.",
    args: {
      ref: t.arg.id(),
      key: t.arg.id(),
      reason: t.arg.string({ required: false, description: `1 to ${MAX_REASON_LENGTH} characters.` }),
    },
    resolve: async (_root, { ref, key, reason }, context) => {
      if (key.length > MAX_KEY_LENGTH) throw new InvalidInput("key", "is no finding's key");
      if (reason?.length === 0 || (reason?.length ?? 0) > MAX_REASON_LENGTH)
        throw new InvalidInput("reason", `has 1 to ${MAX_REASON_LENGTH} characters`);
      await requireProject(context, ref, "settings.update");
      const actor = requireAccount(context).email;
      return withProjectLocked(context, ref, "settings.update", async (tx, { organizationId }) => {
        if (!reason) await heedAdvisory(tx, ref, key);
        else {
          if ((await countIgnored(tx, ref)) >= MAX_IGNORED)
            throw new Conflict(`at most ${MAX_IGNORED} findings are ignored`);
          await ignoreAdvisory(tx, ref, { key, reason, actor });
        }
        const details = { key, isIgnored: Boolean(reason) };
        await recordAudit(tx, context, { action: "advisory.ignore", organizationId, projectRef: ref, details });
        return true;
      });
    },
  }),
}));
