/** Serves one database: a schema cache, statements compiled by shape, and the row of steps a request goes through. */
import { LRUCache } from "lru-cache";
import { DatabaseError, type ProjectDatabase } from "../database/database.ts";
import type { ServiceRequest, ServiceResponse } from "../service.ts";
import { type CompiledRequest, compileRequest } from "./compile.ts";
import type { RestConfig } from "./config.ts";
import { corsHeaders, preflightResponse } from "./cors.ts";
import { errorOf, RestError, restError } from "./error.ts";
import { execute, type RequestContext, SETTINGS_INDEX } from "./execute.ts";
import { Authenticator, type Identity } from "./jwt/identity.ts";
import { describeSchema } from "./openapi/describe.ts";
import { describeOptions } from "./options.ts";
import { type ApiRequest, readApiRequest } from "./request/api-request.ts";
import { ParseFailure } from "./request/cursor.ts";
import { parseQueryParameters } from "./request/query-parameters.ts";
import { complete, type Draft, errorDraft, respond } from "./respond.ts";
import { loadSchemaCache } from "./schema-cache/build.ts";
import { SchemaCacheHolder } from "./schema-cache/holder.ts";
import type { SchemaCache } from "./schema-cache/types.ts";
import { Timings } from "./timing.ts";

export interface RestLogger {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface RestDatabaseOptions {
  readonly database: ProjectDatabase;
  readonly config: RestConfig;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly logger: RestLogger;
}

interface CachedRequest {
  readonly compiled: CompiledRequest;
  /** Served once already: the statement is worth preparing. A shape that comes once is not. */
  seen: boolean;
}

/** Compiled statements kept for one database, and their size in characters. */
const MAX_COMPILED = 1000;
const MAX_COMPILED_CHARACTERS = 4_000_000;

export class RestDatabase {
  private readonly options: RestDatabaseOptions;
  private readonly holder: SchemaCacheHolder;
  private config: RestConfig;
  private authenticator: Authenticator;
  private readonly compiled = new LRUCache<string, CachedRequest>({
    max: MAX_COMPILED,
    maxSize: MAX_COMPILED_CHARACTERS,
    sizeCalculation: ({ compiled }, key) => key.length + compiled.query.text.length,
  });

  constructor(options: RestDatabaseOptions) {
    this.options = options;
    this.config = options.config;
    this.authenticator = new Authenticator(options.config, options.now);
    this.holder = new SchemaCacheHolder({
      load: () => loadSchemaCache(options.database, this.config),
      onLoaded: (cache) => {
        this.compiled.clear();
        options.logger.info({ approximateBytes: cache.approximateBytes }, "schema cache loaded");
      },
      onFailed: (error) => options.logger.warn({ error: messageOf(error) }, "schema cache could not be loaded"),
      clock: () => performance.now(),
      setTimer: (callback, delayMs) => {
        const timer = setTimeout(callback, delayMs);
        timer.unref();
        return { cancel: () => clearTimeout(timer) };
      },
    });
  }

  /** Null until the first load. */
  get schemaCache(): SchemaCache | null {
    return this.holder.current;
  }

  /** Loads the schema cache now, so that the first request need not wait. */
  async warmUp(): Promise<void> {
    await this.holder.get();
  }

  /** Takes effect with the next request. */
  configure(config: RestConfig): void {
    const before = this.config;
    this.config = config;
    this.authenticator = new Authenticator(config, this.options.now);
    this.compiled.clear();
    const scope = ({ schemas, extraSearchPath, clusterWideRoleSettings }: RestConfig) =>
      JSON.stringify([schemas, extraSearchPath, clusterWideRoleSettings]);
    if (scope(before) !== scope(config)) this.holder.reload();
  }

  /** Debounced; the old cache serves meanwhile. */
  reload(): void {
    this.holder.reload();
  }

  close(): void {
    this.holder.close();
    this.compiled.clear();
  }

  async handle(request: ServiceRequest): Promise<ServiceResponse> {
    const { config } = this;
    const preflight = preflightResponse(config, request);
    if (preflight) return preflight;
    const timings = config.timingEnabled ? new Timings() : null;
    let api: ApiRequest | null = null;
    let identity: Identity | null = null;
    let draft: Draft;
    try {
      identity = this.authenticator.authenticate(request.headers.authorization);
      timings?.end("jwt");
      const cached = this.holder.get();
      const cache = cached instanceof Promise ? await orUnavailable(cached) : cached;
      api = await readApiRequest(request, config);
      timings?.end("parse");
      draft = await this.serve({ request, api, identity, cache, config, database: this.options.database }, timings);
    } catch (failure) {
      const authenticated = identity?.authenticated ?? false;
      const error = errorOf(failure, { authenticated, settingsIndex: SETTINGS_INDEX });
      if (!(error instanceof RestError)) throw failure;
      draft = errorDraft(error, config.errorVerbosity);
    }
    const cors = corsHeaders(config, request.headers.origin);
    const timing = timings?.header(draft);
    const extra = timing ? [...cors, timing] : cors;
    const response = extra.length === 0 ? draft : { ...draft, headers: [...draft.headers, ...extra] };
    return complete(response, config, request, api?.schema ?? null);
  }

  private async serve(context: RequestContext, timings: Timings | null): Promise<Draft> {
    const { api, cache, config } = context;
    if (api.action === "options") return describeOptions(cache, api);
    if (api.action === "describe") return describeSchema(context, timings);
    const cached = this.findCompiled(context);
    timings?.end("plan");
    const answer = await this.run(context, cached);
    timings?.end("transaction");
    return respond(api, cached.compiled, answer, config, context.request);
  }

  private findCompiled({ api, cache, config }: RequestContext): CachedRequest {
    const known = api.shapeKey === null ? undefined : this.compiled.get(api.shapeKey);
    if (known) return known;
    const cached = { compiled: compileRequest(api, cache, config), seen: false };
    // A reload may have come in between; what was compiled for the old cache must not be kept.
    if (api.shapeKey !== null && cache === this.holder.current) this.compiled.set(api.shapeKey, cached);
    return cached;
  }

  private async run(context: RequestContext, cached: CachedRequest) {
    const prepare = cached.seen;
    cached.seen = true;
    try {
      return await execute(context, cached.compiled, prepare);
    } catch (failure) {
      // A value did not have the form its filter needs. Parsing the whole query again says where.
      if (failure instanceof ParseFailure) parseQueryParameters(context.api.shape.pairs);
      throw failure;
    }
  }
}

/** A cache that cannot be loaded is a passing state of the database. */
async function orUnavailable(loading: Promise<SchemaCache>): Promise<SchemaCache> {
  try {
    return await loading;
  } catch (failure) {
    throw restError("PGRST002", { cause: failure, headers: [["Retry-After", "1"]] });
  }
}

function messageOf(error: unknown): string {
  return error instanceof DatabaseError ? `${error.code} ${error.message}` : String(error);
}
