import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { projectSnapshot } from "../../auth/testing/snapshot.ts";
import { configOfProject, type RestConfig, type VerificationKeys } from "../config.ts";
import { signToken } from "../testing/request.ts";
import { Authenticator } from "./identity.ts";

const SECRET = "a secret of at least 32 characters";
const NOW = 1_700_000_000_000;
const SECONDS = NOW / 1000;

function authenticator(override: Partial<RestConfig> = {}, now = () => NOW): Authenticator {
  const keys: VerificationKeys = {
    secrets: [{ key: Buffer.from(SECRET), kid: undefined }],
    jwks: [],
    strictKid: true,
    revoked: new Set(),
  };
  return new Authenticator({ ...configOfProject(projectSnapshot()), jwtKeys: keys, ...override }, now);
}

const bearer = (claims: Record<string, unknown>, secret = SECRET, header?: { alg: string }) =>
  `Bearer ${signToken(claims, secret, header)}`;

test("without a token the anonymous role, with one its role", () => {
  expect(authenticator().authenticate(undefined)).toEqual({
    role: "anon",
    claims: '{"role":"anon"}',
    authenticated: false,
  });
  expect(authenticator().authenticate(bearer({ role: "authenticated", sub: "x" }))).toEqual({
    role: "authenticated",
    claims: '{"role":"authenticated","sub":"x"}',
    authenticated: true,
  });
});

test("the scheme's case does not matter, another scheme is none", () => {
  expect(authenticator().authenticate(bearer({ role: "a" }).replace("Bearer", "bEARER")).role).toBe("a");
  expect(authenticator().authenticate("Basic abc").role).toBe("anon");
});

test.each([
  ["without a role", { sub: "x" }, '{"sub":"x","role":"anon"}'],
  ["of the anonymous role", { role: "anon", sub: "x" }, '{"role":"anon","sub":"x"}'],
])("a token %s is anonymous, and nobody is authenticated by it", (_, claims, shown) => {
  expect(authenticator().authenticate(bearer(claims))).toEqual({ role: "anon", claims: shown, authenticated: false });
});

test.each([
  ["Bearer ", "PGRST301", "Empty JWT is sent in Authorization header"],
  ["Bearer a.b", "PGRST301", "Expected 3 parts in JWT; got 2"],
  ["Bearer a.b.c", "PGRST301", "JWT cryptographic operation failed"],
  [bearer({}, "another secret of at least 32 characters"), "PGRST301", "No suitable key or wrong key type"],
  [bearer({}, SECRET, { alg: "none" }), "PGRST301", "Wrong or unsupported encoding algorithm"],
  [bearer({ exp: SECONDS - 31 }), "PGRST303", "JWT expired"],
  [bearer({ nbf: SECONDS + 31 }), "PGRST303", "JWT not yet valid"],
  [bearer({ iat: SECONDS + 31 }), "PGRST303", "JWT issued at future"],
  [bearer({ exp: "soon" }), "PGRST303", "The JWT 'exp' claim must be a number"],
  [bearer({ aud: { x: 1 } }), "PGRST303", "The JWT 'aud' claim must be a string or an array of strings"],
])("%s is refused with %s %s", (authorization, code, message) => {
  expect(() => authenticator().authenticate(authorization)).toThrow(
    expect.objectContaining({
      code,
      message,
      status: 401,
      headers: [["WWW-Authenticate", `Bearer error="invalid_token", error_description="${message}"`]],
    }),
  );
});

test("thirty seconds of skew are forgiven, also to a token seen before", () => {
  let now = NOW;
  const known = authenticator({}, () => now);
  const token = bearer({ exp: SECONDS, role: "a" });
  now = NOW + 29_000;
  expect(known.authenticate(token).role).toBe("a");
  now = NOW + 31_000;
  expect(() => known.authenticate(token)).toThrow("JWT expired");
});

