import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import {
  createRealtimeWorld,
  type RealtimeTestProject,
  type RealtimeWorld,
  signToken,
} from "../../test/harness/realtime-world.ts";
import type { MemoryClient } from "./testing/memory-client.ts";

let world: RealtimeWorld;
let project: RealtimeTestProject;
beforeAll(async () => {
  world = await createRealtimeWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world.close());

const inAnHour = () => Math.floor(Date.now() / 1000) + 3600;

describe("the handshake", () => {
  test.each([
    ["no token", "", '401 {"error":"API key is missing"}'],
    ["something else", "abc", '401 {"error":"The token provided is not a valid JWT"}'],
    [
      "a token of another secret",
      signToken("another secret of 32 characters or so", { role: "anon", exp: 2e9 }),
      '401 {"error":"Failed to validate JWT signature"}',
    ],
  ])("with %s is refused", async (_what, token, refusal) => {
    await expect(project.client(token)).rejects.toThrow(refusal);
  });

  test("with an expired token, or one without role and exp, is refused", async () => {
    const { secret } = project.snapshot.jwt;
    await expect(project.client(signToken(secret, { role: "anon", exp: 1000 }))).rejects.toThrow("Token has expired");
    await expect(project.client(signToken(secret, { role: "anon" }))).rejects.toThrow(
      "Fields `role` and `exp` are required in JWT",
    );
  });

  test("with a version that nobody speaks is refused without a word", async () => {
    await expect(project.client(project.token(), "3.0.0")).rejects.toThrow(/^403 $/);
  });

  test("of a suspended project is refused", async () => {
    const suspended = await world.createProject({ suspended: true });
    await expect(suspended.client()).rejects.toThrow('403 {"error":"Realtime was disabled for this tenant"}');
  });
});

describe("messages", () => {
  test("a heartbeat is answered on its topic", async () => {
    const client = await project.client();
    const ref = client.push("phoenix", "heartbeat", {});
    const { text } = await client.until(({ event }) => event === "phx_reply");
    expect(text).toBe(`[null,"${ref}","phoenix","phx_reply",{"status":"ok","response":{}}]`);
  });

  test("version 1 frames are objects without join_ref", async () => {
    const client = await project.client(project.token(), "1.0.0");
    client.raw('{"topic":"realtime:a","event":"phx_join","payload":{"config":{}},"ref":"7","join_ref":"7"}');
    const { text } = await client.until(({ event }) => event === "phx_reply");
    expect(text).toBe(
      '{"topic":"realtime:a","event":"phx_reply","payload":{"status":"ok","response":{"postgres_changes":[]}},"ref":"7"}',
    );
  });

  test.each([
    "",
    "null",
    "{",
    "[]",
    "[1,2,3,4]",
    '["1","1",5,"phx_join",{}]',
    '{"topic":"a"}',
    "[".repeat(100_000),
    '"x"',
    "\u0000",
    JSON.stringify(["1", "x".repeat(300), "realtime:a", "phx_join", {}]),
  ])("a malformed frame is dropped and the connection stays: %j", async (frame) => {
    const client = await project.client();
    client.raw(frame);
    client.raw(Buffer.from(frame));
    client.push("phoenix", "heartbeat", {});
    await client.until(({ event }) => event === "phx_reply");
    expect(client.closeCode).toBeNull();
  });

  test.each([
    Buffer.from([3]),
    Buffer.from([3, 255, 255, 255, 255, 255, 1]),
    Buffer.from([4, 1, 1, 1, 1, 1]),
    Buffer.from([3, 0, 0, 0, 0, 0, 9]),
  ])("a malformed binary frame is dropped: %j", async (frame) => {
    const client = await project.client();
    client.raw(frame);
    client.push("phoenix", "heartbeat", {});
    await client.until(({ event }) => event === "phx_reply");
  });

  test("on a topic that is not joined are answered with an error, a leave with ok", async () => {
    const client = await project.client();
    client.push("realtime:none", "broadcast", {});
    client.push("realtime:none", "phx_leave", {});
    await client.when(() => client.received.length === 2);
    expect(client.received.map(({ payload }) => payload)).toEqual([
      { status: "error", response: { reason: "unmatched topic" } },
      { status: "ok", response: {} },
    ]);
  });

  test("digits, unknown keys and the writing of a broadcast are passed on as they were sent", async () => {
    const [one, other] = [await project.client(), await project.client(project.token(), "1.0.0")];
    await one.join("exact");
    other.raw('{"topic":"realtime:exact","event":"phx_join","payload":{},"ref":"1"}');
    await other.until(({ event }) => event === "phx_reply");
    const payload = '{"type":"broadcast", "event":"e","payload":{"n":12345678901234567890.10},"extra":[1 ]}';
    one.raw(`[null,"2","realtime:exact","broadcast", ${payload} ]`);
    const { text } = await other.until(({ event }) => event === "broadcast");
    expect(text).toBe(`{"topic":"realtime:exact","event":"broadcast","payload":${payload},"ref":null}`);
  });

  test("a binary broadcast reaches version 2 as it is, and version 1 as JSON when it is some", async () => {
    const [one, two, old] = [
      await project.client(),
      await project.client(),
      await project.client(project.token(), "1.0.0"),
    ];
    await Promise.all([one.join("mixed"), two.join("mixed")]);
    old.raw('{"topic":"realtime:mixed","event":"phx_join","payload":{},"ref":"1"}');
    await old.until(({ event }) => event === "phx_reply");
    const push = (encoding: number, body: string) =>
      one.raw(Buffer.concat([Buffer.from([3, 1, 1, 14, 4, 0, encoding]), Buffer.from(`12realtime:mixedping${body}`)]));
    push(1, '{"n":1}');
    push(1, '{"n":');
    push(0, "\u0001\u0002");
    await two.when(() => two.binary.length === 3);
    expect(two.binary[0]).toEqual(
      Buffer.concat([Buffer.from([4, 14, 4, 0, 1]), Buffer.from('realtime:mixedping{"n":1}')]),
    );
    expect(two.binary[2]?.[4]).toBe(0);
    await old.until(({ event }) => event === "broadcast");
    expect(old.received.filter(({ event }) => event === "broadcast").map(({ payload }) => payload)).toEqual([
      { event: "ping", payload: { n: 1 }, type: "broadcast" },
    ]);
  });
});

describe("channels", () => {
  test("bindings are echoed with the keys they came with, and equal ones have equal numbers", async () => {
    const client = await project.client();
    const bindings = [
      { event: "*", schema: "public" },
      { event: "INSERT", schema: "public", table: "x", filter: "a=eq.1" },
    ];
    const { payload } = await client.join("echo", { postgres_changes: [null, ...bindings] });
    const echoed = payload.response.postgres_changes;
    expect(echoed).toEqual(bindings.map((binding, index) => ({ ...binding, id: echoed[index].id })));
    const again = await (await project.client()).join("other", { postgres_changes: bindings });
    expect(again.payload.response.postgres_changes).toEqual(echoed);
  });

  test("a second join of a topic ends the first, after its own reply", async () => {
    const client = await project.client();
    const first = await client.join("twice");
    const second = await client.join("twice");
    await client.until(({ event }) => event === "phx_close");
    expect(client.received.slice(1).map(({ event, ref }) => [event, ref])).toEqual([
      ["phx_reply", second.ref],
      ["phx_close", first.ref],
    ]);
  });

  test("a leave is answered and closes the channel", async () => {
    const client = await project.client();
    await client.join("left");
    client.push("realtime:left", "phx_leave", {});
    await client.until(({ event }) => event === "phx_close");
    expect(client.received.map(({ event }) => event)).toEqual(["phx_reply", "phx_reply", "phx_close"]);
  });

  test.each([
    ["realtime:", "TopicNameRequired: You must provide a topic name"],
    [`realtime:${"x".repeat(1001)}`, "TopicNameTooLong: A topic has at most 1000 characters"],
    ["other", "unmatched topic"],
  ])("%s cannot be joined", async (topic, reason) => {
    const client = await project.client();
    client.push(topic, "phx_join", {});
    const { payload } = await client.until(({ event }) => event === "phx_reply");
    expect(payload).toEqual({ status: "error", response: { reason } });
  });

  test("limits of the project are told by name", async () => {
    const small = await world.createProject({ maxChannelsPerClient: 1, maxConcurrentUsers: 1, privateOnly: false });
    const client = await small.client();
    expect((await client.join("one")).payload.status).toBe("ok");
    expect((await client.join("two")).payload.response.reason).toBe("ChannelRateLimitReached: Too many channels");
    await expect(small.client()).rejects.toThrow('429 {"error":"Too many connected users"}');
    client.end();
    small.configure({ privateOnly: true });
    const next = await small.client();
    expect((await next.join("one")).payload.response.reason).toBe(
      "PrivateOnly: This project only allows private channels",
    );
  });

  test("a channel whose token has expired is closed with the reason, and the socket stays", async () => {
    const client = await project.client();
    const token = signToken(project.snapshot.jwt.secret, { role: "anon", exp: Math.floor(Date.now() / 1000) + 1 });
    expect((await client.join("short", {}, token)).payload.status).toBe("ok");
    await client.until(({ event }) => event === "phx_close");
    const { payload } = await client.until(({ event }) => event === "system");
    expect(payload.message).toMatch(/^Token has expired \d+ seconds ago$/);
    expect(client.closeCode).toBeNull();
  });

  test("a changed setting disconnects everybody with 1012, and says so", async () => {
    const other = await world.createProject();
    const client = await other.client();
    await client.join("one");
    other.configure({ privateOnly: true });
    expect(client.closeCode).toBe(1012);
    expect(client.received.at(-1)?.payload).toEqual({
      extension: "system",
      status: "ok",
      message: "Server requested disconnect",
    });
  });

  test("topics of two projects, and public and private ones of one name, are different rooms", async () => {
    const other = await world.createProject();
    await project.db.query(
      "create policy all_topics on realtime.messages for all to authenticated using (true) with check (true)",
    );
    const user = project.token("authenticated", { sub: "u" });
    const [here, there, hidden] = [await project.client(), await other.client(), await project.client(user)];
    await Promise.all([here.join("same"), there.join("same"), hidden.join("same", { private: true })]);
    const sender = await project.client();
    await sender.join("same");
    sender.push("realtime:same", "broadcast", { type: "broadcast", event: "e", payload: {} });
    await here.until(({ event }) => event === "broadcast");
    expect([there, hidden].flatMap(({ received }) => received.filter(({ event }) => event === "broadcast"))).toEqual(
      [],
    );
  });
});

describe("private channels", () => {
  test("may be read by whom select, and sent to by whom insert lets; a new token is judged anew", async () => {
    const guarded = await world.createProject();
    await guarded.db.query(`create policy listen on realtime.messages for select to authenticated using (realtime.topic() = 'club');
      create policy speak on realtime.messages for insert to authenticated with check (auth.jwt() ->> 'speaker' = 'yes')`);
    const [speaker, listener] = [
      await guarded.client(guarded.token("authenticated", { speaker: "yes" })),
      await guarded.client(guarded.token("authenticated", { speaker: "no" })),
    ];
    const config = { private: true, broadcast: { ack: true, self: true } };
    await Promise.all([speaker.join("club", config), listener.join("club", config)]);
    const said = (text: string) => ({ type: "broadcast", event: "e", payload: { text } });
    listener.push("realtime:club", "broadcast", said("dropped"));
    speaker.push("realtime:club", "broadcast", said("heard"));
    await listener.until(({ event }) => event === "broadcast");
    expect(
      listener.received.filter(({ event }) => event === "broadcast").map(({ payload }) => payload.payload.text),
    ).toEqual(["heard"]);
    speaker.push("realtime:club", "access_token", { access_token: guarded.token("anon") });
    const { payload } = await speaker.until(({ event }) => event === "system");
    expect(payload.message).toBe("You do not have permissions to read from this Channel topic: club");
    await speaker.until(({ event }) => event === "phx_close");
  });

  test("a policy that raises, or sleeps too long, refuses and disturbs nobody", async () => {
    const guarded = await world.createProject();
    await guarded.db.query("create policy broken on realtime.messages for select to authenticated using (1 / 0 = 1)");
    const client = await guarded.client(guarded.token("authenticated"));
    const { payload } = await client.join("club", { private: true });
    expect(payload.response.reason).toMatch(/^Unauthorized: /);
    expect((await client.join("open")).payload.status).toBe("ok");
  });

  test("no probe leaves a row behind", async () => {
    const { rows } = await project.admin.query("select count(*)::int as count from realtime.messages");
    expect(rows[0].count).toBe(0);
  });
});

describe("presence", () => {
  test("states and diffs agree whatever a hostile client calls its key", async () => {
    const [one, two] = [await project.client(), await project.client()];
    await one.join("here", { presence: { key: "__proto__", enabled: true } });
    one.push("realtime:here", "presence", { type: "presence", event: "track", payload: { a: 1, phx_ref: "mine" } });
    const diff = await one.until(({ event }) => event === "presence_diff");
    await two.join("here", { presence: { key: "two", enabled: true } });
    const state = await two.until(({ event }) => event === "presence_state");
    const joins = /"joins":(\{.*\}),"leaves"/.exec(diff.text)?.[1];
    expect(state.text).toContain(joins);
    expect(state.text).toContain('"__proto__":{"metas":[{"a":1,"phx_ref":"mine","phx_ref":"');
    one.end();
    const left = await two.until(({ event }) => event === "presence_diff");
    expect(left.text).toContain(`"leaves":${joins}`);
  });

  test("a change is one diff with both refs, the same payload again none", async () => {
    const client = await project.client();
    await client.join("moods", { presence: { key: "k", enabled: true } });
    const track = (mood: string) => client.push("realtime:moods", "presence", { event: "track", payload: { mood } });
    const diffs = () => client.received.filter(({ event }) => event === "presence_diff");
    track("a");
    await client.when(() => diffs().length === 1);
    track("a");
    track("b");
    await client.when(() => diffs().length === 2);
    const [first, second] = diffs().map(({ payload }) => payload);
    expect(second.leaves.k.metas).toEqual(first.joins.k.metas);
    expect(second.joins.k.metas[0]).toMatchObject({ mood: "b", phx_ref_prev: first.joins.k.metas[0].phx_ref });
  });

  test("too many calls of one channel close it", async () => {
    const strict = await world.createProject({ maxClientPresenceEventsPerWindow: 2 });
    const client = await strict.client();
    await client.join("busy");
    for (let n = 0; n < 3; n += 1) client.push("realtime:busy", "presence", { event: "track", payload: { n } });
    const { payload } = await client.until(({ event }) => event === "system");
    expect(payload.message).toBe("Client presence rate limit exceeded");
    await client.until(({ event }) => event === "phx_close");
  });
});

test("a broadcast that is too large is refused with ack and dropped without", async () => {
  const small = await world.createProject({ maxPayloadSizeKb: 1 });
  const client = await small.client();
  const { joinRef } = await client.join("large", { broadcast: { ack: true, self: true } });
  const ref = client.push("realtime:large", "broadcast", { event: "e", payload: "x".repeat(2_000) }, joinRef);
  const { payload } = await client.until((message) => message.ref === ref);
  expect(payload).toEqual({ status: "error", response: "payload_size_exceeded" });
});

test("a project that sends more than it may has its channels closed, its neighbour's go on", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const strict = await world.createProject({ maxEventsPerSecond: 1 });
    const [client, neighbour] = [
      await strict.client(signToken(strict.snapshot.jwt.secret, { role: "anon", exp: inAnHour() })),
      await project.client(),
    ];
    await Promise.all([client.join("flood"), neighbour.join("flood")]);
    for (let n = 0; n < 61; n += 1) client.push("realtime:flood", "broadcast", { event: "e", payload: {} });
    const { payload } = await client.until(({ event }) => event === "system");
    expect(payload.message).toBe("Too many messages per second");
    neighbour.push("realtime:flood", "broadcast", { event: "e", payload: {} });
    neighbour.push("phoenix", "heartbeat", {});
    await neighbour.until(({ topic }) => topic === "phoenix");
    expect(neighbour.received.some(({ event }) => event === "system")).toBe(false);
  } finally {
    vi.useRealTimers();
  }
});

test("a service that stops closes everybody with 1012", async () => {
  const stopping = await createRealtimeWorld(inject("clusterUrl"));
  const of = await stopping.createProject();
  const client: MemoryClient = await of.client();
  await client.join("one");
  await stopping.close();
  expect(client.closeCode).toBe(1012);
});
