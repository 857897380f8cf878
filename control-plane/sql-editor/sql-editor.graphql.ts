/** The SQL runner: scripts of people, as the project's user or through the eyes of an API role. */
import { createHash, randomUUID } from "node:crypto";
import { recordAudit } from "../audit/record-audit.ts";
import { builder } from "../builder.ts";
import { projectDatabaseName, projectUserName } from "../clusters/names.ts";
import { setUserPassword } from "../clusters/project-roles.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict, InvalidInput } from "../errors.ts";
import { requireAccount, requireProject } from "../permissions.ts";
import { resolveIdentity } from "../project-data/act-as.ts";
import { runningOn } from "../projects/running-project.ts";
import { isUuid } from "../uuid.ts";
import { applicationName, runSql, type SignalBackend, type SqlOutcome, type SqlRole } from "./run-sql.ts";
import type { StatementResult } from "./script-query.ts";
import { SqlRoleEnum } from "./sql-role.ts";

export const SQL_LIMITS = {
  maxScriptCharacters: 1_000_000,
  rows: { fallback: 1_000, most: 10_000 },
  timeoutMs: { fallback: 30_000, most: 300_000 },
  bytes: { fallback: 4_000_000, most: 16_000_000 },
} as const;

/** A result may have many megabytes, and all of a document's are held until it is answered: at most three runs in one. */
const RUN_COMPLEXITY = 5_000;

const SqlColumnType = builder.objectRef<{ name: string; typeOid: number; type: string }>("SqlColumn").implement({
  fields: (t) => ({
    name: t.exposeString("name"),
    typeOid: t.exposeInt("typeOid"),
    type: t.exposeString("type", { description: "As psql names it: `integer`, `timestamp with time zone`." }),
  }),
});

type ShownResult = StatementResult & Pick<SqlOutcome, "typeNames">;

const SqlStatementResultType = builder.objectRef<ShownResult>("SqlStatementResult").implement({
  description: "What one statement of the script gave.",
  fields: (t) => ({
    command: t.exposeString("command", { description: "Command tag: `SELECT 3`, `CREATE TABLE`." }),
    columns: t.field({
      type: [SqlColumnType],
      resolve: ({ columns, typeNames }) =>
        columns.map(({ name, typeOid }) => ({ name, typeOid, type: typeNames.get(typeOid) ?? "" })),
    }),
    rows: t.field({
      type: ["JSON"],
      description:
        "Arrays in the order of the columns. Booleans, numbers up to 32 bits or floating, and json are JSON values; all else is text.",
      resolve: ({ rows }) => [...rows],
    }),
    rowCount: t.exposeInt("rowCount", {
      nullable: true,
      description: "Rows returned or changed, also those left out.",
    }),
    truncated: t.exposeBoolean("isTruncated", { description: "Rows were left out because of a limit." }),
  }),
});

const SqlResultType = builder.objectRef<SqlOutcome & { executionId: string }>("SqlResult").implement({
  fields: (t) => ({
    executionId: t.exposeID("executionId"),
    results: t.field({
      type: [SqlStatementResultType],
      resolve: ({ results, typeNames }) => results.map((result) => ({ ...result, typeNames })),
    }),
    notices: t.exposeStringList("notices"),
    durationMs: t.exposeFloat("durationMs"),
  }),
});

const RunSqlInput = builder.inputType("RunSqlInput", {
  fields: (t) => ({
    ref: t.id(),
    sql: t.string({ description: "One or more statements; together one transaction, unless they say otherwise." }),
    role: t.field({ type: SqlRoleEnum, defaultValue: "user" }),
    claims: t.field({ type: "JSON", required: false, description: "JWT claims under an API role, such as {sub: …}." }),
    userId: t.id({
      required: false,
      description: "Of a user of the project: runs as `authenticated` with his claims, which the server makes.",
    }),
    rollback: t.boolean({
      defaultValue: false,
      description: "A dry run: one transaction that is rolled back. Scripts that end transactions are refused.",
    }),
    readOnly: t.boolean({ defaultValue: false, description: "Nothing the script says can write." }),
    maxRows: t.int({
      defaultValue: SQL_LIMITS.rows.fallback,
      description: `Of each statement; at most ${SQL_LIMITS.rows.most}.`,
    }),
    maxBytes: t.int({
      defaultValue: SQL_LIMITS.bytes.fallback,
      description: `Of all values; at most ${SQL_LIMITS.bytes.most}.`,
    }),
    timeoutMs: t.int({
      defaultValue: SQL_LIMITS.timeoutMs.fallback,
      description: `At most ${SQL_LIMITS.timeoutMs.most}.`,
    }),
    executionId: t.id({ required: false, description: "A UUID of the caller's choice, for cancelSql while it runs." }),
  }),
});

