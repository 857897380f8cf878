import { randomUUID } from "node:crypto";
import pg from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type AuthWorld, createAuthWorld, PASSWORD, type TestProject } from "../../test/harness/auth-world.ts";
import { projectSnapshot } from "./testing/snapshot.ts";

let world: AuthWorld;
let project: TestProject;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world.close());

describe("about itself", () => {
  test("health and settings need nobody", async () => {
    expect((await project.call("GET /health")).body).toMatchObject({ name: "GoTrue", version: expect.any(String) });
    const { body } = await project.call("GET /settings");
    expect(body).toMatchObject({
      disable_signup: false,
      mailer_autoconfirm: true,
      phone_autoconfirm: false,
      sms_provider: "",
      saml_enabled: false,
      passkeys_enabled: false,
      external: { email: true, phone: false, anonymous_users: true, google: false },
    });
    expect(Object.values(body.external).every((value) => typeof value === "boolean")).toBe(true);
  });

  test("published keys may be cached, and the secret is not among them", async () => {
    const { body, headers } = await project.call("GET /.well-known/jwks.json");
    expect([body, headers["cache-control"]]).toEqual([{ keys: [] }, "public, max-age=600"]);
    expect((await project.call("GET /.well-known/openid-configuration")).body).toMatchObject({
      issuer: project.snapshot.jwt.issuer,
      jwks_uri: `${project.snapshot.jwt.issuer}/.well-known/jwks.json`,
    });
  });
});

describe("in HTTP", () => {
  test("an unknown path is a plain 404, a known one with another method an empty 405", async () => {
    expect(await project.call("GET /nothing")).toMatchObject({ status: 404, body: expect.any(String) });
    expect(await project.call("DELETE /signup")).toMatchObject({ status: 405, body: "" });
    expect((await project.call("HEAD /verify?token=x&type=signup")).status).toBe(405);
    expect((await project.call("POST /signup/", { body: "{" })).body.code).toBe("bad_json");
  });

  test("errors come in the form of the version that was asked for", async () => {
    const older = await project.call("GET /user", { headers: { "x-supabase-api-version": "" } });
    expect(older.body).toEqual({
      code: 401,
      error_code: "no_authorization",
      msg: "This endpoint requires a valid Bearer token",
    });
    expect(older.headers["x-supabase-api-version"]).toBeUndefined();
    const newer = await project.call("GET /user");
    expect(newer.headers["x-supabase-api-version"]).toBe("2024-01-01");
  });

  test("more than 1 MiB is refused", async () => {
    const { status, body } = await project.call("POST /signup", { body: { data: "x".repeat(1_048_577) } });
    expect([status, body.code]).toEqual([413, "request_entity_too_large"]);
  });
});

