/** A project served by the real thing, for tests: its own database, the REST service, and requests as plain calls. */
import pg from "pg";
import type { DatabaseAddress, RestSettings, ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import { projectSnapshot } from "../../auth/testing/snapshot.ts";
import type { ProjectDatabases } from "../../database/database.ts";
import { createProjectDatabases } from "../../database/project-databases.ts";
import type { ServiceResponse } from "../../service.ts";
import { createRestService, type RestService } from "../service.ts";
import { signToken, toServiceRequest } from "./request.ts";

export { signToken, toServiceRequest };

export interface TestResponse {
  readonly status: number;
  readonly statusText: string | undefined;
  /** Lower-case names; a repeated header is joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly bytes: Buffer;
  /** The body as JSON. */
  readonly json: unknown;
}

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** A string or bytes go as they are; anything else as JSON. */
  readonly body?: unknown;
  /** Claims of a token to send. */
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly settings?: Partial<RestSettings>;
}

export interface TestWorld {
  readonly service: RestService;
  readonly databases: ProjectDatabases;
  readonly snapshot: ServiceSnapshot;
  /** `call("GET", "/todos?select=id")` */
  call(method: string, target: string, options?: CallOptions): Promise<TestResponse>;
  /** Runs SQL as the project's owner. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>;
  /** A token with these claims, signed with the project's secret. */
  token(claims: Readonly<Record<string, unknown>>): string;
  close(): Promise<void>;
}

/** @param schema SQL that the project's owner runs first. */
export async function createTestWorld(
  project: { readonly address: DatabaseAddress; readonly userUrl: string },
  schema: string,
  settings: Partial<RestSettings> = {},
): Promise<TestWorld> {
  const owner = new pg.Client({ connectionString: project.userUrl });
  await owner.connect();
  if (schema !== "") await owner.query(schema);
  const databases = createProjectDatabases({ maxConnections: 6 });
  const service = createRestService({ databases, now: Date.now, logger: { info() {}, warn() {} } });
  const base = projectSnapshot({ database: project.address });
  let version = 1;
  let snapshot: ServiceSnapshot = { ...base, rest: { ...base.rest, ...settings }, version };
  let current = JSON.stringify({});

  const token = (claims: Readonly<Record<string, unknown>>) => signToken(claims, snapshot.jwt.secret);
  return {
    service,
    databases,
    get snapshot() {
      return snapshot;
    },
    token,
    async call(method, target, options = {}) {
      const wanted = JSON.stringify(options.settings ?? {});
      if (wanted !== current) {
        version += 1;
        snapshot = { ...base, rest: { ...base.rest, ...settings, ...options.settings }, version };
        current = wanted;
      }
      const authorization = options.claims ? { authorization: `Bearer ${token(options.claims)}` } : {};
      const request = toServiceRequest(method, target, { ...authorization, ...options.headers }, options.body);
      return toTestResponse(await service.handle(request, snapshot));
    },
    async sql(text) {
      const results = (await owner.query(text)) as pg.QueryResult | pg.QueryResult[];
      const last = Array.isArray(results) ? results[results.length - 1] : results;
      return (last?.rows ?? []) as Record<string, unknown>[];
    },
    async close() {
      await service.close();
      await databases.close();
      await owner.end();
    },
  };
}

function toTestResponse({ status, statusText, headers, body }: ServiceResponse): TestResponse {
  const merged: Record<string, string> = {};
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    merged[key] = merged[key] === undefined ? value : `${merged[key]}, ${value}`;
  }
  const bytes = body === null || typeof body === "string" ? Buffer.from(body ?? "") : (body as Buffer);
  const text = bytes.toString("utf8");
  return {
    status,
    statusText,
    headers: merged,
    text,
    bytes,
    get json() {
      return JSON.parse(text) as unknown;
    },
  };
}
