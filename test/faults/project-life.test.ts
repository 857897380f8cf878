/** Every operation of a project's life while its people go on asking: afterwards each service serves as before. */
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createGraphqlClient, type GraphqlClient } from "../../compose/cli/graphql-client.ts";
import { findOwnerToken } from "../../compose/local-instance.ts";
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
const SETTLE_MS = 15_000;
const WITHOUT_SESSIONS = { auth: { persistSession: false, autoRefreshToken: false } };

const dataDir = temporaryDataDir();
let stack: Stack;
let api: GraphqlClient;
let project: CreatedProject;
/** With keys that every operation leaves as they are. */
let service: SupabaseClient;

const ref = () => ({ ref: project.ref });
const anonymous = () => createClient(project.url, project.publishableKey, WITHOUT_SESSIONS);

beforeAll(async () => {
  stack = await startStack(dataDir);
  const { controlPlaneUrl } = JSON.parse((await supalove(dataDir, ["status", "--json"])).stdout);
  api = createGraphqlClient(controlPlaneUrl, findOwnerToken(dataDir) ?? "");
  project = await createProject(dataDir, "life");
  service = createClient(project.url, project.secretKey, WITHOUT_SESSIONS);
  await runSql("create table notes (id int primary key); insert into notes values (7)");
  await vi.waitFor(async () => expect((await service.from("notes").select()).error).toBeNull(), SETTLE_MS);
  expect((await anonymous().auth.signUp({ email: EMAIL, password: PASSWORD })).error).toBeNull();
});

afterAll(async () => {
  await stack?.stop();
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
  ];
  return async () => {
    isStopped = true;
    await Promise.all(loops);
  };
}

async function expectServed(): Promise<void> {
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
    },
    { timeout: SETTLE_MS, interval: 50 },
  );
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
  expect([statusOf("rest"), statusOf("auth")]).toEqual(["HEALTHY", "HEALTHY"]);

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
