/** The unmodified client library against the service: what its own live tests assert, one instance as they set it up. */
import { randomUUID } from "node:crypto";
import { AuthClient } from "@supabase/auth-js";
import { createClient } from "@supabase/supabase-js";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { totpCode, totpStep } from "../../data-plane/auth/mfa/totp.ts";
import { createAccessTokens } from "../../data-plane/auth/tokens/access-token.ts";
import { type AuthWorld, createAuthWorld, type TestProject } from "../harness/auth-world.ts";
import { type AuthServer, startAuthServer } from "./auth-server.ts";

let world: AuthWorld;
let server: AuthServer;
let project: TestProject;
let url: string;
let adminKey: string;

beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  server = await startAuthServer(world.service.handle);
  project = await world.createProject({ phoneEnabled: true, smtpMaxFrequencySeconds: 1 });
  const { privateKey } = await generateKeyPair("RS256", { extractable: true });
  const signingKey = { ...(await exportJWK(privateKey)), alg: "RS256", kid: "key-1", key_ops: ["sign"] };
  project.replace({ jwt: { ...project.snapshot.jwt, signingKey } });
  url = `${server.mount(project)}/auth/v1`;
  adminKey = await createAccessTokens().sign(project.snapshot, { role: "supabase_admin", sub: "admin" });
});
afterAll(async () => {
  await server.close();
  await world.close();
});

/** Sends an `apikey` alone, as the library's own tests do. */
const newClient = (options: object = {}) =>
  new AuthClient({
    url,
    headers: { apikey: "anon-key" },
    autoRefreshToken: false,
    storageKey: randomUUID(),
    ...options,
  });
const admin = () => newClient({ headers: { Authorization: `Bearer ${adminKey}` } }).admin;

let client: InstanceType<typeof AuthClient>;
let email: string;
const password = "correct horse battery";
beforeEach(() => {
  client = newClient();
  email = `user-${randomUUID().slice(0, 8)}@example.com`;
});
const signUp = () => client.signUp({ email, password });

describe("signing up and in", () => {
  test("a sign-up gives session and user, and its data", async () => {
    const { data, error } = await client.signUp({
      email,
      password,
      options: { data: { status: "alpha" }, emailRedirectTo: "garbage" },
    });
    expect(error).toBeNull();
    expect(data.session?.token_type).toBe("bearer");
    expect(data.user).toMatchObject({ email, user_metadata: { status: "alpha" } });
  });

  test("the second one is told that the first was there", async () => {
    await signUp();
    const { data, error } = await signUp();
    expect(error?.message).toMatch(/^User already registered/);
    expect(data).toEqual({ session: null, user: null });
  });

  test("a weak password and a bad address have texts that apps match on", async () => {
    const weak = await client.signUp({ email, password: "12345" });
    expect(weak.error?.message).toContain("Password should be at least 6 characters");
    expect(weak.error).toMatchObject({ name: "AuthWeakPasswordError", reasons: ["length"], status: 422 });
    for (const bad of ["a", "xx:;x@x.x"]) {
      const { error } = await client.signUp({ email: bad, password });
      expect(error?.message).toContain("Unable to validate email address: invalid format");
    }
  });

  test("a sign-in gives a user with all that apps read", async () => {
    await signUp();
    const { data } = await client.signInWithPassword({ email, password });
    expect(data.user).toMatchObject({
      id: expect.any(String),
      email,
      phone: "",
      aud: "authenticated",
      email_confirmed_at: expect.any(String),
      last_sign_in_at: expect.any(String),
      created_at: expect.any(String),
      updated_at: expect.any(String),
      app_metadata: { provider: "email" },
    });
    const { error } = await client.signInWithPassword({ email, password: "wrong" });
    expect(error).toMatchObject({ message: "Invalid login credentials", code: "invalid_credentials", status: 400 });
  });

  test("an anonymous user has exactly its data", async () => {
    const { data } = await client.signInAnonymously({ options: { data: { theme: "dark" } } });
    expect(data.user?.is_anonymous).toBe(true);
    expect(data.user?.user_metadata).toEqual({ theme: "dark" });
    const { error } = await client.reauthenticate();
    expect(error?.message).toContain("Reauthentication requires the user to have an email or a phone number");
  });
});

