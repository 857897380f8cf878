/** What the benchmarks run on: a project's database with a table under row-level security, and its snapshots. */
import { hash } from "node:crypto";
import { SignJWT } from "jose";
import pg from "pg";
import type {
  ApiKeyEntry,
  ApiKeyRole,
  DatabaseAddress,
  GatewaySnapshot,
  ProjectRef,
  ServiceSnapshot,
} from "../../control-plane/client/config-snapshot.ts";

const ITEMS = 10_000;
const OWNERS = 100;
const USER = "00000000-0000-4000-8000-000000000001";
const SECRET = "a secret of the benchmark that is long enough";

/** Everything a process under test needs to know; travels as JSON. */
export interface World {
  readonly projectRef: ProjectRef;
  readonly database: DatabaseAddress;
  readonly anonKey: string;
  readonly userToken: string;
}

const SCHEMA = `
  create table public.owners (id int primary key, name text not null);
  create table public.items (
    id int primary key,
    owner_id int not null references public.owners,
    user_id uuid not null,
    name text not null,
    price numeric not null,
    created_at timestamptz not null default now()
  );
  create index on public.items (owner_id);
  create table public.inbox (id int, name text, price numeric, note text, done boolean);
  alter table public.owners enable row level security;
  alter table public.items enable row level security;
  alter table public.inbox enable row level security;
  create policy everybody on public.owners for select to authenticated using (true);
  create policy own on public.items to authenticated using (user_id = (select auth.uid()));
  create policy anybody on public.inbox for insert to authenticated with check (true);
  insert into public.owners select n, 'owner ' || n from generate_series(1, ${OWNERS}) n;
  insert into public.items select n, 1 + n % ${OWNERS}, '${USER}', 'item ' || n, n * 1.5 from generate_series(1, ${ITEMS}) n;
  analyze public.owners, public.items;
`;

export async function createWorld(projectRef: ProjectRef, database: DatabaseAddress, userUrl: string): Promise<World> {
  const owner = new pg.Client({ connectionString: userUrl });
  await owner.connect();
  await owner.query(SCHEMA);
  await owner.end();
  const token = (claims: Record<string, string>) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .setIssuedAt()
      .setExpirationTime("1d")
      .sign(Buffer.from(SECRET));
  return {
    projectRef,
    database,
    anonKey: await token({ iss: "supalove", ref: projectRef, role: "anon" }),
    userToken: await token({
      iss: "http://localhost/auth/v1",
      sub: USER,
      aud: "authenticated",
      email: "somebody@example.com",
      role: "authenticated",
      session_id: "5f2c7d0e-3a52-4f5e-9a57-0d6a3f0d7c11",
    }),
  };
}

const LIMITS = {
  requestsPerSecond: 1_000_000,
  requestBurst: 1_000_000,
  concurrentRequests: 10_000,
  sockets: 100,
  maxBodyBytes: 100_000_000,
  maxUploadBytes: 100_000_000,
};

export function gatewaySnapshotOf(world: World): GatewaySnapshot {
  const local = { kind: "local" } as const;
  return {
    audience: "gateway",
    projectRef: world.projectRef,
    version: 1,
    state: "active",
    plan: "shared",
    limits: LIMITS,
    upstreams: { rest: local, auth: local, storage: local, realtime: local },
    apiKeys: [
      keyEntry(world.anonKey, "anon", "legacy"),
      keyEntry("service key of the benchmark", "service_role", "legacy"),
      keyEntry("sb_publishable_benchmark", "anon", "publishable"),
      keyEntry("sb_secret_benchmark", "service_role", "secret"),
    ],
    roleTokens: { anon: "role.token.anon", service_role: "role.token.service" },
    requireApiKey: true,
    corsOrigins: ["*"],
    customHosts: [],
  };
}

function keyEntry(key: string, role: ApiKeyRole, kind: ApiKeyEntry["kind"]): ApiKeyEntry {
  return { id: `${kind}-${role}`, hash: hash("sha256", key, "hex"), role, kind, revoked: false };
}

export function serviceSnapshotOf(world: World): ServiceSnapshot {
  return {
    audience: "service",
    projectRef: world.projectRef,
    version: 1,
    state: "active",
    plan: "shared",
    limits: LIMITS,
    database: world.database,
    jwt: {
      secret: SECRET,
      signingKey: null,
      verificationKeys: [],
      revokedTokens: [],
      issuer: "http://localhost/auth/v1",
    },
    roleTokens: { anon: "", service_role: "" },
    publicUrl: "http://localhost",
    rest: {
      schemas: ["public"],
      extraSearchPath: ["public", "extensions"],
      maxRows: 1000,
      aggregatesEnabled: false,
      preRequest: null,
      rootSpec: null,
      openApiMode: "follow-privileges",
      openApiSecurityActive: false,
      planEnabled: false,
      txEnd: "commit",
      jwtAudience: null,
      jwtRoleClaimKey: "$.role",
      hoistedTxSettings: ["statement_timeout"],
      serverTimingEnabled: false,
      urlUseLegacyTargetNames: true,
      safeUpdate: true,
      clientErrorVerbosity: "verbose",
      appSettings: {},
    },
    // The REST service reads neither.
    auth: {} as ServiceSnapshot["auth"],
    storage: {} as ServiceSnapshot["storage"],
    realtime: {} as ServiceSnapshot["realtime"],
    replication: null,
    s3AccessKeys: [],
    s3SessionSecrets: [],
  };
}

export function scenarios(): readonly Scenario[] {
  const rows = Array.from({ length: 1000 }, (_, index) => ({
    id: index,
    name: `a row of the benchmark, number ${index}, with some text`,
    price: index * 1.25,
    note: index % 3 === 0 ? null : "something to say",
    done: index % 2 === 0,
  }));
  return [
    {
      name: "one row by id",
      method: "GET",
      keys: ITEMS,
      path: (turn) => `/items?id=eq.${1 + ((turn * 7919) % ITEMS)}&select=id,name,price`,
      body: null,
      status: 200,
    },
    {
      name: "100 rows with one embed",
      method: "GET",
      keys: OWNERS,
      path: (turn) => `/items?owner_id=eq.${1 + (turn % OWNERS)}&select=id,name,price,owners(name)&order=id&limit=100`,
      body: null,
      status: 200,
    },
    {
      name: "insert of 1,000 rows",
      method: "POST",
      keys: 1,
      path: () => "/inbox?columns=id,name,price,note,done",
      body: JSON.stringify(rows),
      status: 201,
    },
  ];
}

export interface Scenario {
  readonly name: string;
  readonly method: string;
  /** How many keys `path` goes through. */
  readonly keys: number;
  readonly path: (turn: number) => string;
  readonly body: string | null;
  readonly status: number;
}
