/** Realtime through the gateway with the unmodified supabase-js, in both address forms and both protocol versions. */
import dns from "node:dns";
import { createClient, type RealtimeChannel, type SupabaseClient } from "@supabase/supabase-js";
import { RealtimeClient as OldRealtimeClient } from "realtime-js-2024";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../harness/standalone.ts";

// Browsers know that names below localhost are this machine; Node asks the system, which may not.
const systemLookup = dns.lookup;
dns.lookup = ((name: string, ...rest: [never]) =>
  systemLookup(name.endsWith(".localhost") ? "localhost" : name, ...rest)) as typeof dns.lookup;

const dataDir = temporaryDataDir();
let stack: Stack;
let project: CreatedProject;
const clients: SupabaseClient[] = [];

beforeAll(async () => {
  stack = await startStack(dataDir);
  project = await createProject(dataDir, "realtime");
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.removeAllChannels();
});
afterAll(async () => {
  await stack?.stop();
  removeDataDir(dataDir);
});

async function runSql(sql: string): Promise<void> {
  const result = await supalove(dataDir, ["project", "sql", project.ref, sql, "--json"]);
  if (result.code !== 0) throw new Error(result.stderr + result.stdout);
}

type Form = "path" | "host";

function connect(vsn: "1.0.0" | "2.0.0", form: Form = "path", key = project.anonKey): SupabaseClient {
  const gateway = new URL(project.url);
  const url = form === "path" ? project.url : `http://${project.ref}.localhost:${gateway.port}`;
  const client = createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { vsn, transport: WebSocket as never },
  });
  clients.push(client);
  return client;
}

/** Resolves with the first status that says whether the channel is there. */
function subscribed(channel: RealtimeChannel): Promise<string> {
  return new Promise((resolve) => {
    channel.subscribe((status, error) => resolve(error ? `${status}: ${error.message}` : status));
  });
}

describe.each([
  ["1.0.0", "path"],
  ["2.0.0", "path"],
  ["2.0.0", "host"],
] as const)("protocol %s by %s", (vsn, form) => {
  test("a broadcast reaches the others and, when asked for, its sender", async () => {
    const [ada, grace] = [connect(vsn, form), connect("2.0.0")];
    const topic = `room-${vsn}-${form}`;
    const heard: unknown[] = [];
    const own: unknown[] = [];
    const receiver = grace.channel(topic).on("broadcast", { event: "ping" }, ({ payload }) => heard.push(payload));
    const sender = ada
      .channel(topic, { config: { broadcast: { self: true, ack: true } } })
      .on("broadcast", { event: "ping" }, ({ payload }) => own.push(payload));
    expect([await subscribed(receiver), await subscribed(sender)]).toEqual(["SUBSCRIBED", "SUBSCRIBED"]);
    expect(await sender.send({ type: "broadcast", event: "ping", payload: { n: 1 } })).toBe("ok");
    await vi.waitFor(() => expect([heard, own]).toEqual([[{ n: 1 }], [{ n: 1 }]]));
  });

  test("presence tells who is there, who comes and who goes", async () => {
    const [ada, grace] = [connect(vsn, form), connect(vsn, form)];
    const topic = `presence-${vsn}-${form}`;
    const left: string[] = [];
    const first = ada
      .channel(topic, { config: { presence: { key: "ada" } } })
      .on("presence", { event: "leave" }, ({ key }) => left.push(key));
    await subscribed(first);
    expect(await first.track({ mood: "curious" })).toBe("ok");
    const second = grace
      .channel(topic, { config: { presence: { key: "grace" } } })
      .on("presence", { event: "sync" }, () => {});
    await subscribed(second);
    await second.track({ mood: "busy" });
    await vi.waitFor(() => {
      expect(Object.keys(first.presenceState()).sort()).toEqual(["ada", "grace"]);
      expect(second.presenceState().ada).toMatchObject([{ mood: "curious" }]);
    });
    await grace.removeChannel(second);
    await vi.waitFor(() => expect(left).toEqual(["grace"]));
  });

  test("a private channel is joined only by whom a policy lets", async () => {
    await runSql(`drop policy if exists rooms on realtime.messages;
      create policy rooms on realtime.messages for all to authenticated
        using (realtime.topic() like 'room:%') with check (realtime.topic() like 'room:%');`);
    const ada = connect(vsn, form);
    const email = `ada-${vsn}-${form}@example.com`;
    await ada.auth.signUp({ email, password: "correct horse battery" });
    await ada.realtime.setAuth();
    const heard: unknown[] = [];
    const channel = ada
      .channel("room:1", { config: { private: true, broadcast: { self: true, ack: true } } })
      .on("broadcast", { event: "hi" }, ({ payload }) => heard.push(payload));
    expect(await subscribed(channel)).toBe("SUBSCRIBED");
    await channel.send({ type: "broadcast", event: "hi", payload: { n: 1 } });
    await vi.waitFor(() => expect(heard).toEqual([{ n: 1 }]));
    expect(await subscribed(connect(vsn, form).channel("room:1", { config: { private: true } }))).toMatch(
      /^CHANNEL_ERROR: .*Unauthorized: You do not have permissions to read from this Channel topic: room:1/,
    );
  });

  test("an opaque key opens a socket as well", async () => {
    const channel = connect(vsn, form, project.publishableKey).channel(`opaque-${vsn}-${form}`);
    expect(await subscribed(channel)).toBe("SUBSCRIBED");
  });

  test("httpSend reaches subscribers without a socket of the sender's own", async () => {
    const heard: unknown[] = [];
    const channel = connect(vsn, form)
      .channel(`http-${vsn}-${form}`)
      .on("broadcast", { event: "hi" }, ({ payload }) => heard.push(payload));
    await subscribed(channel);
    const sender = connect(vsn, form).channel(`http-${vsn}-${form}`);
    expect(await sender.httpSend("hi", { n: 1 })).toEqual({ success: true });
    await vi.waitFor(() => expect(heard).toEqual([{ n: 1 }]));
  });
});

