/** Every operation of a project's life while its people go on asking: afterwards each service serves as before. */
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createGraphqlClient, type GraphqlClient } from "../../compose/cli/graphql-client.ts";
import { findOwnerToken } from "../../compose/local-instance.ts";
import { startDnsServer, type TestDns } from "../harness/dns-server.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

const EMAIL = "ada@life.example";
const PASSWORD = "correct horse battery staple";
const SETTLE_MS = 20_000;
const KEPT = "what was there before";
const WITHOUT_SESSIONS = { auth: { persistSession: false, autoRefreshToken: false } };

const dataDir = temporaryDataDir();
let dns: TestDns;
let stack: Stack;
/** In database `postgres`, as whoever operates the cluster. */
let operator: pg.Client;
let api: GraphqlClient;
let project: CreatedProject;
/** With keys that every operation leaves as they are. */
let service: SupabaseClient;
/** Connected before the first operation, and never told of any. */
let listener: SupabaseClient;
const heard = { broadcasts: new Set<string>(), rows: new Set<number>() };
let nextRow = 1;

const ref = () => ({ ref: project.ref });
const anonymous = () => createClient(project.url, project.publishableKey, WITHOUT_SESSIONS);

beforeAll(async () => {
  dns = await startDnsServer();
  stack = await startStack(dataDir, { SUPALOVE_DNS_SERVERS: dns.address });
  const { controlPlaneUrl } = JSON.parse((await supalove(dataDir, ["status", "--json"])).stdout);
  api = createGraphqlClient(controlPlaneUrl, findOwnerToken(dataDir) ?? "");
  project = await createProject(dataDir, "life");
  service = createClient(project.url, project.secretKey, WITHOUT_SESSIONS);
  const password = readFileSync(join(dataDir, "postgres/superuser-password"), "utf8").trim();
  const { host } = new URL(project.databaseUrl);
  operator = new pg.Client({ connectionString: `postgresql://supabase_admin:${password}@${host}/postgres` });
  operator.on("error", () => {});
  await operator.connect();
  await runSql(
    `create table notes (id int primary key); insert into notes values (7);
     create table events (id int primary key); alter publication supabase_realtime add table events`,
  );
  await vi.waitFor(async () => expect((await service.from("notes").select()).error).toBeNull(), SETTLE_MS);
  expect((await anonymous().auth.signUp({ email: EMAIL, password: PASSWORD })).error).toBeNull();
  expect((await service.storage.createBucket("files")).error).toBeNull();
  expect((await service.storage.from("files").upload("kept.txt", KEPT)).error).toBeNull();
  listener = anonymous();
  listener
    .channel("life")
    .on("broadcast", { event: "said" }, ({ payload }) => void heard.broadcasts.add(payload.what))
    .on("postgres_changes", { event: "INSERT", schema: "public", table: "events" }, (change) => {
      heard.rows.add((change.new as { id: number }).id);
    })
    .subscribe();
  await expectServed();
});

afterAll(async () => {
  await listener?.removeAllChannels();
  await operator?.end();
  await stack?.stop();
  await dns?.close();
  removeDataDir(dataDir);
});

const runSql = (sql: string) =>
  api.request("mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }", {
    input: { ...ref(), sql },
  });

async function change(mutation: string): Promise<void> {
  await api.request(`mutation ($ref: ID!) { ${mutation} }`, ref());
}

async function untilState(wanted: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const { project: found } = await api.request<{ project: { state: string } }>(
        "query ($ref: ID!) { project(ref: $ref) { state } }",
        ref(),
      );
      expect(found.state).toBe(wanted);
    },
    { timeout: SETTLE_MS, interval: 20 },
  );
}