describe("a session", () => {
  test("is refreshed to new tokens", async () => {
    const { data } = await signUp();
    world.advance(1);
    const refreshed = await client.refreshSession();
    expect(refreshed.error).toBeNull();
    expect(refreshed.data.session?.token_type).toBe("bearer");
    expect(refreshed.data.session?.refresh_token).not.toBe(data.session?.refresh_token);
    expect(refreshed.data.session?.access_token).not.toBe(data.session?.access_token);
  });

  test.each(["invalid", "abcdefghijkl"])("is not made of the refresh token %s", async (refresh_token) => {
    const { error } = await client.refreshSession({ refresh_token });
    expect(error?.message).toMatch(/Invalid Refresh Token|Refresh token is not valid/);
  });

  test("updates its user, who is gone after signing out", async () => {
    await signUp();
    const { data } = await client.updateUser({ data: { hello: "world" } });
    expect(data.user?.user_metadata).toMatchObject({ hello: "world" });
    expect((await client.reauthenticate()).error).toBeNull();
    expect((await client.signOut()).error).toBeNull();
    expect((await client.getUser()).data.user).toBeNull();
  });

  test("ends without an error when an administrator has deleted the user", async () => {
    const { data } = await signUp();
    await admin().deleteUser(data.user?.id ?? "");
    expect((await client.signOut()).error).toBeNull();
  });

  test("has claims that are verified with the published key, without asking for the user", async () => {
    await signUp();
    const before = server.log.filter((line) => line === "GET /user").length;
    const { data, error } = await client.getClaims();
    await client.getClaims();
    expect(error).toBeNull();
    expect(data?.header).toMatchObject({ alg: "RS256", kid: "key-1" });
    expect(data?.claims).toMatchObject({
      sub: expect.any(String),
      role: "authenticated",
      aud: "authenticated",
      exp: expect.any(Number),
      iat: expect.any(Number),
      amr: [{ method: "password", timestamp: expect.any(Number) }],
    });
    expect(server.log.filter((line) => line === "GET /user")).toHaveLength(before);
  });

  test("a forged HS256 token is not one", async () => {
    const forged = await new SignJWT({ sub: randomUUID(), role: "authenticated" })
      .setProtectedHeader({ alg: "HS256" })
      .setExpirationTime("1h")
      .sign(new TextEncoder().encode("a secret of somebody else, 32 characters"));
    const { error } = await client.getUser(forged);
    expect(error?.message).toContain("unable to parse or verify signature");
    expect((await admin().signOut("garbage")).error?.message).toMatch(/^invalid JWT/);
  });
});

describe("by mail", () => {
  test("unknown addresses get no error", async () => {
    expect(await client.resetPasswordForEmail(email)).toMatchObject({ data: {}, error: null });
    expect(await client.resend({ type: "signup", email })).toMatchObject({ error: null });
    const otp = await client.signInWithOtp({ email });
    expect([otp.error, otp.data.user]).toEqual([null, null]);
    const known = await client.signInWithOtp({ email: `x${email}`, options: { shouldCreateUser: false } });
    expect(known.error?.message).toBe("Signups not allowed for otp");
  });

  test("an OTP signs in, a link's hash as well", async () => {
    await client.signInWithOtp({ email });
    const code = project.mails.at(-1)?.variables.Token ?? "";
    const { data, error } = await client.verifyOtp({ email, token: code, type: "email" });
    expect([error, data.user?.email]).toEqual([null, email]);
    world.advance(2);
    await client.resetPasswordForEmail(email);
    const token_hash = project.mails.at(-1)?.variables.TokenHash ?? "";
    const verified = await newClient().verifyOtp({ token_hash, type: "recovery" });
    expect(verified.data.session?.user.email).toBe(email);
  });

  test("in the PKCE flow the link's code is exchanged", async () => {
    const pkce = newClient({ flowType: "pkce" });
    await pkce.signInWithOtp({ email });
    const link = project.mails.at(-1)?.variables.ConfirmationURL ?? "";
    const response = await fetch(link, { redirect: "manual" });
    const code = new URL(response.headers.get("location") ?? "").searchParams.get("code") ?? "";
    const { data, error } = await pkce.exchangeCodeForSession(code);
    expect([error, data.session?.user.email]).toEqual([null, email]);
  });

  test("phone codes fail as they should", async () => {
    expect((await client.signInWithOtp({ phone: "+491700000001" })).error).not.toBeNull();
    const unknown = await client.verifyOtp({ phone: "+491700000001", token: "123456", type: "sms" });
    expect(unknown.error).toMatchObject({ message: "Token has expired or is invalid", status: 403 });
    const letters = await client.verifyOtp({ phone: "abc", token: "123456", type: "sms" });
    expect(letters.error?.message).toBe("Invalid phone number format (E.164 required)");
    expect((await client.resend({ type: "sms", phone: "+491700000001" })).error).toBeNull();
  });
});

