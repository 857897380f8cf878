/**
 * REST as a client meets it: the stack that `npm start` runs, through the gateway, with API key, user JWT and row-level
 * security, beside pgbench running the very statements that the REST service sends, in one pipeline, on the same
 * server. Contenders take turns; answers are checked before anything is timed. Needs wrk and pgbench.
 *
 * node bench/rest.ts [--seconds 5] [--rounds 3] [--connections 64]
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SignJWT } from "jose";
import pg from "pg";
import { parseProjectRef, type ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";
import { createSettingsPolicy, effectiveSettings } from "../control-plane/projects/settings.ts";
import type { ProjectDatabases, Statement } from "../data-plane/database/database.ts";
import { createProjectDatabases } from "../data-plane/database/project-databases.ts";
import { createRestService } from "../data-plane/rest/service.ts";
import { createProject, removeDataDir, startStack, temporaryDataDir } from "../test/harness/standalone.ts";

const { values: options } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "3" },
    connections: { type: "string", default: "64" },
  },
});
const seconds = Number(options.seconds);
const rounds = Number(options.rounds);
const connections = Number(options.connections);

const ROWS = 100_000;
const PARENTS = 1_000;
const INSERTED = 1_000;
const USER = "00000000-0000-4000-8000-000000000001";
/** `:` is followed by a space and `;` left out, so that pgbench takes the text as it is. */
const NEW_ROWS = `[${Array.from({ length: INSERTED }, (_, n) => `{"n": ${n}, "text": "${"x".repeat(105)}"}`).join(", ")}]`;

interface Scenario {
  readonly name: string;
  readonly method: "GET" | "POST";
  /** With `:id` where a random id goes. */
  readonly target: string;
  readonly maxId: number;
  readonly body: string | null;
  /** Throws when the answer is not the one meant. */
  check(status: number, body: string): void;
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: "one row by id",
    method: "GET",
    target: "/item?select=id,name,price&id=eq.:id",
    maxId: ROWS,
    body: null,
    check: (status, body) => expectThat(status === 200 && JSON.parse(body).length === 1, status, body),
  },
  {
    name: "100 rows with one embed",
    method: "GET",
    target: "/item?select=id,name,price,parent(id,name)&parent_id=eq.:id&order=id&limit=100",
    maxId: PARENTS,
    body: null,
    check: (status, body) =>
      expectThat(status === 200 && JSON.parse(body).length === 100 && JSON.parse(body)[0].parent.id > 0, status, body),
  },
  {
    name: `insert of ${INSERTED} rows (${Math.round(NEW_ROWS.length / 1000)} kB)`,
    method: "POST",
    target: "/log?columns=n,text",
    maxId: 1,
    body: NEW_ROWS,
    check: (status, body) => expectThat(status === 201 && body === "", status, body),
  },
];

const folder = mkdtempSync(join(tmpdir(), "supalove-bench-"));
const dataDir = temporaryDataDir();
const stack = await startStack(dataDir);
try {
  await main();
} finally {
  await stack.stop();
  removeDataDir(dataDir);
  rmSync(folder, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const project = await createProject(dataDir, "bench");
  const admin = superuserOf(project.databaseUrl);
  await prepareTables(admin);
  const token = await new SignJWT({ role: "authenticated", sub: USER, aud: "authenticated" })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(project.jwtSecret));
  const headers = { apikey: project.anonKey, authorization: `Bearer ${token}`, "content-type": "application/json" };
  await untilServed(`${project.url}/rest/v1/item?limit=1`, headers);

  for (const scenario of SCENARIOS) {
    const url = `${project.url}/rest/v1${scenario.target}`;
    const answer = await ask(url.replace(":id", "7"), scenario, headers);
    scenario.check(answer.status, answer.body);
    const statements = await recordStatements(scenario, project, admin, headers);
    const script = pgbenchScript(scenario, statements);
    const contenders = {
      gateway: () => runWrk(url, scenario, headers),
      [`pgbench ${connections}`]: () => runPgbench(script, admin, connections),
      "pgbench 8": () => runPgbench(script, admin, 8),
    };
    const best: Record<string, number> = {};
    for (let round = 0; round < rounds; round++) {
      for (const [name, run] of Object.entries(contenders)) {
        await sql(admin, "truncate public.log");
        best[name] = Math.max(best[name] ?? 0, run());
      }
    }
    const { gateway = 0, ...peers } = best;
    const shares = Object.entries(peers).map(
      ([name, rate]) => `${name}: ${rate.toFixed(0)}/s, share ${(gateway / rate).toFixed(2)}`,
    );
    console.log(`${scenario.name}: ${gateway.toFixed(0)}/s through the gateway; ${shares.join("; ")}`);
  }
}

