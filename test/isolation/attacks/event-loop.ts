/** Work of unbounded size for the processes that serve everybody: most of it needs no more than a public key. */
import { connect } from "node:net";
import type { CreatedProject } from "../../harness/standalone.ts";
import { signToken } from "../../harness/storage-world.ts";
import { type Attack, describe, Outcomes, pause, repeat, session, type World } from "./attack.ts";
import { trickleBodies } from "./slow-clients.ts";

const MEGABYTE = 1024 * 1024;

async function ask(
  project: CreatedProject,
  path: string,
  until: AbortSignal,
  options: { key?: string; token?: string; method?: string; type?: string; body?: Buffer | string } = {},
): Promise<string> {
  const key = options.key ?? project.anonKey;
  const response = await fetch(`${project.url}${path}`, {
    method: options.method ?? (options.body === undefined ? "GET" : "POST"),
    headers: {
      apikey: key,
      authorization: `Bearer ${options.token ?? key}`,
      ...(options.type !== undefined && { "content-type": options.type }),
    },
    ...(options.body !== undefined && { body: options.body as string }),
    signal: until,
  });
  let bytes = 0;
  for await (const chunk of response.body ?? []) bytes += chunk.length;
  return `${response.status}${bytes > MEGABYTE ? ` (${Math.round(bytes / MEGABYTE)} MB)` : ""}`;
}

/** @param reaches what is answered to a body that was looked at to its end. */
function posts(
  name: string,
  path: string,
  type: string,
  makeBody: () => Buffer | string,
  reaches: RegExp,
  short = false,
): Attack {
  return {
    name,
    short,
    reaches,
    prepare: ({ hostile }) => makeTargets(hostile),
    run({ hostile }, until) {
      const body = makeBody();
      return repeat(until, 3, (signal) => ask(hostile, path, signal, { type, body }));
    },
  };
}

/** A table and a function that strangers may use; what is refused because it does not exist, is refused cheaply. */
async function makeTargets(hostile: CreatedProject): Promise<void> {
  await run(
    hostile,
    `create unlogged table if not exists anything (id int, t text);
     truncate anything;
     create or replace function anything(a text) returns int language sql as 'select 1';
     notify pgrst, 'reload schema'`,
  );
  await untilKnown(hostile, "anything?limit=1");
  await untilKnown(hostile, "rpc/anything?a=1");
}

/** Until the project's REST knows of a relation or routine; a load may have to wait for the one before. */
async function untilKnown(hostile: CreatedProject, name: string): Promise<void> {
  for (let turn = 0; turn < 200; turn += 1) {
    const answer = await ask(hostile, `/rest/v1/${name}`, AbortSignal.timeout(10_000)).catch(describe);
    if (!/^(404|503)$/.test(answer)) return;
    await new Promise((resume) => setTimeout(resume, 100));
  }
  throw new Error(`${name} is not served`);
}

/** Makes a function that the attack will call. */
async function makeFunction(hostile: CreatedProject, name: string, definition: string): Promise<void> {
  await run(hostile, `create or replace function ${name}() returns ${definition}; notify pgrst, 'reload schema'`);
  await untilKnown(hostile, `rpc/${name}`);
}