describe("what is off", () => {
  test("says so", async () => {
    await signUp();
    const { data } = await client.getUserIdentities();
    expect(data?.identities).toHaveLength(1);
    const [identity] = data?.identities ?? [];
    expect(identity).toMatchObject({ provider: "email", identity_data: { email } });
    if (!identity) throw new Error("unreachable");
    expect((await client.unlinkIdentity(identity)).error?.message).toContain("Manual linking is disabled");
    expect((await client.linkIdentity({ provider: "google" })).error?.message).toContain("Manual linking is disabled");
    expect((await client.signInWithSSO({ providerId: "x" })).error?.message).toContain("SAML 2.0 is disabled");
    const idToken = await client.signInWithIdToken({ provider: "google", token: "junk" });
    expect(idToken.error?.message).toMatch(/not enabled|Bad ID token/);
  });
});

describe("a second factor", () => {
  test("is enrolled, challenged, verified and given up", async () => {
    expect((await client.mfa.enroll({ factorType: "totp" })).error?.message).toMatch(/session missing|Bearer token/);
    await signUp();
    const enrolled = await client.mfa.enroll({ factorType: "totp", friendlyName: "phone" });
    if (enrolled.error) throw enrolled.error;
    expect(enrolled.data.totp.qr_code).toMatch(/^data:image\/svg\+xml;utf-8,<svg/);
    const factorId = enrolled.data.id;
    const challenge = await client.mfa.challenge({ factorId });
    expect(challenge.data).toMatchObject({ id: expect.any(String), expires_at: expect.any(Number) });
    const wrong = await client.mfa.verify({ factorId, challengeId: challenge.data?.id ?? "", code: "1234567" });
    expect(wrong.error?.message).toContain("Invalid TOTP code");
    const code = totpCode(enrolled.data.totp.secret, totpStep(world.now()));
    expect((await client.mfa.challengeAndVerify({ factorId, code })).error).toBeNull();
    const level = await client.mfa.getAuthenticatorAssuranceLevel();
    expect(level.data).toMatchObject({ currentLevel: "aal2", nextLevel: "aal2" });
    expect((await client.mfa.unenroll({ factorId })).error).toBeNull();
    expect((await client.mfa.listFactors()).data?.all).toEqual([]);
    expect((await client.mfa.challenge({ factorId: "bad" })).error).not.toBeNull();
  });
});

