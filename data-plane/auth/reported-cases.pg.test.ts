/** What playing the same scenarios against the original showed, each case beside its kin. */
import { randomUUID } from "node:crypto";
import { argon2id } from "@noble/hashes/argon2.js";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type AuthWorld, createAuthWorld, PASSWORD, type TestProject } from "../../test/harness/auth-world.ts";
import { createAccessTokens } from "./tokens/access-token.ts";

let world: AuthWorld;
let project: TestProject;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject({ mailerAutoconfirm: true });
});
afterAll(() => world.close());

const admin = (target: string, body?: unknown, of = project) => of.call(target, { bearer: of.adminToken, body });
const signIn = (email: string, password: string, of = project) =>
  of.call("POST /token?grant_type=password", { body: { email, password } });
const newAddress = () => `${randomUUID()}@example.com`;

describe("what triggers on auth.users write", () => {
  const moments = { before: "new.raw_user_meta_data", after: null } as const;

  test.each(["before", "after"] as const)("is kept, in the row and in the answer: %s insert", async (moment) => {
    const own = await world.createProject({ mailerAutoconfirm: moment === "before" });
    await own.db.query(`create function public.touch() returns trigger language plpgsql security definer set search_path = '' as $$ begin
        ${
          moments[moment]
            ? `new.raw_user_meta_data := coalesce(new.raw_user_meta_data, '{}') || '{"ut": 1}';
               new.raw_app_meta_data := coalesce(new.raw_app_meta_data, '{}') || '{"at": 2}'; return new;`
            : `update auth.users set raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{"ut": 1}',
                 raw_app_meta_data = coalesce(raw_app_meta_data, '{}') || '{"at": 2}' where id = new.id; return null;`
        } end $$;
      create trigger touch ${moment} insert on auth.users for each row execute function public.touch()`);
    const bodies = [
      await own.call("POST /signup", {
        body: { email: newAddress(), password: PASSWORD, data: { mine: true, gone: null } },
      }),
      await admin("POST /admin/users", { email: newAddress(), password: PASSWORD, user_metadata: { mine: true } }, own),
      await admin("POST /invite", { email: newAddress(), data: { mine: true } }, own),
      await admin(
        "POST /admin/generate_link",
        { type: "signup", email: newAddress(), password: PASSWORD, data: { mine: true } },
        own,
      ),
      await admin("POST /admin/generate_link", { type: "magiclink", email: newAddress(), data: { mine: true } }, own),
    ].map(({ body }) => body.user ?? body);
    for (const user of bodies) {
      expect(user.user_metadata).toMatchObject({ mine: true, ut: 1 });
      expect(user.app_metadata).toMatchObject({ provider: "email", at: 2 });
    }
    const { rows } = await own.db.query(
      `select count(*)::int as kept from auth.users where raw_user_meta_data @> '{"ut": 1, "mine": true}'
         and raw_app_meta_data @> '{"at": 2}' and not raw_user_meta_data ? 'gone'`,
    );
    expect(rows[0].kept).toBe(5);
  });

  test("on an update is kept too", async () => {
    const own = await world.createProject({ mailerAutoconfirm: true });
    const user = await own.signUp();
    await own.db.query(`create function public.seen() returns trigger language plpgsql as $$ begin
        new.raw_user_meta_data := new.raw_user_meta_data || jsonb_build_object('times', coalesce((old.raw_user_meta_data ->> 'times')::int, 0) + 1);
        return new; end $$;
      create trigger seen before update on auth.users for each row execute function public.seen()`);
    const changed = await own.call("PUT /user", {
      bearer: user.accessToken,
      body: { data: { a: 1, email_verified: null } },
    });
    expect(changed.body.user_metadata).toMatchObject({ a: 1, times: expect.any(Number) });
    expect(changed.body.user_metadata).not.toHaveProperty("email_verified");
  });
});

describe("passwords", () => {
  test("an administrator's obey the project's rules", async () => {
    const own = await world.createProject({ passwordMinLength: 10, passwordRequiredCharacters: ["0123456789"] });
    for (const password of ["1", "short1", "long enough but no digit"]) {
      const answer = await admin("POST /admin/users", { email: newAddress(), password }, own);
      expect([answer.status, answer.body.code]).toEqual([422, "weak_password"]);
    }
    expect((await admin("POST /admin/users", { email: newAddress(), password: "long enough 1" }, own)).status).toBe(
      200,
    );
  });

  test("an empty one is weak, not unchanged", async () => {
    const user = await project.signUp();
    const own = await project.call("PUT /user", { bearer: user.accessToken, body: { password: "" } });
    expect([own.status, own.body.code]).toEqual([422, "weak_password"]);
    const byAdmin = await admin(`PUT /admin/users/${user.id}`, { password: "" });
    expect([byAdmin.status, byAdmin.body.code]).toEqual([422, "weak_password"]);
    const without = await project.call("PUT /user", {
      bearer: user.accessToken,
      body: { password: null, data: { a: 1 } },
    });
    expect(without.status).toBe(200);
  });

  test("long ones of imported accounts sign in, and bcrypt takes none that only begins right", async () => {
    const long = "x".repeat(80);
    const salt = Buffer.from("0123456789abcdef");
    const hash = Buffer.from(argon2id(long, salt, { m: 1024, t: 1, p: 1, dkLen: 32 }));
    const text = (bytes: Buffer) => bytes.toString("base64").replace(/=+$/, "");
    const email = newAddress();
    const password_hash = `$argon2id$v=19$m=1024,t=1,p=1$${text(salt)}$${text(hash)}`;
    await admin("POST /admin/users", { email, email_confirm: true, password_hash });
    expect((await signIn(email, long)).status).toBe(200);
    const wrong = await signIn(email, `${long}y`);
    expect([wrong.status, wrong.body.code]).toEqual([400, "invalid_credentials"]);

    const exact = "p".repeat(72);
    const other = newAddress();
    await admin("POST /admin/users", { email: other, email_confirm: true, password: exact });
    expect((await signIn(other, exact)).status).toBe(200);
    expect((await signIn(other, `${exact}q`)).body.code).toBe("invalid_credentials");
  });
});

