import { hash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ANON_JWT, keyEntry, PUBLISHABLE, ROLE_TOKENS, SECRET, SERVICE_JWT, snapshot } from "../snapshot.fixture.ts";
import { type Credentials, decideCredentials, KeyRing } from "./api-key.ts";
import type { ProxyRoute } from "./route.ts";
import { matchRoute } from "./route.ts";

const USER_JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.dXNlci1zaWduYXR1cmU";

function decide(path: string, sent: Partial<Credentials>, project = snapshot()) {
  const route = matchRoute(path) as ProxyRoute;
  const credentials = { apikey: "", authorization: "", query: "", ...sent };
  return decideCredentials(project, new KeyRing(project.apiKeys), route, credentials);
}

const passed = (path: string, sent: Partial<Credentials>, project = snapshot()) => {
  const decision = decide(path, sent, project);
  if (decision.kind !== "pass") throw new Error(decision.code);
  return decision.credentials;
};

describe("which key a route asks for", () => {
  test.each(["/rest/v1/todos", "/auth/v1/user", "/graphql/v1", "/realtime/v1/api/broadcast", "/realtime/v1/websocket"])(
    "%s refuses a request without a key, and one with an unknown key",
    (path) => {
      expect(decide(path, {})).toEqual({ kind: "reject", code: "api_key_missing" });
      expect(decide(path, { apikey: "sb_publishable_other" })).toEqual({ kind: "reject", code: "api_key_invalid" });
      expect(decide(path, { apikey: USER_JWT })).toEqual({ kind: "reject", code: "api_key_invalid" });
    },
  );

  test("a bearer token alone is no key", () => {
    expect(decide("/rest/v1/todos", { authorization: `Bearer ${ANON_JWT}` })).toMatchObject({
      code: "api_key_missing",
    });
  });

  test("the OpenAPI root is for the service role", () => {
    expect(decide("/rest/v1/", { apikey: ANON_JWT })).toMatchObject({ code: "service_key_required" });
    expect(decide("/rest/v1/", { apikey: PUBLISHABLE })).toMatchObject({ code: "service_key_required" });
    expect(decide("/rest/v1/", { apikey: SERVICE_JWT })).toMatchObject({ kind: "pass" });
    expect(decide("/rest/v1/", { apikey: SECRET })).toMatchObject({ kind: "pass" });
  });

  test.each(["/auth/v1/verify", "/storage/v1/object/public/a/b"])("%s is open", (path) => {
    expect(decide(path, {})).toMatchObject({ kind: "pass" });
    expect(decide(path, { apikey: "anything" })).toMatchObject({ kind: "pass" });
  });

  test("a project that does not insist treats a missing key as anonymous, but not at the OpenAPI root", () => {
    const lax = snapshot({ requireApiKey: false });
    expect(passed("/rest/v1/todos", {}, lax)).toEqual({ apikey: "", authorization: "", query: "" });
    expect(decide("/rest/v1/", {}, lax)).toMatchObject({ code: "api_key_missing" });
  });
});

describe("what becomes of the credentials", () => {
  test("a legacy key stands in for a missing token", () => {
    expect(passed("/rest/v1/todos", { apikey: ANON_JWT })).toEqual({
      apikey: ANON_JWT,
      authorization: `Bearer ${ANON_JWT}`,
      query: "",
    });
  });

  test.each([
    [PUBLISHABLE, ROLE_TOKENS.anon],
    [SECRET, ROLE_TOKENS.service_role],
  ])("%s is replaced by its role's token, as key and as bearer", (key, token) => {
    const expected = { apikey: token, authorization: `Bearer ${token}`, query: "" };
    expect(passed("/rest/v1/todos", { apikey: key })).toEqual(expected);
    expect(passed("/rest/v1/todos", { apikey: key, authorization: `Bearer ${key}` })).toEqual(expected);
    expect(passed("/auth/v1/admin/users", { apikey: key })).toEqual(expected);
    expect(passed("/auth/v1/admin/users", { apikey: key, authorization: `bearer  ${key}` })).toEqual(expected);
  });

  test("the key counts, not an opaque bearer beside it", () => {
    const { authorization } = passed("/rest/v1/todos", { apikey: PUBLISHABLE, authorization: `Bearer ${SECRET}` });
    expect(authorization).toBe(`Bearer ${ROLE_TOKENS.anon}`);
  });

  test("a user's token passes unchanged", () => {
    const { authorization } = passed("/rest/v1/todos", { apikey: SECRET, authorization: `Bearer ${USER_JWT}` });
    expect(authorization).toBe(`Bearer ${USER_JWT}`);
  });

  test("a bare legacy key is no user's token on auth", () => {
    expect(passed("/auth/v1/user", { apikey: ANON_JWT }).authorization).toBe("");
  });

  test("an opaque bearer without a key is dropped", () => {
    expect(passed("/storage/v1/object/a", { authorization: `Bearer ${SECRET}` }).authorization).toBe("");
  });

  test("an unknown opaque key is not passed on where no key is needed", () => {
    const credentials = passed("/storage/v1/object/a", { apikey: "sb_secret_unknown" });
    expect(credentials).toEqual({ apikey: "", authorization: "", query: "" });
  });

  test("S3 signatures cover headers and query: nothing is touched", () => {
    const sent = { apikey: "", authorization: "AWS4-HMAC-SHA256 Credential=x", query: "apikey=1&X-Amz-Date=2" };
    expect(passed("/storage/v1/s3/bucket", sent)).toEqual(sent);
  });

  test("a socket's Authorization stays as it is", () => {
    expect(passed("/realtime/v1/websocket", { query: `apikey=${SECRET}&vsn=1.0.0` })).toEqual({
      apikey: ROLE_TOKENS.service_role,
      authorization: "",
      query: `vsn=1.0.0&apikey=${ROLE_TOKENS.service_role}`,
    });
  });
});

