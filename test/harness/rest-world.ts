/** The real REST service over real databases, called as the gateway calls it; for `*.pg.test.ts` files. */
import { readFile } from "node:fs/promises";
import pg from "pg";
import type { RestSettings, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { projectSnapshot } from "../../data-plane/auth/testing/snapshot.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { createRestService, type RestService } from "../../data-plane/rest/service.ts";
import { signToken, toServiceRequest } from "../../data-plane/rest/testing/world.ts";
import { createTestProjectDatabase } from "./project-database.ts";

export interface RestAnswer {
  readonly status: number;
  readonly statusText: string | undefined;
  /** Lower-case names; a repeated header is joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
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
}

export interface RestProject {
  readonly snapshot: ServiceSnapshot;
  /** `call("GET /books?select=id")`; the target is percent-encoded where a browser would. */
  call(target: string, options?: RestCallOptions): Promise<RestAnswer>;
  /** The body of a read that has to succeed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever JSON came back
  rows(target: string, options?: RestCallOptions): Promise<any>;
  /** Runs SQL as the project's own user. */
  sql(text: string): Promise<readonly Record<string, unknown>[]>;
  /** Superuser in the project's database. */
  readonly adminUrl: string;
  /** A token with these claims, signed with the project's secret. */
  token(claims: Readonly<Record<string, unknown>>): string;
  /** Changes settings for the calls that follow. */
  configure(settings: Partial<RestSettings>): void;
}

export interface RestWorld {
  readonly service: RestService;
  /** With the tables of rest-library.sql. */
  createProject(settings?: Partial<RestSettings>): Promise<RestProject>;
  close(): Promise<void>;
}

export async function createRestWorld(clusterUrl: string): Promise<RestWorld> {
  const databases = createProjectDatabases({ maxConnections: 12 });
  const service = createRestService({ databases, now: Date.now, logger: { info() {}, warn() {} } });
  const pools: pg.Pool[] = [];

  async function createProject(settings: Partial<RestSettings> = {}): Promise<RestProject> {
    const { address, adminUrl, projectRef, userUrl } = await createTestProjectDatabase(clusterUrl);
    const owner = new pg.Pool({ connectionString: userUrl, max: 1 });
    owner.on("error", () => {}); // a test may take the database away
    pools.push(owner);
    await owner.query(await readFile(new URL("rest-library.sql", import.meta.url), "utf8"));
    const base = { ...projectSnapshot({ database: address }), projectRef };
    let snapshot: ServiceSnapshot = { ...base, rest: { ...base.rest, ...settings } };

    const token: RestProject["token"] = (claims) => signToken(claims, snapshot.jwt.secret);
    const call: RestProject["call"] = async (target, { body, prefer, headers, role, claims } = {}) => {
      const space = target.indexOf(" ");
      const request = toServiceRequest(
        target.slice(0, space),
        encodeURI(target.slice(space + 1)).replaceAll("%25", "%"),
        {
          ...(prefer === undefined ? {} : { prefer }),
          ...(role || claims ? { authorization: `Bearer ${token({ ...(role ? { role } : {}), ...claims })}` } : {}),
          ...headers,
        },
        body,
      );
      const response = await service.handle(request, snapshot);
      const text = response.body === null ? "" : String(response.body);
      const merged: Record<string, string> = {};
      for (const [name, value] of response.headers) {
        const key = name.toLowerCase();
        merged[key] = merged[key] === undefined ? value : `${merged[key]}, ${value}`;
      }
      return { status: response.status, statusText: response.statusText, headers: merged, text, body: parse(text) };
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
      configure(changes) {
        snapshot = { ...snapshot, version: snapshot.version + 1, rest: { ...snapshot.rest, ...changes } };
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
