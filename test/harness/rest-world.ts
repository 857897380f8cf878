/** The real REST service over real databases, called as the gateway calls it; for `*.pg.test.ts` files. */

import { readFile } from "node:fs/promises";
import pg from "pg";
import type { RestSettings, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { projectSnapshot } from "../../data-plane/auth/testing/snapshot.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { createRestService, type RestService } from "../../data-plane/rest/service.ts";
import { signToken, toServiceRequest } from "../../data-plane/rest/testing/request.ts";
import type { ServiceResponse } from "../../data-plane/service.ts";
import { WorkerPool } from "../../data-plane/work/worker-pool.ts";
import { createTestProjectDatabase } from "./project-database.ts";

export interface RestAnswer {
  readonly status: number;
  readonly statusText: string | undefined;
  /** Lower-case names; a repeated header is joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly bytes: Buffer;
  /** The body as JSON; undefined when it is empty or no JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever JSON came back
  readonly body: any;
}

export interface RestCallOptions {
  /** A string or bytes go as they are; anything else as JSON. */
  readonly body?: unknown;
  readonly prefer?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Role of the token to send; left out: none. */
  readonly role?: string;
  /** Further claims of that token. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Other settings of the project than usual, for this call. Other schemas are served only when they are loaded. */
  readonly settings?: Partial<RestSettings>;
}

export interface RestProject {
  /** What calls without settings of their own are made with. */
  readonly snapshot: ServiceSnapshot;
  /** `call("GET /books?select=id")`; the target is percent-encoded where a browser would. */
  call(target: string, options?: RestCallOptions): Promise<RestAnswer>;
  /** The body of a request that has to succeed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever JSON came back
  rows(target: string, options?: RestCallOptions): Promise<any>;
  /** Runs SQL as the project's own user. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>;
  /** Superuser in the project's database. */
  readonly adminUrl: string;
  /** A token with these claims, signed with the project's secret. */
  token(claims: Readonly<Record<string, unknown>>): string;
  /** Changes settings for the calls that follow, and other parts of the snapshot. */
  configure(settings: Partial<RestSettings>, others?: Partial<Omit<ServiceSnapshot, "rest" | "version">>): void;
}

export interface ProjectOptions {
  readonly settings?: Partial<RestSettings>;
  /** Run by the project's own user, after rest-library.sql. */
  readonly sql?: string;
}

export interface RestWorld {
  readonly service: RestService;
  /** With the tables of rest-library.sql. */
  createProject(options?: ProjectOptions): Promise<RestProject>;
  close(): Promise<void>;
}

export async function createRestWorld(clusterUrl: string): Promise<RestWorld> {
  const databases = createProjectDatabases({ maxConnections: 12 });
  const service = createRestService({
    workers: new WorkerPool(),
    databases,
    now: Date.now,
    logger: { info() {}, warn() {} },
  });
  const pools: pg.Pool[] = [];

  async function createProject({ settings = {}, sql = "" }: ProjectOptions = {}): Promise<RestProject> {
    const { address, adminUrl, projectRef, userUrl } = await createTestProjectDatabase(clusterUrl);
    const owner = new pg.Pool({ connectionString: userUrl, max: 1 });
    owner.on("error", () => {}); // a test may take the database away
    pools.push(owner);
    const library = await readFile(new URL("rest-library.sql", import.meta.url), "utf8");
    await owner.query(library + sql);
    const base = { ...projectSnapshot({ database: address }), projectRef };
    let snapshot: ServiceSnapshot = { ...base, rest: { ...base.rest, ...settings } };
    let served = snapshot;
    let servedSettings = "{}";

    function snapshotFor(ofCall: Partial<RestSettings>): ServiceSnapshot {
      const wanted = JSON.stringify(ofCall);
      if (wanted === servedSettings) return served;
      served = { ...snapshot, version: served.version + 1, rest: { ...snapshot.rest, ...ofCall } };
      servedSettings = wanted;
      return served;
    }

    const token: RestProject["token"] = (claims) => signToken(claims, snapshot.jwt.secret);
    const call: RestProject["call"] = async (target, { body, prefer, headers, role, claims, settings = {} } = {}) => {
      const space = target.indexOf(" ");
      const authorization = role || claims ? `Bearer ${token({ ...(role ? { role } : {}), ...claims })}` : undefined;
      const request = toServiceRequest(
        target.slice(0, space),
        encodeURI(target.slice(space + 1)).replaceAll("%25", "%"),
        { ...(prefer && { prefer }), ...(authorization && { authorization }), ...headers },
        body,
      );
      return answerOf(await service.handle(request, snapshotFor(settings)));
    };

    return {
      get snapshot() {
        return snapshot;
      },
      adminUrl,
      token,
      call,
      async rows(target, options) {
        const answer = await call(target, options);
        if (answer.status >= 300) throw new Error(`${target}: ${answer.status} ${answer.text}`);
        return answer.body;
      },
      async sql(text) {
        const results = (await owner.query(text)) as pg.QueryResult | pg.QueryResult[];
        const last = Array.isArray(results) ? results.at(-1) : results;
        return (last?.rows ?? []) as Record<string, unknown>[];
      },
      configure(changes, others = {}) {
        const version = served.version + 1;
        snapshot = { ...snapshot, ...others, version, rest: { ...snapshot.rest, ...changes } };
        served = snapshot;
        servedSettings = "{}";
      },
    };
  }

  return {
    service,
    createProject,
    async close() {
      await service.close();
      await Promise.all(pools.map((pool) => pool.end()));
      await databases.close();
    },
  };
}

function answerOf(response: ServiceResponse): RestAnswer {
  const headers: Record<string, string> = {};
  for (const [name, value] of response.headers) {
    const key = name.toLowerCase();
    headers[key] = headers[key] === undefined ? value : `${headers[key]}, ${value}`;
  }
  const bytes = Buffer.from((response.body as string | Buffer | null) ?? "");
  const text = bytes.toString("utf8");
  return { status: response.status, statusText: response.statusText, headers, text, bytes, body: parse(text) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