builder.mutationFields((t) => ({
  runSql: t.field({
    type: SqlResultType,
    complexity: RUN_COMPLEXITY,
    description:
      "Runs SQL in the project's database. Role DEVELOPER. SQL_ERROR has PostgreSQL's fields in its extensions: sqlState, detail, hint, position, line.",
    args: { input: t.arg({ type: RunSqlInput }) },
    resolve: async (_root, { input }, context) => {
      const project = await requireProject(context, input.ref, "sql.run");
      const { ref, organizationId } = project;
      const executionId = input.executionId ?? randomUUID();
      if (!isUuid(executionId)) throw new InvalidInput("executionId", "an execution id is a UUID");
      if (input.sql.length > SQL_LIMITS.maxScriptCharacters) {
        throw new InvalidInput("sql", `a script has at most ${SQL_LIMITS.maxScriptCharacters} characters`);
      }
      const identity = await resolveIdentity(context, ref, {
        role: input.role as SqlRole,
        userId: input.userId ?? null,
        claims: input.claims,
      });
      const run = {
        script: input.sql,
        role: identity.role,
        claims: identity.claims,
        isDryRun: input.rollback,
        readOnly: input.readOnly,
        maxRows: within("maxRows", input.maxRows, 0, SQL_LIMITS.rows.most),
        maxBytes: within("maxBytes", input.maxBytes, 0, SQL_LIMITS.bytes.most),
        timeoutMs: within("timeoutMs", input.timeoutMs, 1, SQL_LIMITS.timeoutMs.most),
        executionId: executionId.toLowerCase(),
      };
      const clusterId = runningOn(project);
      const [password, address] = await Promise.all([
        context.vault.get(context.database, ref, "POSTGRES_PASSWORD"),
        context.clusters.address(clusterId),
      ]);
      if (password === null) throw new Conflict("the project has no database yet");
      // Before it runs: what was attempted is noted whatever becomes of it. A script may hold secrets, so only its hash is kept.
      await recordAudit(context.database, context, {
        action: "sql.run",
        organizationId,
        projectRef: ref,
        details: {
          role: run.role,
          readOnly: run.readOnly,
          ...(run.isDryRun ? { rollback: true } : {}),
          ...(input.userId ? { userId: input.userId } : {}),
          executionId: run.executionId,
          sha256: createHash("sha256").update(run.script).digest("hex"),
        },
      });
      const target = {
        address,
        ref,
        password,
        restorePassword: () =>
          context.clusters.withAdmin(clusterId, (client) => setUserPassword(client, ref, password)),
        confirm: async () => runningOn(await requireProject(context, ref, "sql.run")),
      };
      const { accountId } = requireAccount(context);
      const giveBack = await context.sqlRuns.take({ organizationId, accountId }, context.request.signal);
      try {
        const outcome = await runSql(target, run, signalsTo(context, clusterId, ref), context.request.signal);
        return { ...outcome, executionId: run.executionId };
      } finally {
        giveBack();
      }
    },
  }),
  cancelSql: t.boolean({
    description: "Cancels a run of runSql on whichever instance it is. False when it is over already. Role DEVELOPER.",
    args: { ref: t.arg.id(), executionId: t.arg.id() },
    resolve: async (_root, args, context) => {
      const project = await requireProject(context, args.ref, "sql.run");
      if (!isUuid(args.executionId)) throw new InvalidInput("executionId", "an execution id is a UUID");
      const admin = await context.clusters.admin(runningOn(project));
      const { rowCount } = await admin.query(
        `/* cancelSql */ select pg_cancel_backend(pid) from pg_stat_activity
         where datname = $1 and usename = $2 and application_name = $3`,
        [
          projectDatabaseName(project.ref),
          projectUserName(project.ref),
          applicationName(args.executionId.toLowerCase()),
        ],
      );
      return (rowCount ?? 0) > 0;
    },
  }),
}));

/** A pid may have passed to another session by the time the signal goes out: only one of the project's user is hit. */
function signalsTo(context: GraphqlContext, clusterId: string, ref: string): SignalBackend {
  return async (pid, signal) => {
    const admin = await context.clusters.admin(clusterId);
    const act = signal === "cancel" ? "pg_cancel_backend" : "pg_terminate_backend";
    await admin.query(
      `/* signalSqlRun */ select ${act}(pid) from pg_stat_activity where pid = $1 and datname = $2 and usename = $3`,
      [pid, projectDatabaseName(ref), projectUserName(ref)],
    );
  };
}

function within(field: string, value: number, least: number, most: number): number {
  if (value < least || value > most) throw new InvalidInput(field, `${field} is from ${least} to ${most}`);
  return value;
}
