import { createHash, randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import {
  type AuthWorld,
  claimsOf,
  createAuthWorld,
  PASSWORD,
  type TestProject,
  type TestUser,
} from "../../../test/harness/auth-world.ts";
import { createAccessTokens } from "../tokens/access-token.ts";
import { encodeRefreshToken } from "../tokens/refresh-token.ts";

let world: AuthWorld;
let project: TestProject;
let user: TestUser;
let counter = 0;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world.close());
beforeEach(async () => {
  counter += 1;
  user = await project.signUp({ email: `session-${counter}@example.com` });
});

const refresh = (token: string) =>
  project.call("POST /token?grant_type=refresh_token", { body: { refresh_token: token } });
const signIn = (body: object) => project.call("POST /token?grant_type=password", { body });
const getUser = (bearer: string) => project.call("GET /user", { bearer });

describe("signing in with a password", () => {
  test("gives a session of its own", async () => {
    const { status, body } = await signIn({ email: user.email.toUpperCase(), password: PASSWORD });
    expect(status).toBe(200);
    expect(body.user).toMatchObject({ id: user.id, last_sign_in_at: expect.any(String) });
    expect(claimsOf(body.access_token).session_id).not.toBe(claimsOf(user.accessToken).session_id);
  });

  test("a wrong password, an unknown user and a user without a password get the same answer", async () => {
    const created = await project.call("POST /admin/users", {
      bearer: project.adminToken,
      body: { email: `hashless-${counter}@example.com` },
    });
    await project.db.query("update auth.users set encrypted_password = null where id = $1", [created.body.id]);
    const answers = await Promise.all([
      signIn({ email: user.email, password: "wrong one" }),
      signIn({ email: "nobody@example.com", password: PASSWORD }),
      signIn({ email: created.body.email, password: "anything" }),
    ]);
    for (const { status, body } of answers) {
      expect([status, body]).toEqual([400, { code: "invalid_credentials", message: "Invalid login credentials" }]);
    }
  });

  test.each([
    [{ password: "x" }, "validation_failed", "missing email or phone"],
    [
      { email: "a@b.c", phone: "49123", password: "x" },
      "validation_failed",
      "Only an email address or phone number should be provided on login.",
    ],
    [{ phone: "49123", password: "x" }, "phone_provider_disabled", "Phone logins are disabled"],
  ])("%j is %s", async (body, code, message) => {
    expect((await signIn(body)).body).toEqual({ code, message });
  });

  test("an unknown grant is named", async () => {
    const { status, body } = await project.call("POST /token?grant_type=magic", { body: {} });
    expect([status, body]).toEqual([400, { code: "invalid_credentials", message: "unsupported_grant_type" }]);
  });

  test("a banned user is told so only with the right password", async () => {
    await project.db.query("update auth.users set banned_until = now() + interval '1 day' where id = $1", [user.id]);
    expect((await signIn({ email: user.email, password: "wrong one" })).body.code).toBe("invalid_credentials");
    const { status, body } = await signIn({ email: user.email, password: PASSWORD });
    expect([status, body]).toEqual([400, { code: "user_banned", message: "User is banned" }]);
  });

  test("a password that meets the rules no more is accepted and reported", async () => {
    project.configure({ passwordMinLength: 30 });
    const { body } = await signIn({ email: user.email, password: PASSWORD });
    project.configure({ passwordMinLength: 6 });
    expect(body.weak_password).toEqual({
      reasons: ["length"],
      message: "Password should be at least 30 characters.",
    });
  });

  test("a hash that would take hours to check is a wrong password, at once", async () => {
    await project.db.query("update auth.users set encrypted_password = $2 where id = $1", [
      user.id,
      "$2b$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    ]);
    expect((await signIn({ email: user.email, password: "U*U" })).body.code).toBe("invalid_credentials");
  });
});

describe("refreshing", () => {
  test("gives a new refresh token and a new access token of the same session", async () => {
    world.advance(1);
    const { status, body } = await refresh(user.refreshToken);
    expect(status).toBe(200);
    expect(body).toMatchObject({ token_type: "bearer", user: { id: user.id } });
    expect(body.refresh_token).not.toBe(user.refreshToken);
    expect(body.access_token).not.toBe(user.accessToken);
    expect(claimsOf(body.access_token)).toMatchObject({
      session_id: claimsOf(user.accessToken).session_id,
      amr: [{ method: "password" }],
    });
    expect((await refresh(body.refresh_token)).status).toBe(200);
  });

  test("a client that lost the answer may ask again, however late", async () => {
    const { body } = await refresh(user.refreshToken);
    world.advance(600);
    expect((await refresh(user.refreshToken)).body.refresh_token).toBe(body.refresh_token);
  });

  test("many refreshes at once with one token all get the same next token", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => refresh(user.refreshToken)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1);
    const { rows } = await project.db.query(
      "select refresh_token_counter::int as counter from auth.sessions where user_id = $1",
      [user.id],
    );
    expect(rows).toEqual([{ counter: 1 }]);
  });

  test("a token two steps old is forgiven within the reuse interval, after that it ends the session for all", async () => {
    const first = await refresh(user.refreshToken);
    const second = await refresh(first.body.refresh_token);
    world.advance(5);
    expect((await refresh(user.refreshToken)).body.refresh_token).toBe(second.body.refresh_token);
    world.advance(6); // eleven seconds after the last real refresh: the forgiven one has not renewed the interval
    const stolen = await refresh(user.refreshToken);
    expect([stolen.status, stolen.body]).toEqual([
      400,
      { code: "refresh_token_already_used", message: "Invalid Refresh Token: Already Used" },
    ]);
    expect((await refresh(second.body.refresh_token)).body.code).toBe("refresh_token_not_found");
    expect((await getUser(second.body.access_token)).body.code).toBe("session_not_found");
  });

  test("without rotation an old token is refused and the session lives", async () => {
    project.configure({ refreshTokenRotationEnabled: false });
    const first = await refresh(user.refreshToken);
    const second = await refresh(first.body.refresh_token);
    world.advance(60);
    expect((await refresh(user.refreshToken)).body.code).toBe("refresh_token_already_used");
    expect((await refresh(second.body.refresh_token)).status).toBe(200);
    project.configure({ refreshTokenRotationEnabled: true });
  });

  test.each(["", "abc", "ABCDEFGHIJKL", "x".repeat(54)])("%j is no refresh token", async (token) => {
    expect((await refresh(token)).body).toEqual({ code: "validation_failed", message: "Refresh token is not valid" });
  });

  test("a token of no session, and one signed with a foreign key, are not found", async () => {
    const sessionId = String(claimsOf(user.accessToken).session_id);
    for (const token of [
      "abcdefghijkl",
      encodeRefreshToken(randomUUID(), 0, Buffer.alloc(32)),
      encodeRefreshToken(sessionId, 0, Buffer.alloc(32)),
    ]) {
      const { status, body } = await refresh(token);
      expect([status, body]).toEqual([
        400,
        { code: "refresh_token_not_found", message: "Invalid Refresh Token: Refresh Token Not Found" },
      ]);
    }
  });

  test("a signed counter from the future was not issued here", async () => {
    const sessionId = String(claimsOf(user.accessToken).session_id);
    const { rows } = await project.db.query("select refresh_token_hmac_key as key from auth.sessions where id = $1", [
      sessionId,
    ]);
    const { body } = await refresh(encodeRefreshToken(sessionId, 7, Buffer.from(rows[0].key, "base64url")));
    expect(body.message).toBe("Invalid Refresh Token: Not Issued By This Server");
  });

  test("a banned user cannot, and neither can a session past its time", async () => {
    await project.db.query("update auth.users set banned_until = now() + interval '9 days' where id = $1", [user.id]);
    expect((await refresh(user.refreshToken)).body).toEqual({
      code: "user_banned",
      message: "Invalid Refresh Token: User Banned",
    });
    await project.db.query("update auth.users set banned_until = null where id = $1", [user.id]);
    project.configure({ sessionsInactivityTimeoutSeconds: 60 });
    world.advance(61);
    expect((await refresh(user.refreshToken)).body.message).toBe("Invalid Refresh Token: Session Expired (Inactivity)");
    project.configure({ sessionsTimeboxSeconds: 60 });
    expect((await refresh(user.refreshToken)).body).toEqual({
      code: "session_expired",
      message: "Invalid Refresh Token: Session Expired",
    });
    project.configure({ sessionsTimeboxSeconds: null, sessionsInactivityTimeoutSeconds: null });
    await project.db.query("update auth.sessions set not_after = now() - interval '1 day' where user_id = $1", [
      user.id,
    ]);
    expect((await refresh(user.refreshToken)).body.code).toBe("session_expired");
  });

  test("with one session a user the older login cannot refresh", async () => {
    project.configure({ sessionsSinglePerUser: true });
    world.advance(1);
    const newer = await signIn({ email: user.email, password: PASSWORD });
    expect((await refresh(user.refreshToken)).body.message).toBe(
      "Invalid Refresh Token: Session Expired (Revoked by Newer Login)",
    );
    expect((await refresh(newer.body.refresh_token)).status).toBe(200);
    project.configure({ sessionsSinglePerUser: false });
  });
});