describe("an administrator", () => {
  test("creates users with exactly the given metadata, unconfirmed unless said", async () => {
    const { data } = await admin().createUser({
      email,
      password,
      user_metadata: { a: 1 },
      app_metadata: { plan: "x" },
    });
    expect(data.user?.user_metadata).toEqual({ a: 1 });
    expect(data.user?.email_confirmed_at).toBeFalsy();
    expect(data.user?.app_metadata).toMatchObject({ provider: "email", providers: ["email"], plan: "x" });
  });

  test("lists the newest first, with the pages to follow", async () => {
    const { data: created } = await admin().createUser({ email });
    const { data, error } = await admin().listUsers({ page: 1, perPage: 1 });
    expect(error).toBeNull();
    expect(data).toMatchObject({ aud: "authenticated", nextPage: 2 });
    expect(data.users.map(({ id }) => id)).toEqual([created.user?.id]);
    expect("total" in data && data.total).toBeGreaterThan(1);
    expect((await admin().listUsers({ page: -1 })).error).not.toBeNull();
  });

  test("finds, changes and deletes users; unknown ones are errors", async () => {
    const { data } = await admin().createUser({ email });
    const id = data.user?.id ?? "";
    expect((await admin().getUserById(id)).data.user?.email).toBe(email);
    const changed = await admin().updateUserById(id, { email: `changed-${email}`, app_metadata: { role: "editor" } });
    expect(changed.data.user).toMatchObject({
      email: `changed-${email}`,
      app_metadata: { role: "editor", provider: "email" },
    });
    expect((await admin().deleteUser(id)).error).toBeNull();
    for (const unknown of [id, randomUUID()]) {
      expect((await admin().getUserById(unknown)).data.user).toBeNull();
      expect((await admin().updateUserById(unknown, {})).error).not.toBeNull();
    }
  });

  test("generates links and invites", async () => {
    const link = await admin().generateLink({
      type: "signup",
      email,
      password,
      options: { data: { status: "alpha" }, redirectTo: "http://localhost:9999/welcome" },
    });
    expect(link.data.user?.user_metadata).toEqual({ status: "alpha" });
    expect(link.data.properties?.action_link).toMatch(/\?token=.*type=signup.*redirect_to=http/);
    expect(link.data.properties?.action_link.startsWith(`${url}/verify`)).toBe(true);
    const change = await admin().generateLink({ type: "email_change_current", email, newEmail: `new-${email}` });
    expect(change.data.user?.new_email).toBe(`new-${email}`);
    const invited = await admin().inviteUserByEmail(`invited-${email}`);
    expect(invited.data.user?.invited_at).toEqual(expect.any(String));
  });

  test("reads and deletes factors", async () => {
    const { data } = await signUp();
    const userId = data.user?.id ?? "";
    const enrolled = await client.mfa.enroll({ factorType: "totp" });
    const { data: listed } = await admin().mfa.listFactors({ userId });
    expect(JSON.stringify(listed)).toContain(enrolled.data?.id);
    const deleted = await admin().mfa.deleteFactor({ userId, id: enrolled.data?.id ?? "" });
    expect(JSON.stringify(deleted.data)).toContain(enrolled.data?.id); // the library wraps it once more than it says
  });
});

describe("two projects", () => {
  test("do not accept each other's tokens, users or administrators", async () => {
    const other = await world.createProject();
    const otherUrl = server.mount(other);
    const otherKey = await createAccessTokens().sign(other.snapshot, { role: "anon" });
    const ownKey = await createAccessTokens().sign(project.snapshot, { role: "anon" });
    const options = { auth: { persistSession: false, autoRefreshToken: false } };
    const own = createClient(url.replace("/auth/v1", ""), ownKey, options);
    const foreign = createClient(otherUrl, otherKey, options);

    const { data } = await own.auth.signUp({ email, password });
    expect(data.user?.email).toBe(email);
    const token = data.session?.access_token ?? "";
    expect((await own.auth.getUser(token)).data.user?.email).toBe(email);

    expect((await foreign.auth.getUser(token)).error).toMatchObject({ status: 403, code: "bad_jwt" });
    expect((await foreign.auth.signInWithPassword({ email, password })).error?.code).toBe("invalid_credentials");
    const refreshed = await foreign.auth.refreshSession({ refresh_token: data.session?.refresh_token ?? "" });
    expect(refreshed.error?.code).toBe("refresh_token_not_found");
    const foreignAdmin = createClient(otherUrl, adminKey, options);
    expect((await foreignAdmin.auth.admin.listUsers()).error).toMatchObject({ status: 403, code: "bad_jwt" });
  });
});
