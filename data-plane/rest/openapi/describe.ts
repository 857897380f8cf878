/** The root of a schema: its OpenAPI description, by what the caller's role may use. */
import { Slices } from "../../work/slices.ts";
import { restError } from "../error.ts";
import { openingStatements, type RequestContext } from "../execute.ts";
import { searchPath } from "../query/settings-sql.ts";
import { contentTypeOf, essenceOf, JSON_TYPE, type MediaType } from "../request/media-type.ts";
import type { Draft } from "../respond.ts";
import type { Relation } from "../schema-cache/types.ts";
import type { Timings } from "../timing.ts";
import { documentPieces } from "./document.ts";

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
  const pieces = documentPieces({
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
    body:
      api.method === "HEAD" ? null : isLarge(relations, routines) ? inSlices(pieces, context) : [...pieces].join(""),
  };
}

/** So many columns and functions are described within some ten milliseconds. */
const LARGE_DOCUMENT = 1_000;
/** Of what goes out at a time: a slow client must be able to take one within the time that clients have. */
const CHUNK_BYTES = 32 * 1024;

function isLarge(relations: readonly Relation[], routines: readonly unknown[]): boolean {
  let described = routines.length;
  for (const { columns } of relations) described += columns.size;
  return described > LARGE_DOCUMENT;
}

/** Made while the client takes it, and never held as a whole. */
async function* inSlices(pieces: Iterable<string>, { database }: RequestContext): AsyncGenerator<Buffer> {
  const slices = new Slices(database.projectRef);
  let chunks: Buffer[] = [];
  let bytes = 0;
  for (const piece of pieces) {
    const chunk = Buffer.from(piece);
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes >= CHUNK_BYTES) {
      yield* inChunks(Buffer.concat(chunks, bytes));
      chunks = [];
      bytes = 0;
    }
    if (slices.isDue) await slices.pause();
  }
  yield Buffer.concat(chunks, bytes);
}

function* inChunks(whole: Buffer): Generator<Buffer> {
  for (let start = 0; start < whole.length; start += CHUNK_BYTES) yield whole.subarray(start, start + CHUNK_BYTES);
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
