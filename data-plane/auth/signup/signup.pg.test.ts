import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import {
  type AuthWorld,
  claimsOf,
  createAuthWorld,
  PASSWORD,
  type TestProject,
} from "../../../test/harness/auth-world.ts";

let world: AuthWorld;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
});
afterAll(() => world.close());

describe("with autoconfirm", () => {
  let project: TestProject;
  beforeAll(async () => {
    project = await world.createProject();
  });

  test("a sign-up answers a session and the user, whose metadata holds data and address", async () => {
    const { status, body } = await project.call("POST /signup", {
      body: { email: "Ann@Example.com", password: PASSWORD, data: { name: "Ann", email: "x@y.z" } },
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ token_type: "bearer", expires_in: 3600 });
    expect(body.expires_at).toBe(Number(claimsOf(body.access_token).iat) + 3600);
    const { user } = body;
    expect(user).toMatchObject({
      email: "ann@example.com",
      phone: "",
      aud: "authenticated",
      role: "authenticated",
      is_anonymous: false,
      app_metadata: { provider: "email", providers: ["email"] },
      user_metadata: {
        name: "Ann",
        email: "ann@example.com",
        email_verified: true,
        phone_verified: false,
        sub: user.id,
      },
    });
    expect(user.identities).toHaveLength(1);
    expect(user.identities[0]).toMatchObject({
      id: user.id,
      user_id: user.id,
      provider: "email",
      email: "ann@example.com",
      identity_data: { email: "ann@example.com", sub: user.id, email_verified: true },
    });
    expect(user.identities[0].identity_id).not.toBe(user.id);
    for (const time of ["email_confirmed_at", "confirmed_at", "last_sign_in_at", "created_at", "updated_at"]) {
      expect(user[time]).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    }
    expect(Object.keys(user)).not.toContain("encrypted_password");
    expect(claimsOf(body.access_token)).toMatchObject({
      iss: project.snapshot.jwt.issuer,
      sub: user.id,
      aud: "authenticated",
      role: "authenticated",
      email: "ann@example.com",
      phone: "",
      aal: "aal1",
      amr: [{ method: "password", timestamp: expect.any(Number) }],
      session_id: expect.any(String),
      is_anonymous: false,
    });
  });

  test("an address that is taken is refused", async () => {
    const { email } = await project.signUp();
    const again = await project.call("POST /signup", { body: { email, password: PASSWORD } });
    expect([again.status, again.body]).toEqual([
      422,
      { code: "user_already_exists", message: "User already registered" },
    ]);
  });

  test("of several sign-ups at once with one address exactly one succeeds, and none fails with 500", async () => {
    const body = { email: "race@example.com", password: PASSWORD };
    const answers = await Promise.all(Array.from({ length: 4 }, () => project.call("POST /signup", { body })));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 422, 422, 422]);
  });

  test.each([
    [{ email: "a@b.c" }, "validation_failed", "Signup requires a valid password"],
    [{ email: "a@b.c", password: "short" }, "weak_password", "Password should be at least 6 characters."],
    [{ email: "a", password: PASSWORD }, "validation_failed", "Unable to validate email address: invalid format"],
    [
      { email: "a@b.c", phone: "4912345", password: PASSWORD },
      "validation_failed",
      "Only an email address or phone number should be provided on signup.",
    ],
    [{ phone: "4912345", password: PASSWORD }, "phone_provider_disabled", "Phone signups are disabled"],
    [{ email: "a@b.c", password: "x".repeat(73) }, "validation_failed", "Password cannot be longer than 72 characters"],
    [
      { email: "a@b.c", password: PASSWORD, code_challenge: "x" },
      "validation_failed",
      "PKCE flow requires code_challenge_method and code_challenge",
    ],
    [
      { email: "a@b.c", password: PASSWORD, data: { x: "y".repeat(70_000) } },
      "validation_failed",
      "User metadata cannot be larger than 65536 bytes",
    ],
  ])("%j is refused as %s", async (body, code, message) => {
    expect((await project.call("POST /signup", { body })).body).toMatchObject({ code, message });
  });

  test("an unconfirmed account is handed over only to who knows its password", async () => {
    const slow = await world.createProject({ mailerAutoconfirm: false });
    await slow.call("POST /signup", { body: { email: "early@example.com", password: PASSWORD } });
    slow.configure({ mailerAutoconfirm: true });
    const stranger = await slow.call("POST /signup", { body: { email: "early@example.com", password: "another one" } });
    expect(stranger.body.code).toBe("user_already_exists");
    const owner = await slow.call("POST /signup", { body: { email: "early@example.com", password: PASSWORD } });
    expect(owner.body.user.email_confirmed_at).toEqual(expect.any(String));
  });

  test("what a trigger of the project refuses is a failed sign-up, and leaves no user", async () => {
    const own = await world.createProject();
    await own.db.query(`create function public.refuse() returns trigger language plpgsql as
      $$ begin raise exception 'closed beta'; end $$;
      create trigger refuse before insert on auth.users for each row execute function public.refuse()`);
    const body = { email: "b@example.com", password: PASSWORD };
    const answer = await own.call("POST /signup", { body });
    expect([answer.status, answer.body]).toEqual([
      500,
      { code: "unexpected_failure", message: "Database error saving new user" },
    ]);
    const older = await own.call("POST /signup", { body, headers: { "x-supabase-api-version": "" } });
    expect([older.status, older.body]).toEqual([500, { code: "P0001", message: "closed beta" }]);
    expect((await own.db.query("select from auth.users")).rowCount).toBe(0);
  });

  test("a trigger sees the inserted row as GoTrue writes it, and runs as the owner of schema auth", async () => {
    const own = await world.createProject();
    await own.db.query(`create table public.seen (role text, metadata jsonb, confirmed timestamptz, runs_as text, path text);
      grant all on public.seen to supabase_auth_admin; grant usage on schema public to supabase_auth_admin;
      create function public.see() returns trigger language plpgsql as $$ begin
        insert into public.seen values (new.role, new.raw_user_meta_data, new.email_confirmed_at, current_user, current_setting('search_path'));
        return new; end $$;
      create trigger see after insert on auth.users for each row execute function public.see()`);
    await own.signUp({ data: { name: "Ann" } });
    const { rows } = await own.db.query("select * from public.seen");
    expect(rows).toEqual([
      { role: "", metadata: { name: "Ann" }, confirmed: null, runs_as: "supabase_auth_admin", path: "auth" },
    ]);
  });
});

