import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import {
  type AuthWorld,
  claimsOf,
  createAuthWorld,
  PASSWORD,
  type TestProject,
  type TestUser,
} from "../../../test/harness/auth-world.ts";
import { totpCode, totpStep } from "./totp.ts";

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
  user = await project.signUp({ email: `mfa-${counter}@example.com` });
});

const call = (target: string, body?: unknown, bearer = user.accessToken) => project.call(target, { body, bearer });
const enroll = async (name = "phone", bearer = user.accessToken) =>
  (await call("POST /factors", { factor_type: "totp", friendly_name: name }, bearer)).body;
const challenge = async (id: string, bearer = user.accessToken) =>
  (await call(`POST /factors/${id}/challenge`, {}, bearer)).body.id;
const codeOf = (secret: string, stepsAhead = 0) => totpCode(secret, totpStep(world.now()) + stepsAhead);
const verify = async (factor: { id: string; totp: { secret: string } }, bearer = user.accessToken, stepsAhead = 0) => {
  const challenge_id = await challenge(factor.id, bearer);
  const code = codeOf(factor.totp.secret, stepsAhead);
  return call(`POST /factors/${factor.id}/verify`, { challenge_id, code }, bearer);
};
const refresh = (refresh_token: string) =>
  project.call("POST /token?grant_type=refresh_token", { body: { refresh_token } });

test("enrolling gives a secret, its link and a QR code", async () => {
  const factor = await enroll();
  expect(factor).toMatchObject({ id: expect.any(String), type: "totp", friendly_name: "phone" });
  expect(factor.totp.qr_code).toMatch(/^<svg/);
  expect(factor.totp.uri).toBe(
    `otpauth://totp/localhost%3A3000:${encodeURIComponent(user.email)}?algorithm=SHA1&digits=6&issuer=localhost%3A3000&period=30&secret=${factor.totp.secret}`,
  );
  const { body } = await call("GET /user");
  expect(body.factors).toMatchObject([
    { id: factor.id, status: "unverified", factor_type: "totp", friendly_name: "phone" },
  ]);
  expect(JSON.stringify(body)).not.toContain(factor.totp.secret);
});

test("a right code raises the session, renews its refresh token and ends weaker sessions", async () => {
  const other = await project.call("POST /token?grant_type=password", {
    body: { email: user.email, password: PASSWORD },
  });
  const factor = await enroll();
  const { status, body } = await verify(factor);
  expect(status).toBe(200);
  expect(claimsOf(body.access_token)).toMatchObject({
    aal: "aal2",
    session_id: claimsOf(user.accessToken).session_id,
  });
  const methods = (claimsOf(body.access_token).amr as { method: string }[]).map(({ method }) => method);
  expect(methods.sort()).toEqual(["password", "totp"]);
  expect(body.user.factors[0].status).toBe("verified");
  expect((await call("GET /user", undefined, other.body.access_token)).body.code).toBe("session_not_found");
  expect((await refresh(user.refreshToken)).body.code).toBe("refresh_token_not_found");
  const refreshed = await refresh(body.refresh_token);
  expect(claimsOf(refreshed.body.access_token).aal).toBe("aal2");
});

test("a code is accepted once, also in another challenge and at the same moment", async () => {
  const factor = await enroll();
  const challenges = await Promise.all([challenge(factor.id), challenge(factor.id)]);
  const code = codeOf(factor.totp.secret);
  const answers = await Promise.all(
    challenges.map((challenge_id) => call(`POST /factors/${factor.id}/verify`, { challenge_id, code })),
  );
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 422]);
});

test("a challenge is bound to its factor, its address, its time and its first answer", async () => {
  const factor = await enroll();
  const answer = (body: object) => call(`POST /factors/${factor.id}/verify`, body);
  const code = codeOf(factor.totp.secret);
  expect((await answer({ challenge_id: randomUUID(), code })).body).toEqual({
    code: "mfa_factor_not_found",
    message: "MFA factor with the provided challenge ID not found",
  });
  const challenge_id = await challenge(factor.id);
  expect((await answer({ challenge_id, code: "" })).body.message).toBe("Code needs to be non-empty");
  const wrong = await answer({ challenge_id, code: codeOf(factor.totp.secret, 5) });
  expect([wrong.status, wrong.body]).toEqual([
    422,
    { code: "mfa_verification_failed", message: "Invalid TOTP code entered" },
  ]);
  const elsewhere = await project.call(`POST /factors/${factor.id}/verify`, {
    body: { challenge_id, code },
    bearer: user.accessToken,
    clientAddress: "198.51.100.1",
  });
  expect(elsewhere.body.code).toBe("mfa_ip_address_mismatch");
  const old = await challenge(factor.id);
  world.advance(301);
  expect((await answer({ challenge_id: old, code: codeOf(factor.totp.secret) })).body.code).toBe(
    "mfa_challenge_expired",
  );
  expect((await answer({ challenge_id: old, code })).body.code).toBe("mfa_factor_not_found");
});