describe("what is not offered", () => {
  const NIL = "00000000-0000-4000-8000-000000000000";
  test.each([
    ["POST /sso", 404, "saml_provider_disabled", "SAML 2.0 is disabled"],
    ["GET /sso/saml/metadata", 404, "saml_provider_disabled", "SAML 2.0 is disabled"],
    ["POST /token?grant_type=web3", 422, "web3_provider_disabled", "Web3 provider is disabled"],
    ["GET /oauth/authorize", 404, "feature_disabled", "OAuth server is disabled"],
    ["POST /oauth/token", 404, "feature_disabled", "OAuth server is disabled"],
    ["GET /.well-known/oauth-authorization-server", 404, "feature_disabled", "OAuth server is disabled"],
    ["POST /passkeys/authentication/options", 404, "passkey_disabled", "Passkeys are disabled"],
    ["GET /passkeys/", 404, "passkey_disabled", "Passkeys are disabled"],
    ["GET /scim/v2/Schemas", 404, "feature_disabled", "SCIM is disabled"],
    ["GET /authorize?provider=google", 400, "validation_failed", "Unsupported provider: provider is not enabled"],
    ["GET /admin/oauth/clients", 401, "no_authorization", "This endpoint requires a valid Bearer token"],
    [`GET /admin/users/${NIL}/passkeys`, 401, "no_authorization", "This endpoint requires a valid Bearer token"],
  ])("%s says so: %i %s", async (target, status, code, message) => {
    const body = target.includes("web3") ? { chain: "solana" } : {};
    const answer = await project.call(target, { body });
    expect([answer.status, answer.body]).toEqual([status, { code, message }]);
  });

  test.each([{ chain: "coal" }, {}, { chain: "solana" }])(
    "web3 is off before the chain of %j is judged",
    async (body) => {
      const answer = await project.call("POST /token?grant_type=web3", { body });
      expect([answer.status, answer.body.code]).toEqual([422, "web3_provider_disabled"]);
    },
  );

  test.each([
    ["google", 'Provider (issuer "https://accounts.google.com") is not enabled'],
    ["apple", 'Provider (issuer "https://appleid.apple.com") is not enabled'],
    ["nobody", 'Custom OIDC provider "nobody" not allowed'],
    ["constructor", 'Custom OIDC provider "constructor" not allowed'],
  ])("an ID token of %s is refused in the words for it", async (provider, message) => {
    const answer = await project.call("POST /token?grant_type=id_token", { body: { provider, id_token: "junk" } });
    expect([answer.status, answer.body.message]).toEqual([400, message]);
  });

  test("a wrong method is told the right ones", async () => {
    const { status, headers } = await project.call("PUT /signup", { body: {} });
    expect([status, headers.allow]).toEqual([405, "POST"]);
  });

  test.each([
    { Email: "a@example.com", PASSWORD: "correct horse" },
    { email: "a@example.com", Password: "correct horse" },
  ])("keys in another case of letters are no other body: %j", async (body) => {
    const answer = await project.call("POST /signup", { body });
    expect([answer.status, answer.body.code]).toEqual([400, "bad_json"]);
  });

  test("a callback without a state of ours ends at the site with an error", async () => {
    const { status, headers } = await project.call("GET /callback?code=x&state=y");
    expect([status, headers.location]).toEqual([
      303,
      "http://localhost:3000?error=invalid_request&error_code=bad_oauth_state&error_description=OAuth+callback+with+invalid+state",
    ]);
  });
});

describe("limits by address", () => {
  test("the bucket of one address and endpoint does not empty another's", async () => {
    const limited = await world.createProject({ rateLimitsEnabled: true, rateLimitVerify: 30 });
    const verify = (clientAddress: string) =>
      limited.call("POST /verify", {
        body: { type: "signup", token_hash: "x" },
        clientAddress,
        headers: { "x-forwarded-for": randomUUID(), "sb-forwarded-for": randomUUID() }, // what a client says of itself
      });
    for (let index = 0; index < 30; index++) expect((await verify("203.0.113.1")).body.code).toBe("otp_expired");
    const refused = await verify("203.0.113.1");
    expect([refused.status, refused.body]).toEqual([
      429,
      { code: "over_request_rate_limit", message: "Request rate limit reached" },
    ]);
    expect((await verify("203.0.113.2")).body.code).toBe("otp_expired");
    const recover = await limited.call("POST /recover", { body: { email: "a@b.c" }, clientAddress: "203.0.113.1" });
    expect(recover.status).toBe(200);
    world.advance(60);
    expect((await verify("203.0.113.1")).body.code).toBe("otp_expired");
  });

  test("a code of one mailbox cannot be guessed from many addresses", async () => {
    const limited = await world.createProject({ rateLimitsEnabled: true, mailerAutoconfirm: false });
    const guess = (index: number) =>
      limited.call("POST /verify", {
        body: { type: "email", email: "a@b.c", token: String(index).padStart(6, "0") },
        clientAddress: `203.0.113.${index}`,
      });
    const codes: string[] = [];
    for (let index = 0; index < 12; index++) codes.push((await guess(index)).body.code);
    expect(codes.slice(9)).toEqual(["otp_expired", "over_request_rate_limit", "over_request_rate_limit"]);
  });

  test("a project mails so many an hour and no more", async () => {
    const limited = await world.createProject({
      rateLimitsEnabled: true,
      mailerAutoconfirm: false,
      rateLimitEmailSent: 2,
    });
    const statuses: unknown[] = [];
    for (const name of ["a", "b", "c"]) {
      const { status, body } = await limited.call("POST /otp", { body: { email: `${name}@example.com` } });
      statuses.push([status, body.code]);
    }
    expect(statuses).toEqual([
      [200, undefined],
      [200, undefined],
      [429, "over_email_send_rate_limit"],
    ]);
    expect((await limited.db.query("select from auth.users")).rowCount).toBe(2);
  });
});