describe("refreshing with a version 1 token, as imported projects have them", () => {
  let sessionId: string;
  beforeEach(async () => {
    sessionId = String(claimsOf(user.accessToken).session_id);
    await project.db.query(
      `insert into auth.refresh_tokens (instance_id, token, user_id, revoked, created_at, updated_at, session_id)
       values ('00000000-0000-0000-0000-000000000000', $1, $2, false, $4, $4, $3)`,
      [`tokentoken${String(counter).padStart(2, "0")}`, user.id, sessionId, world.now()],
    );
  });
  const oldToken = () => `tokentoken${String(counter).padStart(2, "0")}`;

  test("it rotates, and a lost answer is given again", async () => {
    const first = await refresh(oldToken());
    expect(first.status).toBe(200);
    expect(first.body.refresh_token).toMatch(/^[a-z0-9]{12}$/);
    world.advance(600);
    expect((await refresh(oldToken())).body.refresh_token).toBe(first.body.refresh_token);
  });

  test("within the reuse interval another child is issued", async () => {
    const first = await refresh(oldToken());
    await refresh(first.body.refresh_token);
    expect((await refresh(oldToken())).status).toBe(200);
  });

  test("abuse revokes all tokens of the session, and the revocation is kept although the request fails", async () => {
    const first = await refresh(oldToken());
    const second = await refresh(first.body.refresh_token);
    world.advance(11);
    expect((await refresh(oldToken())).body.code).toBe("refresh_token_already_used");
    expect((await refresh(second.body.refresh_token)).body.code).toBe("refresh_token_already_used");
    const { rows } = await project.db.query(
      "select count(*)::int as n from auth.refresh_tokens where session_id = $1 and not revoked",
      [sessionId],
    );
    expect(rows).toEqual([{ n: 0 }]);
  });

  test("parallel refreshes leave one active token", async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => refresh(oldToken())));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    const { rows } = await project.db.query(
      "select count(*)::int as n from auth.refresh_tokens where session_id = $1 and not revoked",
      [sessionId],
    );
    expect(rows).toEqual([{ n: 1 }]);
  });

  test("a token of no session is deleted", async () => {
    await project.db.query("update auth.refresh_tokens set session_id = null where token = $1", [oldToken()]);
    expect((await refresh(oldToken())).body).toEqual({
      code: "session_not_found",
      message: "Invalid Refresh Token: No Valid Session Found",
    });
    expect((await refresh(oldToken())).body.code).toBe("refresh_token_not_found");
  });
});

