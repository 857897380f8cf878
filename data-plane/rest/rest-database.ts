/** Serves one database: a schema cache, statements compiled by shape, and the row of steps a request goes through. */
import { LRUCache } from "lru-cache";
import { DatabaseError, type ProjectDatabase } from "../database/database.ts";
import type { ServiceRequest, ServiceResponse } from "../service.ts";
import { compileRequest } from "./compile.ts";
import type { CompiledRequest } from "./compiled-request.ts";
import type { RestConfig } from "./config.ts";
import { type LocationTemplate, locationTemplate } from "./content-location.ts";
import { corsHeaders, preflightResponse } from "./cors.ts";
import { errorOf, RestError, restError } from "./error.ts";
import { type Answer, execute, type RequestContext, SETTINGS_INDEX } from "./execute.ts";
import { Authenticator, type Identity } from "./jwt/identity.ts";
import { describeSchema } from "./openapi/describe.ts";
import { describeOptions } from "./options.ts";
import { Reloading } from "./reloading.ts";
import { type ApiRequest, type PayloadScanner, readApiRequest } from "./request/api-request.ts";
import { ParseFailure } from "./request/cursor.ts";
import { parseQueryParameters } from "./request/query-parameters.ts";
import { complete, type Draft, errorDraft, respond } from "./respond.ts";
import { loadSchemaCache, SchemaTooLarge } from "./schema-cache/build.ts";
import type { SchemaCache } from "./schema-cache/types.ts";
import { Timings } from "./timing.ts";

export interface RestLogger {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export interface RestDatabaseOptions {
  readonly database: ProjectDatabase;
  readonly config: RestConfig;
  /** What the database itself says of the configuration, read at every load. */
  readonly readDatabaseConfig: (database: ProjectDatabase) => Promise<Partial<RestConfig>>;
  /** Waited for before a load, so that no change falls between what is loaded and what is listened to. */
  readonly untilWatched: () => Promise<void>;
  /** For bodies that are too large to be looked over between two requests of others. */
  readonly scanLarge: PayloadScanner;
  /** What serves now may take more memory, or less, than what did before. */
  readonly onLoaded?: () => void;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly logger: RestLogger;
}

interface CachedRequest {
  readonly compiled: CompiledRequest;
  readonly location: LocationTemplate;
  /** Served once already: the statement is worth preparing. A shape that comes once is not. */
  seen: boolean;
}

/** What serves requests at one time. A request uses one of these from its beginning to its end. */
interface Serving {
  readonly config: RestConfig;
  readonly fromDatabase: Partial<RestConfig>;
  readonly cache: SchemaCache;
  readonly authenticator: Authenticator;
  readonly compiled: LRUCache<string, CachedRequest>;
}

/** Compiled statements kept for one database, and their size in characters. */
const MAX_COMPILED = 1000;
const MAX_COMPILED_CHARACTERS = 4_000_000;

export class RestDatabase {
  readonly #options: RestDatabaseOptions;
  readonly #serving: Reloading<Serving>;
  /** Without what the database says. */
  #ownConfig: RestConfig;