describe("with confirmation", () => {
  let project: TestProject;
  beforeAll(async () => {
    project = await world.createProject({ mailerAutoconfirm: false, smtpMaxFrequencySeconds: 60 });
  });
  const body = { email: "new@example.com", password: PASSWORD, data: { name: "New" } };

  test("a sign-up answers the bare user and mails a link and a code", async () => {
    const answer = await project.call("POST /signup", { body });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ email: "new@example.com", confirmation_sent_at: expect.any(String) });
    expect(answer.body.access_token).toBeUndefined();
    expect(answer.body.email_confirmed_at).toBeUndefined();
    expect(project.mails).toHaveLength(1);
    const { variables } = project.mails[0] ?? {};
    expect(variables?.Token).toMatch(/^\d{6}$/);
    expect(variables?.ConfirmationURL).toBe(
      `${project.snapshot.publicUrl}/auth/v1/verify?token=${variables?.TokenHash}&type=signup&redirect_to=http://localhost:3000`,
    );
  });

  test("it cannot sign in before", async () => {
    const answer = await project.call("POST /token?grant_type=password", { body });
    expect([answer.status, answer.body.code]).toEqual([400, "email_not_confirmed"]);
  });

  test("a second sign-up too soon is told to wait; later the mail is sent anew and nothing else changes", async () => {
    const early = await project.call("POST /signup", { body });
    expect([early.status, early.body.code]).toEqual([429, "over_email_send_rate_limit"]);
    expect(early.body.message).toMatch(/^For security purposes, you can only request this after \d+ seconds\.$/);
    world.advance(61);
    const later = await project.call("POST /signup", {
      body: { ...body, password: "other password", data: { name: "Evil" } },
    });
    expect(later.body.user_metadata.name).toBe("New");
    expect(project.mails).toHaveLength(2);
  });

  test("for a confirmed address the answer looks like a new account and holds nothing of the real one", async () => {
    await project.db.query(
      "update auth.users set email_confirmed_at = now(), banned_until = now(), invited_at = now()",
    );
    const answer = await project.call("POST /signup", { body: { ...body, data: { name: "Again" } } });
    const real = await project.db.query("select id from auth.users");
    expect(answer.status).toBe(200);
    expect(answer.body.id).not.toBe(real.rows[0].id);
    expect(answer.body).toEqual({
      id: expect.any(String),
      aud: "authenticated",
      role: "",
      email: "new@example.com",
      phone: "",
      app_metadata: { provider: "email", providers: ["email"] },
      user_metadata: { name: "Again" },
      identities: [],
      is_anonymous: false,
      confirmation_sent_at: answer.body.created_at,
      created_at: answer.body.updated_at,
      updated_at: expect.any(String),
    });
  });

  test("signups can be switched off, before anything else is looked at", async () => {
    const closed = await world.createProject({ disableSignup: true, emailEnabled: false });
    const answer = await closed.call("POST /signup", { body });
    expect(answer.body).toEqual({ code: "signup_disabled", message: "Signups not allowed for this instance" });
  });
});

describe("without address or phone", () => {
  test("an anonymous user has just its data, no identity, and says so in its token", async () => {
    const project = await world.createProject();
    const { body } = await project.call("POST /signup", { body: { data: { theme: "dark" } } });
    expect(body.user).toMatchObject({
      is_anonymous: true,
      email: "",
      user_metadata: { theme: "dark" },
      app_metadata: {},
      identities: [],
    });
    expect(claimsOf(body.access_token)).toMatchObject({ is_anonymous: true, amr: [{ method: "anonymous" }] });
  });

  test("it can be switched off", async () => {
    const project = await world.createProject({ anonymousUsersEnabled: false });
    const { status, body } = await project.call("POST /signup", { body: {} });
    expect([status, body]).toEqual([
      422,
      { code: "anonymous_provider_disabled", message: "Anonymous sign-ins are disabled" },
    ]);
  });
});

test("a phone sign-up with autoconfirm is confirmed, and signs in", async () => {
  const project = await world.createProject({ phoneEnabled: true, smsAutoconfirm: true });
  const signUp = await project.call("POST /signup", { body: { phone: "+49 170 1234567", password: PASSWORD } });
  expect(signUp.body.user).toMatchObject({
    phone: "491701234567",
    phone_confirmed_at: expect.any(String),
    app_metadata: { provider: "phone", providers: ["phone"] },
  });
  const signIn = await project.call("POST /token?grant_type=password", {
    body: { phone: "491701234567", password: PASSWORD },
  });
  expect(signIn.body.user.id).toBe(signUp.body.user.id);
});