test("with a verified factor a session without it may change no credentials and enroll nothing", async () => {
  const raised = (await verify(await enroll())).body.access_token;
  const weak = await project.call("POST /token?grant_type=password", {
    body: { email: user.email, password: PASSWORD },
  });
  const bearer = weak.body.access_token;
  expect((await call("PUT /user", { password: "a better battery" }, bearer)).body).toEqual({
    code: "insufficient_aal",
    message: "AAL2 session is required to update email or password when MFA is enabled.",
  });
  expect((await call("POST /factors", { factor_type: "totp", friendly_name: "b" }, bearer)).status).toBe(403);
  const [factor] = weak.body.user.factors;
  expect((await call(`DELETE /factors/${factor.id}`, undefined, bearer)).body.code).toBe("insufficient_aal");
  expect((await call("PUT /user", { password: "a better battery" }, raised)).status).toBe(200);
});

test("giving a factor up lowers the sessions that used it", async () => {
  const factor = await enroll();
  const { body } = await verify(factor);
  expect((await call(`DELETE /factors/${factor.id}`, undefined, body.access_token)).body).toEqual({ id: factor.id });
  const refreshed = await refresh(body.refresh_token);
  expect(claimsOf(refreshed.body.access_token)).toMatchObject({ aal: "aal1", amr: [{ method: "password" }] });
  expect(refreshed.body.user.factors).toBeUndefined();
});

test("names may not repeat, not even the empty one, and ten are enough", async () => {
  await enroll("same");
  expect((await enroll("same")).code).toBe("mfa_factor_name_conflict");
  await enroll("");
  expect((await enroll("")).code).toBe("mfa_factor_name_conflict");
  for (let index = 3; index <= 10; index++) await enroll(`factor ${index}`);
  expect((await enroll("one more")).code).toBe("too_many_enrolled_mfa_factors");
  world.advance(301); // those never challenged are forgotten after five minutes
  expect((await enroll("one more")).id).toEqual(expect.any(String));
});

test.each([
  [{ factor_type: "phone", phone: "491" }, 422, "mfa_phone_enroll_not_enabled"],
  [{ factor_type: "webauthn" }, 422, "mfa_webauthn_enroll_not_enabled"],
  [{ factor_type: "smoke" }, 400, "validation_failed"],
])("enrolling %j is refused", async (body, status, code) => {
  const answer = await call("POST /factors", body);
  expect([answer.status, answer.body.code]).toEqual([status, code]);
});

test("an anonymous user and a stranger have no factors", async () => {
  const anonymous = await project.call("POST /signup", { body: {} });
  const refused = await call("POST /factors", { factor_type: "totp" }, anonymous.body.access_token);
  expect([refused.status, refused.body.code]).toEqual([403, "no_authorization"]);
  const factor = await enroll();
  const stranger = await project.signUp({ email: `stranger-${counter}@example.com` });
  expect((await call(`POST /factors/${factor.id}/challenge`, {}, stranger.accessToken)).body.code).toBe(
    "mfa_factor_not_found",
  );
  expect((await call(`DELETE /factors/${factor.id}`, undefined, stranger.accessToken)).status).toBe(404);
  expect((await call("DELETE /factors/1")).body.message).toBe("factor_id must be an UUID");
});

describe("an administrator", () => {
  const admin = (target: string, body?: unknown) => call(target, body, project.adminToken);

  test("lists, renames and deletes factors", async () => {
    const factor = await enroll();
    const raised = (await verify(factor)).body;
    expect((await admin(`GET /admin/users/${user.id}/factors`)).body).toMatchObject([
      { id: factor.id, status: "verified" },
    ]);
    const path = `/admin/users/${user.id}/factors/${factor.id}`;
    expect((await admin(`PUT ${path}`, { friendly_name: "renamed" })).body.friendly_name).toBe("renamed");
    expect((await admin(`DELETE ${path}`)).body.id).toBe(factor.id);
    expect(claimsOf((await refresh(raised.refresh_token)).body.access_token).aal).toBe("aal1");
    expect((await admin(`DELETE ${path}`)).body).toEqual({ code: "mfa_factor_not_found", message: "Factor not found" });
    expect((await call(`GET /admin/users/${user.id}/factors`)).body.code).toBe("not_admin");
  });

  test("reads who did what", async () => {
    const { body, headers } = await admin(`GET /admin/audit?query=author:${user.email}`);
    expect(headers["x-total-count"]).toBe(String(body.length));
    expect(body.map((entry: { payload: { action: string } }) => entry.payload.action).sort()).toEqual([
      "login",
      "user_signedup",
    ]);
    expect(body[0]).toMatchObject({
      payload: { actor_id: user.id, actor_username: user.email, log_type: expect.any(String) },
      created_at: expect.any(String),
      ip_address: "",
    });
    expect((await admin("GET /admin/audit?query=secret:x")).status).toBe(400);
    expect((await admin("GET /admin/audit?query=constructor:x")).status).toBe(400);
  });
});
