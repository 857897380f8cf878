import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type AuthWorld, createAuthWorld, PASSWORD, type TestProject } from "../../../test/harness/auth-world.ts";
import { createAccessTokens } from "../tokens/access-token.ts";

let world: AuthWorld;
let project: TestProject;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject({ phoneEnabled: true });
});
afterAll(() => world.close());

const admin = (target: string, body?: unknown) => project.call(target, { bearer: project.adminToken, body });
let counter = 0;
const create = async (body: object = {}) => {
  counter += 1;
  return (await admin("POST /admin/users", { email: `admin-${counter}@example.com`, ...body })).body;
};

describe("who may", () => {
  test("neither an anonymous key nor a user is an administrator", async () => {
    const user = await project.signUp();
    const anonKey = await createAccessTokens().sign(project.snapshot, { role: "anon" });
    for (const bearer of [anonKey, user.accessToken]) {
      const { status, body } = await project.call("GET /admin/users", { bearer });
      expect([status, body]).toEqual([403, { code: "not_admin", message: "User not allowed" }]);
    }
    expect((await project.call("GET /admin/users")).status).toBe(401);
  });

  test("the role supabase_admin may, whatever its subject", async () => {
    const bearer = await createAccessTokens().sign(project.snapshot, { role: "supabase_admin", sub: "admin" });
    expect((await project.call("GET /admin/users", { bearer })).status).toBe(200);
  });

  test("a user's token with an administrator's role counts only while its session lives", async () => {
    const { id } = await create({ role: "service_role", password: PASSWORD, email_confirm: true });
    const { email } = (await admin(`GET /admin/users/${id}`)).body;
    const session = await project.call("POST /token?grant_type=password", { body: { email, password: PASSWORD } });
    const bearer = session.body.access_token;
    expect((await project.call("GET /admin/users", { bearer })).status).toBe(200);
    await project.db.query("delete from auth.sessions where user_id = $1", [id]);
    expect((await project.call("GET /admin/users", { bearer })).body.code).toBe("session_not_found");
  });
});