test("a user with an ID that is there already is a conflict", async () => {
  const user = await project.signUp();
  const answer = await admin("POST /admin/users", { id: user.id, email: newAddress() });
  expect([answer.status, answer.body.code]).toEqual([409, "conflict"]);
});

test("the audit log names who did it, and an administrator by the role", async () => {
  const own = await world.createProject({ mailerAutoconfirm: true });
  const user = await own.signUp();
  await own.call("PUT /user", { bearer: user.accessToken, body: { data: { full_name: "Ada L" } } });
  const session = await signIn(user.email, PASSWORD, own);
  await own.call("POST /token?grant_type=refresh_token", { body: { refresh_token: session.body.refresh_token } });
  await own.call("POST /logout", { bearer: session.body.access_token });
  await admin(`PUT /admin/users/${user.id}`, { user_metadata: { a: 1 } }, own);
  const { rows } = await own.db.query<{ payload: Record<string, unknown> }>(
    "select payload from auth.audit_log_entries order by created_at, id",
  );
  const by = (action: string) => rows.map(({ payload }) => payload).filter((payload) => payload.action === action);
  for (const action of ["login", "token_refreshed", "logout"]) {
    for (const payload of by(action)) {
      expect(payload).toMatchObject({ actor_id: user.id, actor_username: user.email });
    }
    expect(by(action).length).toBeGreaterThan(0);
  }
  expect(by("login").at(-1)).toMatchObject({ actor_name: "Ada L" });
  expect(by("user_modified").at(-1)).toMatchObject({ actor_username: "service_role" });
});

describe("a time that cannot be read lets nobody in", () => {
  test.each(["infinity", "-infinity", "20000-01-01"])("a ban until %s", async (until) => {
    const user = await project.signUp();
    await project.db.query("update auth.users set banned_until = $2 where id = $1", [user.id, until]);
    expect((await signIn(user.email, PASSWORD)).body.code).toBe("user_banned");
    expect((await project.call("GET /user", { bearer: user.accessToken })).body.code).toBe("user_banned");
    const shown = await admin(`GET /admin/users/${user.id}`);
    expect(Date.parse(shown.body.banned_until)).not.toBeNaN();
  });

  test("a session's end", async () => {
    const user = await project.signUp();
    await project.db.query("update auth.sessions set not_after = 'infinity' where user_id = $1", [user.id]);
    const answer = await project.call("POST /token?grant_type=refresh_token", {
      body: { refresh_token: user.refreshToken },
    });
    expect(answer.status).toBe(400);
  });
});

describe("tokens", () => {
  test("of the nil session have none", async () => {
    const user = await project.signUp();
    const claims = { sub: user.id, role: "authenticated", aud: "authenticated" };
    const nil = await createAccessTokens().sign(project.snapshot, {
      ...claims,
      session_id: "00000000-0000-0000-0000-000000000000",
    });
    expect((await project.call("GET /user", { bearer: nil })).status).toBe(200);
  });

  test.each([{ sub: 7 }, { sub: ["a"] }, { role: { a: 1 } }, { session_id: 5 }])(
    "with the claims %j are refused",
    async (claims) => {
      const token = await createAccessTokens().sign(project.snapshot, { role: "service_role", ...(claims as object) });
      const answer = await project.call("GET /admin/users", { bearer: token });
      expect(answer.body.code).toBe("bad_jwt");
    },
  );
});

describe("what is verified is judged in the original's order", () => {
  test.each<[object, number, string, string]>([
    [{ type: "sms", token_hash: "x" }, 400, "validation_failed", "Invalid email verification type"],
    [{ type: "phone_change", token_hash: "x" }, 400, "validation_failed", "Invalid email verification type"],
    [{ type: "nonsense", token_hash: "x" }, 400, "validation_failed", "Invalid email verification type"],
    [
      { type: "nonsense", email: "a@example.com", token: "123456" },
      403,
      "otp_expired",
      "Token has expired or is invalid",
    ],
    [
      { type: "reauthentication", email: "a@example.com", token: "123456" },
      403,
      "otp_expired",
      "Token has expired or is invalid",
    ],
  ])("%j", async (body, status, code, message) => {
    const answer = await project.call("POST /verify", { body });
    expect([answer.status, answer.body]).toEqual([status, { code, message }]);
  });
});

test("an address that nobody has confirmed makes no anonymous user permanent", async () => {
  const own = await world.createProject({ anonymousUsersEnabled: true });
  const { body } = await own.call("POST /signup", { body: {} });
  const unconfirmed = await admin(`PUT /admin/users/${body.user.id}`, { email: newAddress() }, own);
  expect(unconfirmed.body).toMatchObject({ is_anonymous: true });
  const confirmed = await admin(`PUT /admin/users/${body.user.id}`, { email: newAddress(), email_confirm: true }, own);
  expect(confirmed.body).toMatchObject({ is_anonymous: false, email_confirmed_at: expect.any(String) });
});