async function run(project: CreatedProject, sql: string): Promise<void> {
  const client = await session(project);
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** He is the owner of his limits. */
async function liftLimits({ client, hostile }: World): Promise<void> {
  const settings = { maxBodyBytes: 1024 ** 3, concurrentRequests: 100_000, requestsPerSecond: 1_000_000 };
  await client
    .request(
      "mutation ($ref: ID!, $settings: ProjectLimitsInput!) { updateLimits(ref: $ref, settings: $settings) { ref } }",
      {
        ref: hostile.ref,
        settings,
      },
    )
    .catch(() => undefined); // refused: all the better
}

function setRoleClaimKey(client: World["client"], { ref }: CreatedProject, jwtRoleClaimKey: string): Promise<unknown> {
  return client.request(
    "mutation ($ref: ID!, $settings: RestSettingsInput!) { updateRestSettings(ref: $ref, settings: $settings) { ref } }",
    { ref, settings: { jwtRoleClaimKey } },
  );
}

async function largeSchema({ hostile }: World): Promise<void> {
  const columns = Array.from({ length: 30 }, (_, index) => `c${index} int`).join(", ");
  const client = await session(hostile);
  try {
    const { rows } = await client.query("select count(*)::int as count from pg_class where relname like 'large\\_%'");
    if (rows[0].count >= 3_000) return;
    for (let from = 0; from < 3_000; from += 500)
      await client.query(
        `do $$ begin for i in ${from}..${from + 499} loop
           execute format('create table if not exists large_%s (id int primary key, ${columns})', i); end loop; end $$`,
      );
    await client.query("notify pgrst, 'reload schema'");
  } finally {
    await client.end();
  }
  await untilKnown(hostile, "large_1?limit=1");
}

export const EVENT_LOOP_ATTACKS: readonly Attack[] = [
  posts(
    "CSV bodies of 10 MB of quotes",
    "/rest/v1/anything",
    "text/csv",
    () => `t\n${'"'.repeat(10_000_000)}`,
    /\b201\b/,
    true,
  ),
  posts(
    "JSON bodies of 300,000 keys",
    "/rest/v1/anything",
    "application/json",
    () => JSON.stringify(Object.fromEntries(Array.from({ length: 300_000 }, (_, index) => [`k${index}`, 1]))),
    /\b400\b/, // it has columns that the table has not
  ),
  posts(
    "JSON bodies of 300,000 rows",
    "/rest/v1/anything",
    "application/json",
    () => JSON.stringify(Array.from({ length: 300_000 }, (_, index) => ({ id: index }))),
    /\b201\b/,
  ),
  posts(
    "JSON bodies nested 1,000,000 deep",
    "/auth/v1/token?grant_type=password",
    "application/json",
    () => "[".repeat(MEGABYTE),
    /\b400\b/,
  ),
  posts(
    "forms of 500,000 pairs",
    "/rest/v1/rpc/anything",
    "application/x-www-form-urlencoded",
    () => "a=1&".repeat(500_000),
    /\b400\b/, // it has more fields than a form may have
  ),
  {
    name: "bodies of 500 MB, after lifting his limits",
    reaches: /\b413\b/,
    prepare: async (world) => {
      await liftLimits(world);
      await makeTargets(world.hostile);
    },
    run({ hostile }, until) {
      const body = Buffer.alloc(500 * MEGABYTE, 32);
      return repeat(until, 2, (signal) =>
        ask(hostile, "/rest/v1/anything", signal, { type: "application/json", body }),
      );
    },
  },
  {
    name: "error texts of 100 MB",
    short: true,
    reaches: /\b(400|500)\b/,
    prepare: ({ hostile }) =>
      makeFunction(
        hostile,
        "shout",
        "void language plpgsql as $$ begin raise exception '%', repeat('x', 100000000); end $$",
      ),
    run: ({ hostile }, until) =>
      repeat(until, 3, (signal) =>
        ask(hostile, "/rest/v1/rpc/shout", signal, { type: "application/json", body: "{}" }),
      ),
  },
  {
    name: "responses that nobody reads",
    prepare: ({ hostile }) => makeFunction(hostile, "heap", "text language sql as $$ select repeat('x', 20000000) $$"),
    async run({ hostile, gatewayPort }, until) {
      const outcomes = new Outcomes();
      const path = new URL(`${hostile.url}/rest/v1/rpc/heap`).pathname;
      const sockets = Array.from({ length: 60 }, () => {
        const socket = connect(gatewayPort, "127.0.0.1");
        socket.pause();
        socket.on("error", () => {});
        socket.once("close", () => outcomes.add("cut"));
        socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\napikey: ${hostile.anonKey}\r\n\r\n`);
        return socket;
      });
      await new Promise((done) => until.addEventListener("abort", done, { once: true }));
      outcomes.add(`${sockets.filter((socket) => !socket.destroyed).length} still open`);
      for (const socket of sockets) socket.destroy();
      return outcomes;
    },
  },
  {
    name: "users with 30 MB of metadata",
    reaches: /\b200\b/,
    prepare: ({ hostile }) =>
      run(
        hostile,
        `insert into auth.users (id, aud, role, email, raw_user_meta_data, raw_app_meta_data, created_at, updated_at)
         values ('00000000-0000-4000-8000-000000000001', 'authenticated', 'authenticated', 'heavy@example.com',
           jsonb_build_object('x', (select jsonb_agg(i) from generate_series(1, 3000000) i)), '{}', now(), now())
         on conflict do nothing`,
      ),
    run: ({ hostile }, until) =>
      repeat(until, 2, (signal) => ask(hostile, "/auth/v1/admin/users", signal, { key: hostile.serviceRoleKey })),
  },
  {
    name: "a regular expression that doubles, in the path to the role",
    reaches: /\b200\b/,
    prepare: async ({ client, hostile }) => {
      await makeTargets(hostile);
      await setRoleClaimKey(client, hostile, "$.x[?search(@, '^(a+)+$')]");
    },
    async run({ client, hostile }, until) {
      const x = Array.from({ length: 20 }, () => `${"a".repeat(150)}!`);
      try {
        return await repeat(until, 4, (signal) => {
          // Not twice the same: what a service has found in a token it remembers.
          const token = signToken({ role: "anon", x, nonce: Math.random() }, hostile.jwtSecret);
          return ask(hostile, "/rest/v1/anything?limit=1", signal, { token });
        });
      } finally {
        await setRoleClaimKey(client, hostile, "$.role"); // other attacks need their roles
      }
    },
  },
  {
    name: "sign-ins with wrong passwords",
    reaches: /\b400\b/,
    run: ({ hostile }, until) =>
      repeat(until, 20, (signal) =>
        ask(hostile, "/auth/v1/token?grant_type=password", signal, {
          type: "application/json",
          body: JSON.stringify({ email: `${Math.random()}@example.com`, password: "guess" }),
        }),
      ),
  },
  {
    name: "two hundred bodies that trickle in",
    short: true,
    prepare: ({ hostile }) => makeTargets(hostile),
    async run({ hostile, gatewayPort }, until) {
      const target = new URL(`${hostile.url}/rest/v1/anything`).pathname;
      const clients = trickleBodies(200, { port: gatewayPort, target, headers: { apikey: hostile.anonKey } });
      await new Promise((done) => until.addEventListener("abort", done, { once: true }));
      const outcomes = new Outcomes();
      outcomes.add(`${clients.length} clients`);
      for (const client of clients) client[Symbol.dispose]();
      return outcomes;
    },
  },
  {
    name: "slow statements on every connection",
    reaches: /went on to the end|\b20[04]\b/,
    run: ({ hostile }, until) =>
      repeat(until, 60, (signal) => ask(hostile, "/rest/v1/rpc/nap", signal, { type: "application/json", body: "{}" })),
    prepare: ({ hostile }) => makeFunction(hostile, "nap", "void language sql as $$ select pg_sleep(5) $$"),
  },
  {
    name: "50 requests at once, as fast as they are answered",
    reaches: /\b200\b/,
    prepare: ({ hostile }) => makeTargets(hostile),
    run: ({ hostile }, until) =>
      repeat(until, 50, async (signal) => {
        let last = "";
        for (let turn = 0; turn < 20 && !signal.aborted; turn++)
          last = await ask(hostile, "/rest/v1/anything?limit=1", signal);
        return `20 requests, the last ${last}`;
      }),
  },
  // Last: loads of a schema that has grown so large are far apart, and other attacks would wait for theirs.
  {
    name: "OpenAPI of 3,000 tables",
    reaches: /\b200 \(\d+ MB\)/,
    prepare: largeSchema,
    run: ({ hostile }, until) =>
      repeat(until, 2, (signal) => ask(hostile, "/rest/v1/", signal, { key: hostile.serviceRoleKey })),
  },
  {
    name: "a large schema, loaded again and again",
    reaches: /\b200\b/,
    prepare: largeSchema,
    async run({ hostile }, until) {
      const client = await session(hostile);
      const asking = repeat(until, 2, (signal) => ask(hostile, "/rest/v1/large_1?limit=1", signal));
      while (!until.aborted) {
        await client.query("notify pgrst, 'reload schema'").catch(() => {});
        await pause(100, until);
      }
      await client.end().catch(() => {});
      return asking;
    },
  },
];