/** Requests to each service until told to stop; what they are answered meanwhile is not judged. */
function keepAsking(): () => Promise<void> {
  let isStopped = false;
  const repeat = async (ask: () => PromiseLike<unknown>) => {
    while (!isStopped) await Promise.resolve(ask()).catch(() => {});
  };
  const loops = [
    repeat(() => service.from("notes").select()),
    repeat(() => service.rpc("no_such_function")),
    repeat(() => anonymous().auth.signInWithPassword({ email: EMAIL, password: PASSWORD })),
    repeat(() => service.auth.admin.listUsers()),
    repeat(() => service.storage.from("files").download("kept.txt")),
    repeat(() => service.storage.from("files").upload("again.txt", "again", { upsert: true })),
    repeat(() => joinAndLeave()),
  ];
  return async () => {
    isStopped = true;
    await Promise.all(loops);
  };
}

/** A socket and a channel of its own, as a page that is opened and closed. */
async function joinAndLeave(): Promise<void> {
  const visitor = anonymous();
  const channel = visitor.channel("visit");
  await new Promise<void>((done) => {
    setTimeout(done, 2_000);
    channel.subscribe((status) => void (status !== "CLOSED" && done()));
  });
  await visitor.removeAllChannels();
  visitor.realtime.disconnect();
}

async function expectServed(): Promise<void> {
  await expectAsked();
  await expectHeard();
}

/** Whoever has listened since before the operations hears of rows and of broadcasts, and so does a newcomer's broadcast get out. */
async function expectHeard(): Promise<void> {
  const speaker = createClient(project.url, project.publishableKey, WITHOUT_SESSIONS);
  const channel = speaker.channel("life");
  channel.subscribe();
  const row = nextRow;
  nextRow += 1_000;
  let turn = 0;
  await vi.waitFor(
    async () => {
      // Again and again: what is said while somebody is away is not told later.
      turn += 1;
      expect((await service.from("events").insert({ id: row + turn })).error).toBeNull();
      await channel.send({ type: "broadcast", event: "said", payload: { what: `${row}` } });
      expect(heard.broadcasts).toContain(`${row}`);
      expect([...heard.rows].some((id) => id > row && id < row + 1_000)).toBe(true);
    },
    { timeout: 2 * SETTLE_MS, interval: 200 }, // a client of realtime waits up to ten seconds before it comes again
  );
  await speaker.removeAllChannels();
  speaker.realtime.disconnect();
}

async function expectAsked(): Promise<void> {
  await vi.waitFor(
    async () => {
      expect(await service.from("notes").select()).toMatchObject({ data: [{ id: 7 }], error: null });
      const { users } = (await service.auth.admin.listUsers()).data;
      expect(users.map(({ email }) => email)).toContain(EMAIL);
      const { data, error } = await anonymous().auth.signInWithPassword({ email: EMAIL, password: PASSWORD });
      expect(error).toBeNull();
      expect((await anonymous().auth.getUser(data.session?.access_token ?? "")).data.user?.email).toBe(EMAIL);
      const user = createClient(project.url, project.publishableKey, {
        ...WITHOUT_SESSIONS,
        accessToken: async () => data.session?.access_token ?? "",
      });
      expect((await user.from("notes").select()).error).toBeNull();
      const files = service.storage.from("files");
      expect(await (await files.download("kept.txt")).data?.text()).toBe(KEPT);
      expect((await files.upload("again.txt", "again", { upsert: true })).error).toBeNull();
      expect((await files.list()).data?.map(({ name }) => name)).toContain("kept.txt");
    },
    { timeout: SETTLE_MS, interval: 50 },
  );
}

/** Its database has another name for a while, as after a mistake of the operator. */
async function failAndRetry(): Promise<void> {
  const database = `project_${project.ref}`;
  await change("pauseProject(ref: $ref) { ref }");
  await untilState("PAUSED");
  await operator.query(`alter database ${database} rename to mislaid`);
  await change("resumeProject(ref: $ref) { ref }");
  await untilState("FAILED");
  await operator.query(`alter database mislaid rename to ${database}`);
  await change("retryProject(ref: $ref) { ref }");
  await untilState("ACTIVE");
}

/** As a start of a newer version does with the projects of an older one. */
async function migrate(): Promise<void> {
  const version = async () =>
    (await operator.query("select template_version as version from supalove.projects where ref = $1", [project.ref]))
      .rows[0]?.version;
  const current = await version();
  await operator.query("update supalove.projects set template_version = 1 where ref = $1", [project.ref]);
  await operator.query("insert into supalove.operations (project_ref, kind) values ($1, 'migrate')", [project.ref]);
  await vi.waitFor(async () => expect(await version()).toBe(current), { timeout: SETTLE_MS, interval: 50 });
}