describe("a key in the query", () => {
  test("stands in for the header, and is no filter for REST", () => {
    expect(passed("/rest/v1/todos", { query: `select=id&apikey=${PUBLISHABLE}&id=eq.1` })).toEqual({
      apikey: ROLE_TOKENS.anon,
      authorization: `Bearer ${ROLE_TOKENS.anon}`,
      query: "select=id&id=eq.1",
    });
  });

  test("is found in every spelling, and only the checked one goes on", () => {
    const { query } = passed("/realtime/v1/websocket", {
      query: `%61pikey=${PUBLISHABLE}&apikey=${SECRET}&a%70ikey=x&vsn=2.0.0`,
    });
    expect(query).toBe(`vsn=2.0.0&apikey=${ROLE_TOKENS.anon}`);
  });

  test("does not win over the header", () => {
    const { apikey } = passed("/auth/v1/user", { apikey: PUBLISHABLE, query: `apikey=${SECRET}` });
    expect(apikey).toBe(ROLE_TOKENS.anon);
  });
});

describe("a revoked key", () => {
  const revoked = snapshot({
    requireApiKey: false,
    apiKeys: [keyEntry(ANON_JWT, "anon"), keyEntry(SERVICE_JWT, "service_role", { revoked: true })],
  });

  test.each(["/rest/v1/todos", "/auth/v1/user", "/auth/v1/verify", "/storage/v1/object/a", "/storage/v1/s3/a"])(
    "is refused as key and as bearer on %s",
    (path) => {
      const refusal = { kind: "reject", code: "api_key_invalid" };
      expect(decide(path, { apikey: SERVICE_JWT }, revoked)).toEqual(refusal);
      expect(decide(path, { query: `apikey=${SERVICE_JWT}` }, revoked)).toEqual(refusal);
      expect(decide(path, { apikey: ANON_JWT, authorization: `Bearer ${SERVICE_JWT}` }, revoked)).toEqual(refusal);
      expect(decide(path, { authorization: `bearer   ${SERVICE_JWT}` }, revoked)).toEqual(refusal);
      expect(decide(path, { authorization: SERVICE_JWT }, revoked)).toEqual(refusal);
    },
  );

  test("is refused in every spelling of the same signature", () => {
    // 43 characters carry 258 bits for 256: the last character has four spellings that decode to the same bytes.
    const signature = Buffer.alloc(32, 7).toString("base64url");
    const token = `eyJh.eyJy.${signature}`;
    const project = snapshot({ apiKeys: [keyEntry(ANON_JWT, "anon"), keyEntry(token, "anon", { revoked: true })] });
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = alphabet.indexOf(signature.at(-1) as string);
    const sibling = `eyJh.eyJy.${signature.slice(0, -1)}${alphabet[last + 1]}`;
    for (const spelling of [
      token,
      sibling,
      `${token}=`,
      `${token.slice(0, -2)}+${token.slice(-1)}`,
      `${token.slice(0, -2)}%${token.slice(-2)}`,
      `\u00a0${token}`,
      `${token.slice(0, -1)}%${signature.charCodeAt(42).toString(16)}`,
    ]) {
      const decision = decide("/storage/v1/object/a", { authorization: `Bearer ${spelling}` }, project);
      expect(decision, spelling).toEqual({ kind: "reject", code: "api_key_invalid" });
    }
  });

  test("is hashed once a snapshot however often its bearer asks, and so is every other token", () => {
    const ring = new KeyRing([keyEntry(SERVICE_JWT, "service_role", { revoked: true })]);
    expect([ring.holdsRevokedToken(USER_JWT), ring.holdsRevokedToken(USER_JWT)]).toEqual([false, false]);
    const started = performance.now();
    const long = `Bearer ${"a".repeat(30_000)}`; // a reader that goes back over it at each character takes seconds
    for (let count = 0; count < 100; count++) ring.holdsRevokedToken(`${long}${count}`);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test("leaves the project's other keys alone", () => {
    expect(decide("/rest/v1/todos", { apikey: ANON_JWT }, revoked)).toMatchObject({ kind: "pass" });
  });
});

test.each(["apikey", "authorization"])("what the gateway says in place of an opaque key is refused as %s", (name) => {
  for (const token of Object.values(ROLE_TOKENS)) {
    for (const value of [token, `Bearer ${token}`, `x ${token} y`]) {
      const sent = { apikey: PUBLISHABLE, [name]: value };
      expect(decide("/rest/v1/todos", sent)).toEqual({ kind: "reject", code: "api_key_invalid" });
    }
  }
});

test("a key ring remembers only keys that are listed, so that it cannot be filled from outside", () => {
  const ring = new KeyRing([keyEntry(ANON_JWT, "anon")]);
  expect(ring.find(ANON_JWT)).toBe(ring.find(ANON_JWT));
  expect(ring.find("other")).toBeNull();
  expect(ring.find(hash("sha256", ANON_JWT, "hex"))).toBeNull();
});