test.each([
  [null, undefined, true],
  ["us", "us", true],
  ["us", ["them", "us"], true],
  ["us", [], true],
  ["us", null, true],
  ["us", "them", false],
  ["us", "", false],
])("audience %s against %j", (jwtAudience, aud, passes) => {
  const attempt = () => authenticator({ jwtAudience }).authenticate(bearer({ aud }));
  if (passes) expect(attempt).not.toThrow();
  else expect(attempt).toThrow("JWT not in audience");
});

test("without an anonymous role everybody must have a token with a role", () => {
  expect(() => authenticator({ anonRole: null }).authenticate(undefined)).toThrow(
    expect.objectContaining({ code: "PGRST302", headers: [["WWW-Authenticate", "Bearer"]] }),
  );
  expect(() => authenticator({ anonRole: null }).authenticate(bearer({}))).toThrow("Anonymous access is disabled");
});

test("without keys a token is the server's fault", () => {
  expect(() => authenticator({ jwtKeys: null }).authenticate(bearer({}))).toThrow(
    expect.objectContaining({ code: "PGRST300", status: 500 }),
  );
});

test("a role claim key that cannot be read is told to those with a token and stops nobody else", () => {
  const broken = authenticator({ jwtRoleClaimKey: "$.roles[" });
  expect(broken.authenticate(undefined).role).toBe("anon");
  expect(() => broken.authenticate(bearer({ role: "service_role" }))).toThrow(
    expect.objectContaining({ code: "PGRST300", status: 500, message: "jwt-role-claim-key is no JSON path: $.roles[" }),
  );
});

test.each([
  "supabase_auth_admin",
  "supabase_admin",
  "project_abc_user",
  "postgres",
  "authenticator",
  "pg_read_all_data",
])("no token may be %s, though the login could", (role) => {
  const known = authenticator();
  for (let time = 0; time < 2; time += 1) {
    expect(() => known.authenticate(bearer({ role }))).toThrow(
      expect.objectContaining({ status: 403, code: "42501", message: `permission denied to set role "${role}"` }),
    );
  }
});

describe("asymmetric keys", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "one", alg: "ES256" } as JsonWebKey;
  const token = (header: object, claims: object) => {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${encode(header)}.${encode(claims)}`;
    const signature = sign("sha256", Buffer.from(signed), { key: privateKey, dsaEncoding: "ieee-p1363" });
    return `Bearer ${signed}.${signature.toString("base64url")}`;
  };
  const keys: VerificationKeys = { secrets: [], jwks: [jwk], strictKid: true, revoked: new Set() };

  test("the key named by kid is tried, or all when none is named", () => {
    expect(authenticator({ jwtKeys: keys }).authenticate(token({ alg: "ES256", kid: "one" }, { role: "a" })).role).toBe(
      "a",
    );
    expect(authenticator({ jwtKeys: keys }).authenticate(token({ alg: "ES256" }, { role: "a" })).role).toBe("a");
    expect(() => authenticator({ jwtKeys: keys }).authenticate(token({ alg: "ES256", kid: "two" }, {}))).toThrow(
      "No suitable key",
    );
  });

  test("a public key is no HMAC secret", () => {
    const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
    expect(() => authenticator({ jwtKeys: keys }).authenticate(bearer({ role: "service_role" }, pem))).toThrow(
      "No suitable key",
    );
    expect(() =>
      authenticator({ jwtKeys: keys }).authenticate(bearer({ role: "service_role" }, JSON.stringify(jwk))),
    ).toThrow("No suitable key");
  });
});

test("a key that is for encryption verifies nothing", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode({ alg: "EdDSA" })}.${encode({ role: "authenticated" })}`;
  const authorization = `Bearer ${signed}.${sign(null, Buffer.from(signed), privateKey).toString("base64url")}`;
  const withUse = (use: string) => {
    const jwk = { ...publicKey.export({ format: "jwk" }), use } as JsonWebKey;
    return authenticator({ jwtKeys: { secrets: [], jwks: [jwk], strictKid: true, revoked: new Set() } });
  };
  expect(withUse("sig").authenticate(authorization).role).toBe("authenticated");
  expect(() => withUse("enc").authenticate(authorization)).toThrow(expect.objectContaining({ code: "PGRST301" }));
});