/** GET with a Host header of one's own, which `fetch` does not send. */
function readAs(host: string, url: string, headers: Headers): Promise<Response> {
  return new Promise((answered, failed) => {
    const asked = request(url, { headers: { ...Object.fromEntries(headers), host } }, async (response) => {
      const body = await buffer(response);
      answered(new Response(body, { status: response.statusCode ?? 0 }));
    });
    asked.once("error", failed).end();
  });
}

/** The project comes to have a further address; what is asked there is answered as at the first. */
async function takeHost(): Promise<void> {
  const host = "api.life.example";
  const hosts =
    "mutation ($ref: ID!, $hosts: [String!]!) { updateGatewaySettings(ref: $ref, settings: { customHosts: $hosts }) { ref } }";
  await api.request(hosts, { ...ref(), hosts: [host] });
  dns.setCname(host, `${project.ref}.localhost`);
  await api.request("mutation ($ref: ID!, $host: String!) { verifyCustomHost(ref: $ref, host: $host) { state } }", {
    ...ref(),
    host,
  });
  const there = new URL(project.url);
  const client = createClient(there.origin, project.secretKey, {
    ...WITHOUT_SESSIONS,
    global: {
      fetch: (input, init) => readAs(host, String(input), new Headers(init?.headers)),
    },
  });
  await vi.waitFor(
    async () => {
      expect(await client.from("notes").select()).toMatchObject({ data: [{ id: 7 }], error: null });
      expect((await client.auth.admin.listUsers()).error).toBeNull();
      expect(await (await client.storage.from("files").download("kept.txt")).data?.text()).toBe(KEPT);
    },
    { timeout: SETTLE_MS, interval: 50 },
  );
  await api.request(hosts, { ...ref(), hosts: [] });
}

/** What a service hears of changes must outlive the operation too. */
async function expectChangesHeard(table: string): Promise<void> {
  await runSql(`create table ${table} (id int)`);
  await vi.waitFor(async () => expect((await service.from(table).select()).error).toBeNull(), {
    timeout: SETTLE_MS,
    interval: 50,
  });
}

/** Somebody joins the project's organization by invitation and is removed again. */
async function addAndRemoveDeveloper(): Promise<void> {
  const email = "leaver@life.example";
  const { project: found } = await api.request<{ project: { organization: { id: string } } }>(
    "query ($ref: ID!) { project(ref: $ref) { organization { id } } }",
    ref(),
  );
  const organizationId = found.organization.id;
  const { addMember } = await api.request<{ addMember: { invitationToken: string } }>(
    "mutation ($organizationId: ID!, $email: String!) { addMember(organizationId: $organizationId, email: $email, role: DEVELOPER) { invitationToken } }",
    { organizationId, email },
  );
  const { signUp } = await api.request<{ signUp: { id: string } }>(
    "mutation ($input: SignUpInput!) { signUp(input: $input) { id } }",
    { input: { email, password: PASSWORD, name: "leaver", invitationToken: addMember.invitationToken } },
  );
  await api.request(
    "mutation ($organizationId: ID!, $accountId: ID!) { removeMember(organizationId: $organizationId, accountId: $accountId) }",
    { organizationId, accountId: signUp.id },
  );
}