  constructor(options: RestDatabaseOptions) {
    this.#options = options;
    this.#ownConfig = options.config;
    this.#serving = new Reloading({
      load: () => this.#load(),
      onLoaded: ({ cache }) => {
        options.logger.info({ approximateBytes: cache.approximateBytes }, "schema cache loaded");
        options.onLoaded?.();
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
    return this.#serving.current?.cache ?? null;
  }

  /** Loads now, so that the first request need not wait. */
  async warmUp(): Promise<void> {
    await this.#serving.get();
  }

  /** As far as a request comes before its own statement. */
  async probe(): Promise<void> {
    await this.#serving.get();
    await this.#options.database.pipeline([{ text: "/* probeRest */ select 1", values: [], prepare: true }]);
  }

  /**
   * New settings from outside. They hold from the next request on, but for the schemas, which are served when they are
   * loaded; what the database says goes before them as ever.
   */
  configure(config: RestConfig): void {
    this.#ownConfig = config;
    const { current } = this.#serving;
    if (current === null) return;
    const { schemas, extraSearchPath } = current.config;
    const next = { ...config, ...current.fromDatabase };
    this.#serving.replace(this.#servingOf({ ...next, schemas, extraSearchPath }, current.fromDatabase, current.cache));
    const isSame = (left: readonly string[], right: readonly string[]) => left.join("\0") === right.join("\0");
    if (!isSame(next.schemas, schemas) || !isSame(next.extraSearchPath, extraSearchPath)) this.#serving.reload();
  }

  /** Schema cache and in-database configuration. Debounced; the old ones serve meanwhile. */
  reload(): void {
    this.#serving.reload();
  }

  close(): void {
    this.#serving.close();
  }

  async handle(request: ServiceRequest): Promise<ServiceResponse> {
    const preflight = preflightResponse(this.#ownConfig, request);
    if (preflight) return preflight;
    let serving: Serving | null = null;
    let identity: Identity | null = null;
    let api: ApiRequest | null = null;
    let timings: Timings | null = null;
    let draft: Draft;
    try {
      const loaded = this.#serving.get();
      serving = loaded instanceof Promise ? await orUnavailable(loaded) : loaded;
      const { config, cache } = serving;
      if (config.timingEnabled) timings = new Timings();
      identity = serving.authenticator.authenticate(request.headers.authorization);
      timings?.end("jwt");
      api = await readApiRequest(request, config, this.#options.scanLarge);
      timings?.end("parse");
      const context = { request, api, identity, cache, config, database: this.#options.database };
      draft = await this.#serve(context, serving, timings);
    } catch (failure) {
      const authenticated = identity?.authenticated ?? false;
      const error = errorOf(failure, { authenticated, settingsIndex: SETTINGS_INDEX });
      if (!(error instanceof RestError)) throw failure;
      draft = errorDraft(error, this.#ownConfig.errorVerbosity);
    }
    const config = serving?.config ?? this.#ownConfig;
    const extra = [...corsHeaders(config, request.headers.origin), ...(timings?.headers(draft) ?? [])];
    const whole = extra.length === 0 ? draft : { ...draft, headers: [...draft.headers, ...extra] };
    return complete(whole, config, request, api?.schema ?? null);
  }

  async #serve(context: RequestContext, serving: Serving, timings: Timings | null): Promise<Draft> {
    const { api, cache, config } = context;
    if (api.action === "options") return describeOptions(cache, api);
    if (api.action === "describe") return describeSchema(context, timings);
    const cached = findCompiled(api, serving);
    timings?.end("plan");
    const answer = await run(context, cached);
    timings?.end("transaction");
    return respond(api, cached.compiled, answer, config, { path: context.request.path, template: cached.location });
  }

  async #load(): Promise<Serving> {
    const { database, readDatabaseConfig, untilWatched } = this.#options;
    await untilWatched();
    const fromDatabase = await readDatabaseConfig(database);
    const config = { ...this.#ownConfig, ...fromDatabase };
    return this.#servingOf(config, fromDatabase, await loadSchemaCache(database, config));
  }

  #servingOf(config: RestConfig, fromDatabase: Partial<RestConfig>, cache: SchemaCache): Serving {
    return {
      config,
      fromDatabase,
      cache,
      authenticator: new Authenticator(config, this.#options.now),
      compiled: new LRUCache({
        max: MAX_COMPILED,
        maxSize: MAX_COMPILED_CHARACTERS,
        sizeCalculation: ({ compiled }, key) => key.length + compiled.query.text.length,
      }),
    };
  }
}

function findCompiled(api: ApiRequest, { compiled, cache, config }: Serving): CachedRequest {
  const known = api.shapeKey === null ? undefined : compiled.get(api.shapeKey);
  if (known) return known;
  const compiledRequest = compileRequest(api, cache, config);
  const cached = { compiled: compiledRequest, location: locationTemplate(api.shape), seen: false };
  if (api.shapeKey !== null) compiled.set(api.shapeKey, cached);
  return cached;
}

async function run(context: RequestContext, cached: CachedRequest): Promise<Answer> {
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

/** What cannot be loaded is a passing state of the database. */
async function orUnavailable(loading: Promise<Serving>): Promise<Serving> {
  try {
    return await loading;
  } catch (failure) {
    // What of a project is too large is its own to know.
    const details = failure instanceof SchemaTooLarge ? failure.message : null;
    throw restError("PGRST002", { details, cause: failure, headers: [["Retry-After", "1"]] });
  }
}

function messageOf(error: unknown): string {
  return error instanceof DatabaseError ? `${error.code} ${error.message}` : String(error);
}
