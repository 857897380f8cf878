/** The root of a schema: its OpenAPI description, by what the caller's role may use. */
import { restError } from "../error.ts";
import { openingStatements, type RequestContext } from "../execute.ts";
import { searchPath } from "../query/settings-sql.ts";
import { contentTypeOf, essenceOf, JSON_TYPE, type MediaType } from "../request/media-type.ts";
import type { Draft } from "../respond.ts";
import type { Timings } from "../timing.ts";
import { buildDocument } from "./document.ts";

/** @throws {RestError} PGRST107, PGRST126 */
export async function describeSchema(context: RequestContext, timings: Timings | null): Promise<Draft> {
  const { api, cache, config } = context;
  if (config.openApiMode === "disabled") throw restError("PGRST126");
  const type = chooseType(api.accepted);
  timings?.end("plan");
  const visible = await visibleNames(context);
  timings?.end("transaction");
  const relations = cache.relationsOf(api.schema);
  const routines = cache.routineNamesOf(api.schema).flatMap((name) => cache.findRoutines(api.schema, name));
  const document = buildDocument({
    cache,
    schema: api.schema,
    relations: visible === null ? relations : relations.filter(({ name }) => visible.relations.has(name)),
    routines: visible === null ? routines : routines.filter(({ name }) => visible.routines.has(name)),
    server: serverOf(context),
    securityActive: config.openApiSecurityActive,
  });
  return {
    status: 200,
    headers: [["Content-Type", contentTypeOf(type)]],
    body: api.method === "HEAD" ? null : JSON.stringify(document),
  };
}

const OPENAPI_TYPE: MediaType = { kind: "openapi" };

function chooseType(accepted: readonly MediaType[]): MediaType {
  for (const type of accepted) {
    if (type.kind === "any" || type.kind === "openapi") return OPENAPI_TYPE;
    if (type.kind === "json") return JSON_TYPE;
  }
  throw restError("PGRST107", {
    message: `None of these media types are available: ${accepted.map(essenceOf).join(", ")}`,
  });
}

const VISIBLE_NAMES = `/* rest visibleNames */
  SELECT
    (SELECT coalesce(json_agg(relation.relname), '[]') FROM pg_catalog.pg_class relation
      WHERE relation.relnamespace = schema.oid AND relation.relkind IN ('r', 'v', 'm', 'f', 'p') AND (
        pg_catalog.has_table_privilege(relation.oid, 'SELECT, INSERT, UPDATE, DELETE')
        OR pg_catalog.has_any_column_privilege(relation.oid, 'SELECT, INSERT, UPDATE'))),
    (SELECT coalesce(json_agg(DISTINCT routine.proname), '[]') FROM pg_catalog.pg_proc routine
      WHERE routine.pronamespace = schema.oid AND pg_catalog.has_function_privilege(routine.oid, 'EXECUTE'))
  FROM pg_catalog.pg_namespace schema WHERE schema.nspname = $1`;

/** Null when privileges do not matter. */
async function visibleNames(
  context: RequestContext,
): Promise<{ readonly relations: ReadonlySet<string>; readonly routines: ReadonlySet<string> } | null> {
  const { api, config, database, request } = context;
  if (config.openApiMode === "ignore-privileges") return null;
  const path = searchPath([api.schema, ...config.extraSearchPath]);
  const statements = [
    ...openingStatements(context, { readOnly: true, searchPath: path, settings: [] }),
    { text: VISIBLE_NAMES, values: [api.schema], prepare: config.preparedStatements },
  ];
  const results = await database.pipeline(statements, { signal: request.signal });
  const [relations, routines] = results[statements.length - 1]?.rows[0] ?? [];
  const names = (json: string | null | undefined) => new Set(JSON.parse(json ?? "[]") as string[]);
  return { relations: names(relations), routines: names(routines) };
}

function serverOf({ config }: RequestContext): { scheme: string; host: string; basePath: string } {
  if (config.openApiServerProxyUri === null) {
    return { scheme: "http", host: `${config.serverHost}:${config.serverPort}`, basePath: "/" };
  }
  const url = new URL(config.openApiServerProxyUri);
  const scheme = url.protocol.slice(0, -1);
  const port = url.port || (scheme === "https" ? "443" : "80");
  return { scheme, host: `${url.hostname}:${port}`, basePath: url.pathname };
}