describe("a bearer", () => {
  const sign = (claims: object) => createAccessTokens().sign(project.snapshot, { ...claims });

  test("is the user of its token", async () => {
    const { status, body } = await getUser(user.accessToken);
    expect([status, body.id, body.email]).toEqual([200, user.id, user.email]);
  });

  test.each([
    ["no token", async () => "", 401, "no_authorization", "This endpoint requires a valid Bearer token"],
    [
      "a text that is no token",
      async () => "sb_secret_abc",
      403,
      "bad_jwt",
      "invalid JWT: unable to parse or verify signature, token is malformed: token contains an invalid number of segments",
    ],
    ["an API key", () => sign({ role: "anon" }), 403, "bad_jwt", "invalid claim: missing sub claim"],
    ["a subject that is no id", () => sign({ sub: "me" }), 400, "bad_jwt", "invalid claim: sub claim must be a UUID"],
    [
      "an unknown user",
      () => sign({ sub: randomUUID() }),
      403,
      "user_not_found",
      "User from sub claim in JWT does not exist",
    ],
    [
      "a session that is no id",
      () => sign({ sub: user.id, session_id: "x" }),
      403,
      "bad_jwt",
      "invalid claim: session_id claim must be a UUID",
    ],
    [
      "a session that is gone",
      () => sign({ sub: user.id, session_id: randomUUID() }),
      403,
      "session_not_found",
      "Session from session_id claim in JWT does not exist",
    ],
    [
      "another audience",
      () => sign({ sub: user.id, aud: "else" }),
      400,
      "validation_failed",
      "Token audience doesn't match request audience",
    ],
    [
      "an expired token",
      () => sign({ sub: user.id, exp: 1 }),
      403,
      "bad_jwt",
      "invalid JWT: unable to parse or verify signature, token has invalid claims: token is expired",
    ],
  ])("with %s is refused", async (_name, token, status, code, message) => {
    const answer = await getUser(await token());
    expect([answer.status, answer.body]).toEqual([status, { code, message }]);
  });

  test("may be without a session", async () => {
    expect((await getUser(await sign({ sub: user.id, aud: "authenticated" }))).status).toBe(200);
  });

  test("cannot use another user's session", async () => {
    const other = await project.signUp({ email: `other-${counter}@example.com` });
    const token = await sign({
      sub: user.id,
      aud: "authenticated",
      session_id: claimsOf(other.accessToken).session_id,
    });
    expect((await getUser(token)).body.code).toBe("session_not_found");
  });

  test("of one project is nobody in another, though both have the same user", async () => {
    const twin = await world.createProject();
    await twin.call("POST /admin/users", { bearer: twin.adminToken, body: { id: user.id, email: user.email } });
    const { status, body } = await twin.call("GET /user", { bearer: user.accessToken });
    expect([status, body.code]).toEqual([403, "bad_jwt"]);
    expect((await twin.call("GET /admin/users", { bearer: project.adminToken })).status).toBe(403);
    expect(
      (await twin.call("POST /token?grant_type=refresh_token", { body: { refresh_token: user.refreshToken } })).body
        .code,
    ).toBe("refresh_token_not_found");
  });

  test("who is banned is refused at once", async () => {
    await project.db.query("update auth.users set banned_until = now() + interval '9 days' where id = $1", [user.id]);
    expect((await getUser(user.accessToken)).body).toEqual({ code: "user_banned", message: "User is banned" });
  });
});