async function prepareTables(admin: URL): Promise<void> {
  await sql(
    admin,
    `set role postgres;
     create table public.parent (id int primary key, name text not null, owner uuid not null);
     create table public.item (id int primary key, name text not null, price numeric not null,
       parent_id int not null references public.parent, owner uuid not null);
     create table public.log (n int, text text);
     insert into public.parent select n, 'parent ' || n, '${USER}' from generate_series(1, ${PARENTS}) n;
     insert into public.item select n, 'item ' || n, n * 1.5, n % ${PARENTS} + 1, '${USER}' from generate_series(1, ${ROWS}) n;
     create index on public.item (parent_id, id);
     alter table public.parent enable row level security;
     alter table public.item enable row level security;
     alter table public.log enable row level security;
     create policy own on public.parent to authenticated using (owner = (select auth.uid()));
     create policy own on public.item to authenticated using (owner = (select auth.uid()));
     create policy own on public.log to authenticated with check ((select auth.uid()) is not null);
     grant all on all tables in schema public to anon, authenticated, service_role;`,
  );
  await sql(admin, "vacuum analyze public.item, public.parent");
}

/** What the service really sends: it runs once in this process, on the same database, with its statements noted. */
async function recordStatements(
  scenario: Scenario,
  project: { ref: string; jwtSecret: string; url: string },
  admin: URL,
  headers: Record<string, string>,
): Promise<readonly Statement[]> {
  const real = createProjectDatabases({ maxConnections: 4 });
  const recorded: Statement[][] = [];
  const recording: ProjectDatabases = {
    ...real,
    listen: (...args) => real.listen(...args),
    release: (ref) => real.release(ref),
    close: () => real.close(),
    get(ref, address) {
      const database = real.get(ref, address);
      return {
        projectRef: database.projectRef,
        withTransaction: (work, settings) => database.withTransaction(work, settings),
        pipeline(statements, pipelineOptions) {
          recorded.push([...statements]);
          return database.pipeline(statements, pipelineOptions);
        },
      };
    },
  };
  const service = createRestService({ databases: recording, now: Date.now, logger: console as never });
  const [path = "", query = ""] = scenario.target.replace(":id", "7").split("?");
  try {
    await service.handle(
      {
        method: scenario.method,
        path,
        query,
        headers,
        body: scenario.body === null ? null : wholeBody(scenario.body),
        publicUrl: project.url,
        publicPath: `/projects/${project.ref}/rest/v1`,
        clientAddress: "127.0.0.1",
        requestId: "bench",
        signal: new AbortController().signal,
      },
      snapshotOf(project, admin),
    );
  } finally {
    await service.close();
    await real.close();
  }
  const last = recorded.at(-1);
  if (!last) throw new Error("the service sent nothing");
  return last;
}

function wholeBody(text: string) {
  const bytes = Buffer.from(text);
  return {
    declaredBytes: bytes.length,
    read: async () => bytes,
    async *stream() {
      yield bytes;
    },
  };
}

function snapshotOf(project: { ref: string; jwtSecret: string; url: string }, admin: URL): ServiceSnapshot {
  const { rest, auth, storage, limits } = effectiveSettings(createSettingsPolicy(), {}, []);
  return {
    audience: "service",
    projectRef: parseProjectRef(project.ref),
    version: 1,
    state: "active",
    plan: "shared",
    limits,
    rest,
    auth,
    storage,
    publicUrl: project.url,
    jwt: { secret: project.jwtSecret, signingKey: null, verificationKeys: [], issuer: `${project.url}/auth/v1` },
    database: {
      host: admin.hostname,
      port: Number(admin.port),
      database: admin.pathname.slice(1),
      user: admin.username,
      password: admin.password,
      ssl: false,
    },
  };
}