describe.each(["1.0.0", "2.0.0"] as const)("database changes by protocol %s", (vsn) => {
  const table = `todos_${vsn.replaceAll(".", "")}`;
  beforeAll(() =>
    runSql(`create table ${table} (id bigint generated always as identity primary key, room int not null default 1, title text);
      alter publication supabase_realtime add table ${table};
      grant select, insert on ${table} to anon, authenticated;
      create table own_${table} (id bigint generated always as identity primary key, owner uuid, body text);
      alter table own_${table} enable row level security;
      create policy mine on own_${table} for all to authenticated using (owner = (select auth.uid()));
      alter publication supabase_realtime add table own_${table};`),
  );

  /** Resolves when the bindings are active. */
  async function following(channel: RealtimeChannel): Promise<void> {
    const active = new Promise<void>((resolve, reject) => {
      channel.on("system", {}, ({ extension, status, message }) => {
        if (extension !== "postgres_changes") return;
        if (status === "ok") resolve();
        else reject(new Error(message));
      });
    });
    expect(await subscribed(channel)).toBe("SUBSCRIBED");
    await active;
  }

  test("an insertion, an update and a deletion arrive in order, with what each has of the row", async () => {
    const seen: unknown[] = [];
    const channel = connect(vsn)
      .channel(`changes-${vsn}`)
      .on("postgres_changes", { event: "*", schema: "public", table }, (change) => seen.push(change));
    await following(channel);
    await runSql(
      `insert into ${table} (title) values ('one'); update ${table} set title = 'two'; delete from ${table} where title = 'two';`,
    );
    await vi.waitFor(() => expect(seen).toHaveLength(3));
    expect(seen).toMatchObject([
      { eventType: "INSERT", schema: "public", table, new: { id: 1, room: 1, title: "one" }, old: {}, errors: null },
      { eventType: "UPDATE", new: { id: 1, title: "two" }, old: { id: 1 } },
      { eventType: "DELETE", new: {}, old: { id: 1 } },
    ]);
  });

  test("a filter lets only its rows through", async () => {
    const seen: unknown[] = [];
    const channel = connect(vsn)
      .channel(`filtered-${vsn}`)
      .on("postgres_changes", { event: "INSERT", schema: "public", table, filter: "room=eq.7" }, ({ new: row }) =>
        seen.push(row.title),
      );
    await following(channel);
    await runSql(
      `insert into ${table} (room, title) values (6, 'six'), (7, 'seven'), (8, 'eight'), (7, 'seven again')`,
    );
    await vi.waitFor(() => expect(seen).toEqual(["seven", "seven again"]));
  });

  test("a user hears of the rows that row-level security lets the user see", async () => {
    const ada = connect(vsn);
    const { data } = await ada.auth.signUp({ email: `rls-${vsn}@example.com`, password: "correct horse battery" });
    await ada.realtime.setAuth();
    const seen: unknown[] = [];
    const channel = ada
      .channel(`own-${vsn}`)
      .on("postgres_changes", { event: "*", schema: "public", table: `own_${table}` }, ({ new: row }) =>
        seen.push((row as { body: string }).body),
      );
    await following(channel);
    await runSql(`insert into own_${table} (owner, body) values
      (gen_random_uuid(), 'somebody else''s'), ('${data.user?.id}', 'mine'), (null, 'nobody''s')`);
    await runSql(`insert into own_${table} (owner, body) values ('${data.user?.id}', 'mine too')`);
    await vi.waitFor(() => expect(seen).toEqual(["mine", "mine too"]));
  });

  test("what cannot be subscribed to says why, and the channel stays", async () => {
    const channel = connect(vsn)
      .channel(`refused-${vsn}`)
      .on("postgres_changes", { event: "INSERT", schema: "public", table, filter: "subject=eq.hey" }, () => {});
    await expect(following(channel)).rejects.toThrow(
      `Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: [event: INSERT, schema: public, table: ${table}, filters: [{"subject", "eq", "hey", false}], select: nil]. Exception: ERROR P0001 (raise_exception) invalid column for filter subject`,
    );
    expect(channel.state).toBe("joined");
  });
});