const OPERATIONS: readonly (readonly [name: string, run: () => Promise<unknown>])[] = [
  [
    "a restart",
    async () => {
      await change("restartProject(ref: $ref) { ref }");
      await untilState("ACTIVE");
    },
  ],
  [
    "a pause and a resume",
    async () => {
      await change("pauseProject(ref: $ref) { ref }");
      await untilState("PAUSED");
      await change("resumeProject(ref: $ref) { ref }");
      await untilState("ACTIVE");
    },
  ],
  [
    "a password that the tenant has changed, and the restart that restores it",
    async () => {
      await runSql(`set role project_${project.ref}_authenticator; alter role current_user password 'his own'`);
      await change("restartProject(ref: $ref) { ref }");
      await untilState("ACTIVE");
    },
  ],
  ["the end of a member's role, with all sessions of the database", () => addAndRemoveDeveloper()],
  ["a new JWT secret", () => change("rotateJwtSecret(ref: $ref) { ref }")],
  ["a first signing key", () => change("createSigningKey(ref: $ref) { ref } rotateSigningKey(ref: $ref) { ref }")],
  ["a second signing key", () => change("createSigningKey(ref: $ref) { ref } rotateSigningKey(ref: $ref) { ref }")],
  ["a resume that fails, and a retry", () => failAndRetry()],
  ["a migration to another version of the project's own SQL", () => migrate()],
  ["a host of its own, taken and given back", () => takeHost()],
  [
    "other gateway settings",
    () => change('updateGatewaySettings(ref: $ref, settings: { corsOrigins: ["https://app.life.example"] }) { ref }'),
  ],
  [
    "other storage settings",
    () => change("updateStorageSettings(ref: $ref, settings: { fileSizeLimitBytes: 1000000 }) { ref }"),
  ],
  [
    "other realtime settings",
    () => change("updateRealtimeSettings(ref: $ref, settings: { maxChannelsPerClient: 50 }) { ref }"),
  ],
  ["other REST settings", () => change("updateRestSettings(ref: $ref, settings: { maxRows: 500 }) { ref }")],
  ["other auth settings", () => change("updateAuthSettings(ref: $ref, settings: { jwtExpSeconds: 1800 }) { ref }")],
  ["other limits", () => change("updateLimits(ref: $ref, settings: { concurrentRequests: 500 }) { ref }")],
  [
    "a move to another address",
    async () => {
      type Clusters = { clusters: readonly { id: string; host: string }[] };
      const { clusters } = await api.request<Clusters>("{ clusters { id host } }");
      for (const { id, host } of clusters) {
        await api.request(
          "mutation ($id: ID!, $host: String!) { updateCluster(id: $id, input: { host: $host }) { id } }",
          {
            id,
            host: host === "localhost" ? "127.0.0.1" : "localhost",
          },
        );
      }
    },
  ],
];

test.each(OPERATIONS)("%s leaves every service serving", async (name, run) => {
  const stopAsking = keepAsking();
  try {
    await run();
  } finally {
    await stopAsking();
  }
  await expectServed();
  await expectChangesHeard(`after_${name.toLowerCase().replaceAll(/\W+/g, "_")}`.slice(0, 60));
});

test("a service whose pool cannot reach the database is told as unhealthy, one whose pool can as healthy", async () => {
  type Health = { project: { health: { services: readonly { name: string; status: string }[] } } };
  const { project: found } = await api.request<Health>(
    "query ($ref: ID!) { project(ref: $ref) { health { services { name status } } } }",
    ref(),
  );
  const statusOf = (name: string) => found.health.services.find((service) => service.name === name)?.status;
  const names = ["rest", "auth", "storage", "realtime"];
  expect(names.map(statusOf)).toEqual(names.map(() => "HEALTHY"));

  const probe = async (name: string) => {
    const response = await fetch(`${project.url}/${name}/v1/-/health`, { headers: { apikey: project.publishableKey } });
    return { status: response.status, body: await response.json() };
  };
  const healthy = { status: 200, body: { status: "healthy" } };
  expect([await probe("rest"), await probe("auth")]).toEqual([healthy, healthy]);
  const login = `project_${project.ref}_authenticator`;
  // Sessions that are open would go on; new ones are refused, and then the services cannot work.
  await runSql(`set role ${login}; alter role current_user password 'his own';
    select pg_terminate_backend(pid) from pg_stat_activity where usename = '${login}'`);
  await vi.waitFor(async () => {
    expect([(await probe("rest")).status, (await probe("auth")).status]).toEqual([503, 503]);
  }, SETTLE_MS);
  await change("restartProject(ref: $ref) { ref }");
  await untilState("ACTIVE");
  await expectServed();
});