/** The same statements with the same parameters; only the id is drawn anew, and a body stands in the text. */
function pgbenchScript(scenario: Scenario, statements: readonly Statement[]): { path: string; defines: string[] } {
  const defines: string[] = [];
  const lines = statements.map(({ text, values }, statement) =>
    text
      .replaceAll(/\/\*.*?\*\//gs, "")
      .replaceAll(/\s+/g, " ")
      .replaceAll(/\$(\d+)/g, (_, number: string) => {
        const value = values[Number(number) - 1] ?? null;
        if (value === null) return "null";
        const literal = value.toString();
        if (literal === scenario.body) return `$body$${literal}$body$`;
        if (literal === "7") return ":id";
        const name = `v${statement}_${number}`;
        defines.push("-D", `${name}=${literal}`);
        return `:${name}`;
      }),
  );
  const path = join(folder, `${scenario.name.replaceAll(/\W+/g, "-")}.sql`);
  writeFileSync(
    path,
    `\\set id random(1, ${scenario.maxId})\n\\startpipeline\n${lines.map((line) => `${line};`).join("\n")}\n\\endpipeline\n`,
  );
  // A body in the text of a prepared statement would be sent once only; `extended` sends it every time, as we do.
  return { path, defines: [...defines, "-M", scenario.body === null ? "prepared" : "extended"] };
}

function runPgbench({ path, defines }: { path: string; defines: string[] }, admin: URL, clients: number): number {
  const output = execFileSync(
    "pgbench",
    ["-n", "-f", path, ...defines, "-c", String(clients), "-j", "2", "-T", String(seconds)],
    {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        PGHOST: admin.hostname,
        PGPORT: admin.port,
        PGUSER: admin.username,
        PGPASSWORD: admin.password,
        PGDATABASE: admin.pathname.slice(1),
      },
    },
  );
  if (/number of failed transactions: [1-9]/.test(output)) throw new Error(output);
  return Number(/tps = ([\d.]+)/.exec(output)?.[1]);
}

function runWrk(url: string, scenario: Scenario, headers: Record<string, string>): number {
  const script = join(folder, "wrk.lua");
  const { pathname, search } = new URL(url.replace(":id", "_id_"));
  const [before = "", after = ""] = `${pathname}${search}`.split("_id_");
  const target = url.includes(":id")
    ? `"${before}" .. math.random(1, ${scenario.maxId}) .. "${after}"`
    : `"${pathname}${search}"`;
  writeFileSync(
    script,
    `${Object.entries(headers)
      .map(([name, value]) => `wrk.headers["${name}"] = "${value}"`)
      .join("\n")}
     local body = ${scenario.body === null ? "nil" : `[==[${scenario.body}]==]`}
     request = function() return wrk.format("${scenario.method}", ${target}, nil, body) end`,
  );
  const output = execFileSync("wrk", ["-t1", `-c${connections}`, `-d${seconds}s`, "-s", script, new URL(url).origin], {
    encoding: "utf8",
  });
  if (/Non-2xx|Socket errors/.test(output)) throw new Error(output);
  return Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1]);
}

async function ask(url: string, { method, body }: Scenario, headers: Record<string, string>) {
  const response = await fetch(url, { method, headers, ...(body === null ? {} : { body }) });
  return { status: response.status, body: await response.text() };
}

async function untilServed(url: string, headers: Record<string, string>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while ((await fetch(url, { headers })).status !== 200) {
    if (Date.now() > deadline) throw new Error(`${url} is not served`);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

async function sql(admin: URL, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: admin.href });
  await client.connect();
  await client.query(text).finally(() => client.end());
}

/** Superuser in the project's database: the stack keeps the password beside its data. */
function superuserOf(databaseUrl: string): URL {
  const url = new URL(databaseUrl);
  url.username = "supabase_admin";
  url.password = readFileSync(join(dataDir, "postgres/superuser-password"), "utf8").trim();
  return url;
}

function expectThat(holds: boolean, status: number, body: string): void {
  if (!holds) throw new Error(`wrong answer ${status}: ${body.slice(0, 300)}`);
}