describe("creating", () => {
  test("a user has exactly the given metadata and is unconfirmed unless said otherwise", async () => {
    const user = await create({ user_metadata: { a: 1 }, app_metadata: { plan: "gold" } });
    expect(user).toMatchObject({
      role: "authenticated",
      user_metadata: { a: 1 },
      app_metadata: { provider: "email", providers: ["email"], plan: "gold" },
    });
    expect(user.user_metadata).toEqual({ a: 1 });
    expect(user.email_confirmed_at).toBeUndefined();
    expect(user.identities[0].identity_data).toEqual({
      sub: user.id,
      email: user.email,
      email_verified: false,
      phone_verified: false,
    });
  });

  test("a confirmed user with a password signs in; both address and phone make two identities", async () => {
    const user = await create({
      password: PASSWORD,
      email_confirm: true,
      phone: `4915100000${counter}`,
      phone_confirm: true,
    });
    expect(user).toMatchObject({
      email_confirmed_at: expect.any(String),
      phone_confirmed_at: expect.any(String),
      user_metadata: { email_verified: true },
      app_metadata: { provider: "email", providers: ["email", "phone"] },
    });
    expect(user.identities).toHaveLength(2);
    const signIn = await project.call("POST /token?grant_type=password", {
      body: { email: user.email, password: PASSWORD },
    });
    expect(signIn.status).toBe(200);
  });

  test("an imported hash and a chosen id are kept; a hash too costly to verify is refused", async () => {
    const id = randomUUID();
    const hash = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
    const user = await create({ id, password_hash: hash, email_confirm: true });
    expect(user.id).toBe(id);
    const body = { email: user.email, password: "password" };
    expect((await project.call("POST /token?grant_type=password", { body })).status).toBe(200);
    const costly = hash.replace("m=256,t=2", "m=1048576,t=20");
    expect((await create({ password_hash: costly })).code).toBe("validation_failed");
  });

  test.each([
    [{ email: "" }, 400, "validation_failed"],
    [{ id: "1" }, 400, "validation_failed"],
    [{ id: "00000000-0000-0000-0000-000000000000" }, 400, "validation_failed"],
    [{ password: "x", password_hash: "y" }, 400, "validation_failed"],
    [{ ban_duration: "1 day" }, 400, "validation_failed"],
    [{ password: "x".repeat(73) }, 400, "validation_failed"],
  ])("%j is refused", async (body, status, code) => {
    const answer = await admin("POST /admin/users", { email: "refused@example.com", ...body });
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  test("an address or number in use is refused, also in a race", async () => {
    const user = await create({ phone: "4915199999" });
    expect((await create({ email: user.email.toUpperCase() })).code).toBe("email_exists");
    expect(await create({ phone: "4915199999" })).toEqual({
      code: "phone_exists",
      message: "Phone number already registered by another user",
    });
    const answers = await Promise.all(
      [1, 2, 3].map(() => admin("POST /admin/users", { email: "race@example.com", password: "correct horse" })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 422, 422]);
  });
});

describe("reading", () => {
  test("one user, or the difference between no id and no user", async () => {
    const user = await create();
    expect((await admin(`GET /admin/users/${user.id}`)).body.id).toBe(user.id);
    const unknown = await admin(`GET /admin/users/${randomUUID()}`);
    expect([unknown.status, unknown.body]).toEqual([404, { code: "user_not_found", message: "User not found" }]);
    const noId = await admin("GET /admin/users/1");
    expect([noId.status, noId.body]).toEqual([404, { code: "validation_failed", message: "user_id must be an UUID" }]);
  });

  test("the list is newest first, in pages that auth-js can follow", async () => {
    const own = await world.createProject();
    const call = (query: string) => own.call(`GET /admin/users${query}`, { bearer: own.adminToken });
    const empty = await call("");
    expect(empty.headers["x-total-count"]).toBe("0");
    expect(empty.headers.link).toMatch(/\?page=0&per_page=50>; rel="last"$/);
    for (let index = 1; index <= 5; index++) {
      await own.call("POST /admin/users", {
        bearer: own.adminToken,
        body: {
          email: `list-${index}@example.com`,
          user_metadata: { full_name: `Name ${index % 2 ? "Odd" : "Even"}` },
        },
      });
    }
    const first = await call("?page=1&per_page=2");
    expect(first.body.users.map((user: { email: string }) => user.email)).toEqual([
      "list-5@example.com",
      "list-4@example.com",
    ]);
    expect(first.body.aud).toBe("authenticated");
    expect(first.body.users[0].identities).toBeNull();
    const path = `/projects/${own.snapshot.projectRef}/auth/v1/admin/users`;
    expect(first.headers).toMatchObject({
      "x-total-count": "5",
      link: `<${path}?page=2&per_page=2>; rel="next", <${path}?page=3&per_page=2>; rel="last"`,
    });
    expect((await call("?page=3&per_page=2")).headers.link).not.toContain("next");
    const oldest = await call("?sort=created_at%20asc&per_page=1");
    expect(oldest.body.users[0].email).toBe("list-1@example.com");
    expect((await call("?filter=t-3@")).headers["x-total-count"]).toBe("1");
    expect((await call("?filter=odd")).headers["x-total-count"]).toBe("3");
    expect((await call("?filter=%25")).headers["x-total-count"]).toBe("0");
    expect((await call("?per_page=0")).body.users).toHaveLength(5);
    for (const query of ["?page=-1", "?page=x", "?per_page=1.5", "?page=99999999999999999999"]) {
      const { status, body } = await call(query);
      expect([status, body.message]).toEqual([400, expect.stringMatching(/^Bad Pagination Parameters: /)]);
    }
  });
});

describe("changing", () => {
  test("address, metadata, role and confirmation take effect at once", async () => {
    const user = await create({ user_metadata: { a: 1 }, app_metadata: { x: 1 } });
    const { body } = await admin(`PUT /admin/users/${user.id}`, {
      email: `changed-${counter}@example.com`,
      user_metadata: { b: 2, a: null },
      app_metadata: { y: 2 },
      email_confirm: true,
    });
    expect(body).toMatchObject({
      email: `changed-${counter}@example.com`,
      email_confirmed_at: expect.any(String),
      app_metadata: { x: 1, y: 2, provider: "email" },
    });
    expect(body.user_metadata).toEqual({ b: 2, email_verified: true });
    expect(body.identities).toHaveLength(1);
    expect(body.identities[0].identity_data).toMatchObject({
      email: `changed-${counter}@example.com`,
      email_verified: true,
    });
  });

  test("a new password ends all sessions", async () => {
    const user = await project.signUp({ email: "ended@example.com" });
    expect((await admin(`PUT /admin/users/${user.id}`, { password: "short" })).body.code).toBe("weak_password");
    expect((await admin(`PUT /admin/users/${user.id}`, { password: "a better battery" })).status).toBe(200);
    expect((await project.call("GET /user", { bearer: user.accessToken })).body.code).toBe("session_not_found");
  });

  test("a ban lasts as long as it says, and can be lifted", async () => {
    const user = await project.signUp({ email: "banned@example.com" });
    const banned = await admin(`PUT /admin/users/${user.id}`, { ban_duration: "1h30m" });
    const until = Date.parse(banned.body.banned_until) - world.now().getTime();
    expect(Math.abs(until - 5_400_000)).toBeLessThan(60_000);
    expect((await project.call("GET /user", { bearer: user.accessToken })).body.code).toBe("user_banned");
    const lifted = await admin(`PUT /admin/users/${user.id}`, { ban_duration: "none" });
    expect(lifted.body.banned_until).toBeUndefined();
    expect((await project.call("GET /user", { bearer: user.accessToken })).status).toBe(200);
  });

  test("another user's address is refused with 422, not 500", async () => {
    const [one, other] = [await create(), await create({ phone: "4915188888" })];
    const answer = await admin(`PUT /admin/users/${one.id}`, { email: other.email });
    expect([answer.status, answer.body.code]).toEqual([422, "email_exists"]);
    expect((await admin(`PUT /admin/users/${one.id}`, { phone: "4915188888" })).body.code).toBe("phone_exists");
    expect((await admin(`PUT /admin/users/${randomUUID()}`, {})).body.code).toBe("user_not_found");
  });
});

describe("deleting", () => {
  test("a user goes with its sessions", async () => {
    const user = await project.signUp({ email: "gone@example.com" });
    const { status, body } = await admin(`DELETE /admin/users/${user.id}`);
    expect([status, body]).toEqual([200, {}]);
    expect((await project.call("GET /user", { bearer: user.accessToken })).body.code).toBe("user_not_found");
    expect((await admin(`DELETE /admin/users/${user.id}`)).body.code).toBe("user_not_found");
  });

  test("softly, the row stays and tells nothing of who it was", async () => {
    const user = await project.signUp({ email: "soft@example.com", data: { name: "Ann" } });
    expect((await admin(`DELETE /admin/users/${user.id}`, { should_soft_delete: true })).body).toEqual({});
    const { rows } = await project.db.query(
      "select u.*, i.provider_id, i.identity_data from auth.users u join auth.identities i on i.user_id = u.id where u.id = $1",
      [user.id],
    );
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({
      encrypted_password: "",
      raw_user_meta_data: {},
      raw_app_meta_data: {},
      identity_data: {},
    });
    expect(rows[0].deleted_at).toBeInstanceOf(Date);
    expect(rows[0].email).toMatch(/^[\w-]{43}$/);
    expect(JSON.stringify(rows[0])).not.toContain("soft@example.com");
    expect((await project.call("GET /user", { bearer: user.accessToken })).body.code).toBe("session_not_found");
    const again = await project.signUp({ email: "soft@example.com" });
    expect(again.id).not.toBe(user.id);
  });
});