describe("logging out", () => {
  const sessionsOf = async (id: string) =>
    (await project.db.query("select id from auth.sessions where user_id = $1", [id])).rows.map((row) => row.id);

  test.each([
    ["", 0],
    ["?scope=global", 0],
    ["?scope=local", 1],
    ["?scope=others", 1],
  ])("with %s leaves %i of two sessions", async (query, left) => {
    await signIn({ email: user.email, password: PASSWORD });
    const { status, body } = await project.call(`POST /logout${query}`, { bearer: user.accessToken });
    expect([status, body]).toEqual([204, ""]);
    const sessions = await sessionsOf(user.id);
    expect(sessions).toHaveLength(left);
    expect(sessions.includes(claimsOf(user.accessToken).session_id)).toBe(query === "?scope=others");
  });

  test("an unknown scope is refused", async () => {
    const { body } = await project.call("POST /logout?scope=x", { bearer: user.accessToken });
    expect(body).toEqual({ code: "validation_failed", message: 'Unsupported logout scope "x"' });
  });
});

describe("exchanging a code", () => {
  const verifier = "v".repeat(64);
  const insertFlow = async (code: string, issuedAt: Date | null) =>
    project.db.query(
      `insert into auth.flow_state (id, user_id, auth_code, code_challenge_method, code_challenge, provider_type,
         authentication_method, created_at, updated_at, auth_code_issued_at)
       values ($1, $2, $3, 's256', $4, 'magiclink', 'magiclink', $5, $5, $6)`,
      [randomUUID(), user.id, code, createHash("sha256").update(verifier).digest("base64url"), world.now(), issuedAt],
    );
  const exchange = (code: string, code_verifier = verifier) =>
    project.call("POST /token?grant_type=pkce", { body: { auth_code: code, code_verifier } });

  test("works once, also for two at the same moment", async () => {
    const code = randomUUID();
    await insertFlow(code, world.now());
    expect((await exchange(code, "w".repeat(64))).body).toEqual({
      code: "bad_code_verifier",
      message: "code challenge does not match previously saved code verifier",
    });
    const answers = await Promise.all([exchange(code), exchange(code)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404]);
    const session = answers.find(({ status }) => status === 200);
    expect(claimsOf(session?.body.access_token).amr).toMatchObject([{ method: "magiclink" }]);
  });

  test("a user banned meanwhile gets no session", async () => {
    const code = randomUUID();
    await insertFlow(code, world.now());
    await project.db.query("update auth.users set banned_until = now() + interval '9 days' where id = $1", [user.id]);
    expect((await exchange(code)).body.code).toBe("user_banned");
  });

  test("a code is good for five minutes from its issue, and never before it", async () => {
    const [late, unissued] = [randomUUID(), randomUUID()];
    await insertFlow(late, world.now());
    await insertFlow(unissued, null);
    world.advance(301);
    expect((await exchange(late)).body.code).toBe("flow_state_expired");
    expect((await exchange(unissued)).body.code).toBe("flow_state_not_found");
    expect((await exchange("not-a-code")).body).toEqual({
      code: "flow_state_not_found",
      message: "invalid flow state, no valid flow state found",
    });
  });
});
