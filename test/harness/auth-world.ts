/** The real service over real databases, called as the gateway calls it; for `*.pg.test.ts` files. */
import pg from "pg";
import { pino } from "pino";
import type { AuthSettings, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { Mail } from "../../data-plane/auth/mail/mailer.ts";
import { type AuthService, type AuthServiceOptions, createAuthService } from "../../data-plane/auth/service.ts";
import { authSettings, projectSnapshot } from "../../data-plane/auth/testing/snapshot.ts";
import { createAccessTokens } from "../../data-plane/auth/tokens/access-token.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { BodyTooLarge, type RequestBody, type ServiceRequest } from "../../data-plane/service.ts";
import { createTestProjectDatabase } from "./project-database.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever JSON came back
  readonly body: any;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly bearer?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly clientAddress?: string;
}

export interface TestProject {
  readonly snapshot: ServiceSnapshot;
  /** Superuser in the project's database. */
  readonly db: pg.Pool;
  readonly adminUrl: string;
  /** Mails to this project's users, oldest first. */
  readonly mails: readonly Mail[];
  /** A token of the role `service_role`. */
  readonly adminToken: string;
  /** Changes settings for the calls that follow. */
  configure(settings: Partial<AuthSettings>): void;
  /** Changes any other part of the snapshot for the calls that follow. */
  replace(changes: Partial<Omit<ServiceSnapshot, "auth" | "version">>): void;
  /** `POST /signup` and so on; the path may carry a query. Asks for errors of 2024. */
  call(target: string, options?: CallOptions): Promise<Answer>;
  /** A new user with a session. */
  signUp(overrides?: Record<string, unknown>): Promise<TestUser>;
}

export interface TestUser {
  readonly id: string;
  readonly email: string;
  readonly password: string;
  readonly accessToken: string;
  readonly refreshToken: string;
}

export interface AuthWorld {
  readonly service: AuthService;
  /** What the service takes for the present; moves only by {@link AuthWorld.advance}. */
  now(): Date;
  advance(seconds: number): void;
  createProject(settings?: Partial<AuthSettings>): Promise<TestProject>;
  close(): Promise<void>;
}

export const PASSWORD = "correct horse battery";

export async function createAuthWorld(
  clusterUrl: string,
  { capturesMails = true, ...options }: Partial<AuthServiceOptions> & { readonly capturesMails?: boolean } = {},
): Promise<AuthWorld> {
  let skewMs = 0;
  const now = () => new Date(Date.now() + skewMs);
  const databases = createProjectDatabases({ maxConnections: 20 });
  const mails: Mail[] = [];
  const service = createAuthService({
    databases,
    now,
    logger: pino({ level: "silent" }),
    hashing: { threads: 2, idleTimeoutMs: 1000 },
    ...(capturesMails && {
      mailer: {
        queue: () => [],
        committed: (_project: ServiceSnapshot, sent: readonly Mail[]) => void mails.push(...sent),
      },
    }),
    ...options,
  });
  const pools: pg.Pool[] = [];

  async function createProject(settings: Partial<AuthSettings> = {}): Promise<TestProject> {
    const { address, adminUrl, projectRef } = await createTestProjectDatabase(clusterUrl);
    const db = new pg.Pool({ connectionString: adminUrl, max: 2 });
    pools.push(db);
    let current: ServiceSnapshot = { ...projectSnapshot({ database: address, auth: settings }), projectRef };
    const adminToken = await createAccessTokens().sign(current, { role: "service_role", iss: "supabase" });
    let signUps = 0;

    const call: TestProject["call"] = async (target, { body, bearer, headers, clientAddress } = {}) => {
      const [method = "GET", url = "/"] = target.split(" ");
      const [path = "/", query = ""] = url.split("?");
      const request: ServiceRequest = {
        method,
        path,
        query,
        headers: {
          "x-supabase-api-version": "2024-01-01",
          ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
          ...headers,
        },
        body: body === undefined ? null : bodyOf(typeof body === "string" ? body : JSON.stringify(body)),
        publicUrl: current.publicUrl,
        publicPath: `/projects/${projectRef}/auth/v1`,
        clientAddress: clientAddress ?? "203.0.113.7",
        requestId: "test",
        signal: new AbortController().signal,
      };
      const response = await service.handle(request, current);
      const text = String(response.body ?? "");
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers.map(([name, value]) => [name.toLowerCase(), value])),
        body: text.startsWith("{") || text.startsWith("[") ? JSON.parse(text) : text,
      };
    };

    return {
      get snapshot() {
        return current;
      },
      db,
      adminUrl,
      get mails() {
        return mails.filter((mail) => mail.projectRef === projectRef);
      },
      adminToken,
      configure(changes) {
        current = { ...current, version: current.version + 1, auth: authSettings({ ...current.auth, ...changes }) };
      },
      replace(changes) {
        current = { ...current, ...changes, version: current.version + 1 };
      },
      call,
      async signUp(overrides = {}) {
        signUps += 1;
        const credentials = { email: `user-${signUps}@example.com`, password: PASSWORD, ...overrides };
        const { status, body } = await call("POST /signup", { body: credentials });
        if (status !== 200) throw new Error(`sign-up failed: ${JSON.stringify(body)}`);
        return {
          id: body.user.id,
          email: body.user.email,
          password: credentials.password,
          accessToken: body.access_token,
          refreshToken: body.refresh_token,
        };
      },
    };
  }

  return {
    service,
    now,
    advance(seconds) {
      skewMs += seconds * 1000;
    },
    createProject,
    async close() {
      await service.close();
      await Promise.all(pools.map((pool) => pool.end()));
      await databases.close();
    },
  };
}

function bodyOf(text: string): RequestBody {
  const bytes = Buffer.from(text);
  return {
    declaredBytes: bytes.length,
    async read(maxBytes) {
      if (bytes.length > maxBytes) throw new BodyTooLarge(maxBytes);
      return bytes;
    },
    async *stream() {
      yield bytes;
    },
  };
}

/** The claims of a token, unverified. */
export function claimsOf(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
}