describe("when the database fails", () => {
  test("an unreachable one is 503, which keeps sessions alive in clients", async () => {
    const { service } = world;
    const snapshot = projectSnapshot();
    const request = {
      method: "POST",
      path: "/token",
      query: "grant_type=refresh_token",
      headers: { "x-supabase-api-version": "2024-01-01" },
      body: {
        declaredBytes: 30,
        read: async () => Buffer.from(JSON.stringify({ refresh_token: "abcdefghijkl" })),
        stream: () => (async function* () {})(),
      },
      publicUrl: "",
      publicPath: "",
      clientAddress: "203.0.113.1",
      requestId: "r",
      signal: new AbortController().signal,
    };
    const response = await service.handle(request, snapshot);
    expect(response.status).toBe(503);
    expect(String(response.body)).toContain("unexpected_failure");
    expect(String(response.body)).not.toContain(snapshot.database.password.repeat(2));
  });

  test("a row that somebody holds is waited for only so long, and then it is a conflict", async () => {
    const user = await project.signUp({ email: "held@example.com" });
    const holder = new pg.Client({ connectionString: project.adminUrl });
    await holder.connect();
    await holder.query("begin");
    await holder.query("select from auth.users where id = $1 for update", [user.id]);
    const { status, body } = await project.call("PUT /user", { bearer: user.accessToken, body: { data: { a: 1 } } });
    await holder.query("rollback");
    await holder.end();
    expect([status, body.code]).toEqual([409, "conflict"]);
  });
});

test("passwords that wait too long to be hashed are refused, without harm to another project", async () => {
  const small = await createAuthWorld(inject("clusterUrl"), {
    hashing: { threads: 1, maxQueuedPerProject: 3, maxQueued: 6 },
  });
  const [busy, calm] = [await small.createProject(), await small.createProject()];
  const flood = Array.from({ length: 12 }, () =>
    busy.call("POST /token?grant_type=password", { body: { email: "a@b.c", password: PASSWORD } }),
  );
  const other = calm.call("POST /token?grant_type=password", { body: { email: "a@b.c", password: PASSWORD } });
  const codes = (await Promise.all(flood)).map(({ body }) => body.code);
  expect(codes).toContain("over_request_rate_limit");
  expect(codes).toContain("invalid_credentials");
  expect((await other).body.code).toBe("invalid_credentials");
  await small.close();
});

test("a request that takes too long is 504", async () => {
  const script = new URL("./passwords/stuck-worker.fixture.ts", import.meta.url);
  const stuck = await createAuthWorld(inject("clusterUrl"), { requestTimeoutMs: 300, hashing: { threads: 1, script } });
  const own = await stuck.createProject();
  const { status, body } = await own.call("POST /signup", { body: { email: "a@b.c", password: PASSWORD } });
  expect([status, body]).toEqual([
    504,
    { code: "request_timeout", message: "Processing this request timed out, please retry after a moment." },
  ]);
  await stuck.close();
});

test("what is logged of a failure holds neither address nor password nor token", async () => {
  const lines: string[] = [];
  const logger = pino({ level: "trace" }, { write: (line: string) => lines.push(line) });
  const loud = await createAuthWorld(inject("clusterUrl"), { logger });
  const own = await loud.createProject();
  const user = await own.signUp({ email: "secret-name@example.com" });
  await own.db.query(`create function public.refuse() returns trigger language plpgsql as
    $$ begin raise exception 'no %', new.email; end $$;
    create trigger refuse before insert or update on auth.users for each row execute function public.refuse()`);
  await own.call("POST /signup", { body: { email: "other-name@example.com", password: PASSWORD } });
  await own.call("PUT /user", { bearer: user.accessToken, body: { data: { a: 1 } } });
  await loud.close();
  expect(lines).toHaveLength(2);
  const log = lines.join("");
  expect(log).toContain("P0001");
  for (const secret of ["secret-name", "other-name", PASSWORD, user.accessToken, user.refreshToken]) {
    expect(log).not.toContain(secret);
  }
});