describe.each(["1.0.0", "2.0.0"] as const)("broadcasts from the database by protocol %s", (vsn) => {
  const topic = `stored-${vsn}`;
  beforeAll(() =>
    runSql(`drop policy if exists stored on realtime.messages;
      create policy stored on realtime.messages for select to anon using (realtime.topic() like 'stored-%');`),
  );

  /** Resolves when what is stored from then on is delivered. */
  function ready(channel: RealtimeChannel): Promise<void> {
    return new Promise((resolve) => {
      channel.on("system", {}, ({ message }) => {
        if (message === "Replication connection established") resolve();
      });
      channel.subscribe();
    });
  }

  test("realtime.send reaches the private channel when its transaction commits", async () => {
    const heard: unknown[] = [];
    const channel = connect(vsn)
      .channel(topic, { config: { private: true, broadcast: { replication_ready: true } as object } })
      .on("broadcast", { event: "saved" }, (message) => heard.push(message));
    await ready(channel);
    await runSql(`select realtime.send('{"n": 12345678901234567890}', 'saved', '${topic}')`);
    await vi.waitFor(() => expect(heard).toHaveLength(1));
    expect(heard[0]).toMatchObject({ event: "saved", payload: { n: expect.any(Number), id: expect.any(String) } });
    expect((heard[0] as { meta: { id: string } }).meta.id).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("a trigger with broadcast_changes tells of the row as it was and is", async () => {
    const table = `cities_${vsn.replaceAll(".", "")}`;
    await runSql(`create table ${table} (id int primary key, name text);
      create function tell_${table}() returns trigger language plpgsql security definer as $$ begin
        perform realtime.broadcast_changes('${topic}', tg_op, tg_op, tg_table_name, tg_table_schema, new, old); return null; end $$;
      create trigger tell after insert or update on ${table} for each row execute function tell_${table}();`);
    const heard: { payload: object }[] = [];
    const channel = connect(vsn)
      .channel(topic, { config: { private: true, broadcast: { replication_ready: true } as object } })
      .on("broadcast", { event: "UPDATE" }, (message) => heard.push(message as never));
    await ready(channel);
    await runSql(`insert into ${table} values (1, 'Ulm'); update ${table} set name = 'Bern';`);
    await vi.waitFor(() => expect(heard).toHaveLength(1));
    expect(heard[0]?.payload).toMatchObject({
      record: { id: 1, name: "Bern" },
      old_record: { id: 1, name: "Ulm" },
      operation: "UPDATE",
      table,
      schema: "public",
    });
  });

  test("who joins later has stored messages replayed, oldest first", async () => {
    const since = Date.now() - 60_000;
    const replayTopic = `stored-replay-${vsn}`;
    await runSql(`select realtime.send('{"n": 1}', 'saved', '${replayTopic}');`);
    await runSql(`select realtime.send('{"n": 2}', 'saved', '${replayTopic}');`);
    const heard: { payload: { n: number }; meta?: { replayed?: boolean } }[] = [];
    const channel = connect(vsn)
      .channel(replayTopic, { config: { private: true, broadcast: { replay: { since, limit: 10 } } as object } })
      .on("broadcast", { event: "saved" }, (message) => heard.push(message as never));
    expect(await subscribed(channel)).toBe("SUBSCRIBED");
    await vi.waitFor(() => expect(heard).toHaveLength(2));
    expect(heard.map(({ payload, meta }) => [payload.n, meta?.replayed])).toEqual([
      [1, true],
      [2, true],
    ]);
  });
});

test("a client library of 2024 broadcasts, is present and follows changes", async () => {
  await runSql(`create table old_friends (id int primary key, word text); grant all on old_friends to anon;
    alter publication supabase_realtime add table old_friends`);
  const client = new OldRealtimeClient(`${project.url.replace("http", "ws")}/realtime/v1`, {
    params: { apikey: project.anonKey },
  });
  try {
    const heard: unknown[] = [];
    const channel = client
      .channel("old", { config: { broadcast: { self: true }, presence: { key: "me" } } })
      .on("broadcast", { event: "ping" }, ({ payload }) => heard.push(payload))
      .on("presence", { event: "sync" }, () => heard.push(Object.keys(channel.presenceState())))
      .on("postgres_changes", { event: "INSERT", schema: "public", table: "old_friends" }, (change) =>
        heard.push(change.new),
      );
    const following = new Promise<void>((resolve) => {
      channel.on(
        "system" as never,
        {} as never,
        (({ status }: { status: string }) => status === "ok" && resolve()) as never,
      );
    });
    await new Promise<void>((resolve) => channel.subscribe((status) => status === "SUBSCRIBED" && resolve()));
    await following;
    await channel.track({ mood: "old" });
    await channel.send({ type: "broadcast", event: "ping", payload: { n: 1 } });
    await runSql("insert into old_friends values (1, 'hello')");
    await vi.waitFor(() => {
      expect(heard).toContainEqual({ n: 1 });
      expect(heard).toContainEqual(["me"]);
      expect(heard).toContainEqual({ id: 1, word: "hello" });
    }, 5_000);
  } finally {
    client.disconnect();
  }
});
