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
  options: { key?: string; bearer?: string; method?: string; type?: string; body?: Buffer | string } = {},
): Promise<string> {
  const key = options.key ?? project.anonKey;
  const response = await fetch(`${project.url}${path}`, {
    method: options.method ?? (options.body === undefined ? "GET" : "POST"),
    headers: {
      apikey: key,
      authorization: `Bearer ${options.bearer ?? key}`,
      ...(options.type !== undefined && { "content-type": options.type }),
    },
    ...(options.body !== undefined && { body: options.body as string }),
    signal: until,
  });
  let bytes = 0;
  for await (const chunk of response.body ?? []) bytes += chunk.length;
  return `${response.status}${bytes > MEGABYTE ? ` (${Math.round(bytes / MEGABYTE)} MB)` : ""}`;
}

/** What bodies are sent to: a request for nothing would be refused before its body is looked at. */
async function publish({ hostile }: World): Promise<void> {
  await run(
    hostile,
    `create table if not exists anything (id int, t text);
     create or replace function anything(a text) returns text language sql as $$ select 'done' $$;
     grant all on anything to anon; notify pgrst, 'reload schema'`,
  );
  await untilServed(hostile, "/rest/v1/anything?limit=0");
  await untilServed(hostile, "/rest/v1/rpc/anything?a=1");
}

async function untilServed(project: CreatedProject, path: string): Promise<void> {
  for (let turn = 0; turn < 100; turn++) {
    if ((await ask(project, path, AbortSignal.timeout(10_000)).catch(describe)) === "200") return;
    await pause(100, AbortSignal.timeout(1_000));
  }
  throw new Error(`the hostile project does not serve ${path}`);
}

function posts(name: string, path: string, type: string, makeBody: () => Buffer | string, short = false): Attack {
  return {
    name,
    short,
    prepare: publish,
    run({ hostile }, until) {
      const body = makeBody();
      return repeat(until, 3, (signal) => ask(hostile, path, signal, { type, body }));
    },
  };
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
}

export const EVENT_LOOP_ATTACKS: readonly Attack[] = [
  posts("CSV bodies of 10 MB of quotes", "/rest/v1/anything", "text/csv", () => `t\n${'"'.repeat(10_000_000)}`, true),
  posts("JSON bodies of 300,000 keys", "/rest/v1/anything", "application/json", () =>
    JSON.stringify(Object.fromEntries(Array.from({ length: 300_000 }, (_, index) => [`k${index}`, 1]))),
  ),
  posts("JSON bodies of 300,000 rows", "/rest/v1/anything", "application/json", () =>
    JSON.stringify(Array.from({ length: 300_000 }, (_, index) => ({ id: index }))),
  ),
  posts("JSON bodies nested 1,000,000 deep", "/auth/v1/token?grant_type=password", "application/json", () =>
    "[".repeat(MEGABYTE),
  ),
  posts("forms of 500,000 pairs", "/rest/v1/rpc/anything", "application/x-www-form-urlencoded", () =>
    "a=1&".repeat(500_000),
  ),
  {
    name: "bodies of 500 MB, after lifting his limits",
    prepare: async (world) => {
      await liftLimits(world);
      await publish(world);
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
    prepare: ({ hostile }) =>
      run(
        hostile,
        `create or replace function shout() returns void language plpgsql as
         $$ begin raise exception '%', repeat('x', 100000000); end $$; notify pgrst, 'reload schema'`,
      ),
    run: ({ hostile }, until) =>
      repeat(until, 3, (signal) =>
        ask(hostile, "/rest/v1/rpc/shout", signal, { type: "application/json", body: "{}" }),
      ),
  },
  {
    name: "responses that nobody reads",
    prepare: ({ hostile }) =>
      run(
        hostile,
        `create or replace function heap() returns text language sql as $$ select repeat('x', 20000000) $$;
         notify pgrst, 'reload schema'`,
      ),
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
    prepare: async (world) => {
      await publish(world);
      const jwtRoleClaimKey = `$.x[?search(@, '^(a+)+$')]`;
      await world.client
        .request(
          "mutation ($ref: ID!, $settings: RestSettingsInput!) { updateRestSettings(ref: $ref, settings: $settings) { ref } }",
          { ref: world.hostile.ref, settings: { jwtRoleClaimKey } },
        )
        .catch(() => undefined);
    },
    run({ hostile }, until) {
      let count = 0;
      return repeat(until, 4, (signal) => {
        count += 1; // a token that is known already would not be looked at again
        const claims = { role: "anon", x: Array.from({ length: 20 }, () => `${"a".repeat(150)}!`), count };
        return ask(hostile, "/rest/v1/anything?limit=0", signal, { bearer: signToken(claims, hostile.jwtSecret) });
      });
    },
  },
  {
    name: "sign-ins with wrong passwords",
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
    prepare: publish,
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
    run: ({ hostile }, until) =>
      repeat(until, 60, (signal) => ask(hostile, "/rest/v1/rpc/nap", signal, { type: "application/json", body: "{}" })),
    prepare: ({ hostile }) =>
      run(
        hostile,
        `create or replace function nap() returns void language sql as $$ select pg_sleep(5) $$; notify pgrst, 'reload schema'`,
      ),
  },
  {
    name: "50 requests at once, as fast as they are answered",
    prepare: publish,
    run: ({ hostile }, until) =>
      repeat(until, 50, async (signal) => {
        let last = "";
        for (let turn = 0; turn < 20 && !signal.aborted; turn++) last = await ask(hostile, "/rest/v1/anything", signal);
        return `20 requests, the last ${last}`;
      }),
  },
  // Last: loads of a schema that has grown so large are far apart, and other attacks would wait for theirs.
  {
    name: "OpenAPI of 3,000 tables",
    prepare: largeSchema,
    run: ({ hostile }, until) =>
      repeat(until, 2, (signal) => ask(hostile, "/rest/v1/", signal, { key: hostile.serviceRoleKey })),
  },
  {
    name: "a large schema, loaded again and again",
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
