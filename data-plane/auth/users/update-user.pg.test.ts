import { afterAll, beforeAll, beforeEach, expect, inject, test } from "vitest";
import {
  type AuthWorld,
  createAuthWorld,
  PASSWORD,
  type TestProject,
  type TestUser,
} from "../../../test/harness/auth-world.ts";

let world: AuthWorld;
let project: TestProject;
let user: TestUser;
let counter = 0;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject({ phoneEnabled: true, smsAutoconfirm: true });
});
afterAll(() => world.close());
beforeEach(async () => {
  counter += 1;
  user = await project.signUp({ email: `update-${counter}@example.com`, data: { name: "Ann", city: "Ulm" } });
});

const update = (body: object, bearer = user.accessToken) => project.call("PUT /user", { body, bearer });
const signIn = (password: string, email = user.email) =>
  project.call("POST /token?grant_type=password", { body: { email, password } });

test("metadata merges, and null deletes a key", async () => {
  const { status, body } = await update({ data: { city: null, age: 5 } });
  expect(status).toBe(200);
  expect(body.user_metadata).toMatchObject({ name: "Ann", age: 5, email: user.email });
  expect(body.user_metadata).not.toHaveProperty("city");
});

test("updates of metadata at the same time lose nothing", async () => {
  await Promise.all(["a", "b", "c", "d"].map((key) => update({ data: { [key]: 1 } })));
  const { body } = await project.call("GET /user", { bearer: user.accessToken });
  expect(body.user_metadata).toMatchObject({ a: 1, b: 1, c: 1, d: 1 });
});

test("application metadata is not the user's to write", async () => {
  const { status, body } = await update({ app_metadata: { plan: "gold" } });
  expect([status, body]).toEqual([
    403,
    { code: "not_admin", message: "Updating app_metadata requires admin privileges" },
  ]);
});

test("a new password ends the other sessions and voids what was mailed", async () => {
  const other = await signIn(PASSWORD);
  await project.db.query(
    "update auth.users set recovery_token = 'abc', recovery_sent_at = now(), confirmation_sent_at = now() where id = $1",
    [user.id],
  );
  expect((await update({ password: "a better battery" })).status).toBe(200);
  expect((await project.call("GET /user", { bearer: other.body.access_token })).body.code).toBe("session_not_found");
  expect((await project.call("GET /user", { bearer: user.accessToken })).status).toBe(200);
  expect((await signIn(PASSWORD)).body.code).toBe("invalid_credentials");
  expect((await signIn("a better battery")).status).toBe(200);
  const { rows } = await project.db.query(
    "select recovery_token, recovery_sent_at, confirmation_sent_at from auth.users where id = $1",
    [user.id],
  );
  expect(rows).toEqual([{ recovery_token: "", recovery_sent_at: null, confirmation_sent_at: null }]);
});

test.each([
  [{ password: PASSWORD }, 422, "same_password", "New password should be different from the old password."],
  [{ password: "short" }, 422, "weak_password", "Password should be at least 6 characters."],
  [{ password: "x".repeat(73) }, 400, "validation_failed", "Password cannot be longer than 72 characters"],
  [{ email: "nonsense" }, 400, "validation_failed", "Unable to validate email address: invalid format"],
  [{ phone: "0800" }, 400, "validation_failed", "Invalid phone number format (E.164 required)"],
])("%j is refused", async (body, status, code, message) => {
  const answer = await update(body);
  expect([answer.status, answer.body.code, answer.body.message]).toEqual([status, code, message]);
});

test("an address or a number of somebody else is refused", async () => {
  const other = await project.signUp({ email: `taken-${counter}@example.com` });
  await project.call("POST /signup", { body: { phone: `4917000000${counter}`, password: PASSWORD } });
  expect((await update({ email: other.email })).body).toEqual({
    code: "email_exists",
    message: "A user with this email address has already been registered",
  });
  expect((await update({ phone: `+4917000000${counter}` })).body).toEqual({
    code: "phone_exists",
    message: "A user with this phone number has already been registered",
  });
});

test("a new address waits for both mailboxes, and the same address changes nothing", async () => {
  const { body } = await update({ email: `moved-${counter}@example.com` });
  expect(body).toMatchObject({
    email: user.email,
    new_email: `moved-${counter}@example.com`,
    email_change_sent_at: expect.any(String),
  });
  const mails = project.mails.filter(({ variables }) => variables.Email === user.email);
  expect(mails.map(({ to }) => to).sort()).toEqual([`moved-${counter}@example.com`, user.email].sort());
  const same = await update({ email: user.email.toUpperCase() });
  expect(same.status).toBe(200);
  expect((await update({ email: `again-${counter}@example.com` })).body.code).toBe("over_email_send_rate_limit");
});

test("a new number is applied at once where numbers need no confirmation", async () => {
  const { body } = await update({ phone: `+491711111${counter}` });
  expect(body).toMatchObject({ phone: `491711111${counter}`, phone_confirmed_at: expect.any(String) });
  expect(body.app_metadata.providers).toEqual(["email", "phone"]);
});

test("an anonymous user becomes permanent by an address, and needs one for a password", async () => {
  const anonymous = await project.call("POST /signup", { body: {} });
  const bearer = anonymous.body.access_token;
  const refused = await update({ password: "a better battery" }, bearer);
  expect([refused.status, refused.body.message]).toEqual([
    422,
    "Updating password of an anonymous user without an email or phone is not allowed",
  ]);
  const { body } = await update({ email: `perm-${counter}@example.com`, password: "a better battery" }, bearer);
  expect(body).toMatchObject({
    is_anonymous: false,
    email: `perm-${counter}@example.com`,
    email_confirmed_at: expect.any(String),
    app_metadata: { provider: "email", providers: ["email"] },
  });
  expect(body.identities).toHaveLength(1);
  expect((await signIn("a better battery", `perm-${counter}@example.com`)).status).toBe(200);
});

test("the current password can be demanded", async () => {
  project.configure({ updatePasswordRequireCurrentPassword: true });
  expect((await update({ password: "a better battery" })).body.code).toBe("current_password_required");
  const wrong = await update({ password: "a better battery", current_password: "wrong one" });
  expect(wrong.body.code).toBe("current_password_invalid");
  expect((await update({ password: "a better battery", current_password: PASSWORD })).status).toBe(200);
  project.configure({ updatePasswordRequireCurrentPassword: false });
});

test("after a day a nonce can be demanded, and is good once", async () => {
  project.configure({ updatePasswordRequireReauthentication: true });
  await project.db.query("update auth.sessions set created_at = now() - interval '2 days' where user_id = $1", [
    user.id,
  ]);
  expect((await update({ password: "a better battery" })).body).toEqual({
    code: "reauthentication_needed",
    message: "Password update requires reauthentication",
  });
  expect((await project.call("GET /reauthenticate", { bearer: user.accessToken })).body).toEqual({});
  const nonce = project.mails.at(-1)?.variables.Token;
  const wrong = await update({ password: "a better battery", nonce: nonce === "000000" ? "111111" : "000000" });
  expect(wrong.body).toEqual({ code: "reauthentication_not_valid", message: "Nonce has expired or is invalid" });
  expect((await update({ password: "a better battery", nonce })).status).toBe(200);
  expect((await update({ password: "the best battery", nonce })).body.code).toBe("reauthentication_not_valid");
  project.configure({ updatePasswordRequireReauthentication: false });
});
