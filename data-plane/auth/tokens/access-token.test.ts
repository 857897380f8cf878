import { exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from "jose";
import { beforeAll, expect, test } from "vitest";
import { projectSnapshot } from "../testing/snapshot.ts";
import { createAccessTokens, publicKeys } from "./access-token.ts";

const now = new Date("2026-01-01T00:00:00Z");
const exp = now.getTime() / 1000 + 60;
let signingKey: JWK;

beforeAll(async () => {
  const { privateKey } = await generateKeyPair("ES256", { extractable: true });
  signingKey = { ...(await exportJWK(privateKey)), alg: "ES256", kid: "k1" };
});

const withSigningKey = (overrides: object = {}) => {
  const snapshot = projectSnapshot();
  return { ...snapshot, jwt: { ...snapshot.jwt, signingKey, ...overrides } };
};

test("a token signed with the project's secret is verified, without a kid", async () => {
  const tokens = createAccessTokens();
  const project = projectSnapshot();
  const token = await tokens.sign(project, { sub: "u", exp });
  expect(JSON.parse(atob(token.split(".")[0] ?? ""))).toEqual({ alg: "HS256", typ: "JWT" });
  expect(await tokens.verify(project, token, now)).toMatchObject({ sub: "u" });
});

test("one project's token is refused by another, also right after it was verified by its own", async () => {
  const tokens = createAccessTokens();
  const [one, other] = [projectSnapshot(), projectSnapshot()];
  const token = await tokens.sign(one, { sub: "u", exp });
  await tokens.verify(one, token, now);
  await expect(tokens.verify(other, token, now)).rejects.toThrow("signature is invalid");
});

test("an expired token is refused although it was cached", async () => {
  const tokens = createAccessTokens();
  const project = projectSnapshot();
  const token = await tokens.sign(project, { sub: "u", exp });
  await tokens.verify(project, token, now);
  await expect(tokens.verify(project, token, new Date(exp * 1000))).rejects.toThrow("token is expired");
});

test("after the secret has rotated a cached token is refused", async () => {
  const tokens = createAccessTokens();
  const project = projectSnapshot();
  const token = await tokens.sign(project, { sub: "u", exp });
  await tokens.verify(project, token, now);
  const rotated = {
    ...project,
    version: project.version + 1,
    jwt: { ...project.jwt, secret: "another secret of at least 32 characters" },
  };
  await expect(tokens.verify(rotated, token, now)).rejects.toThrow("signature is invalid");
});

test("with a signing key tokens carry its kid, and the HS256 secret keeps verifying API keys", async () => {
  const tokens = createAccessTokens();
  const project = withSigningKey();
  const token = await tokens.sign(project, { sub: "u", exp });
  expect(JSON.parse(atob(token.split(".")[0] ?? ""))).toEqual({ alg: "ES256", typ: "JWT", kid: "k1" });
  expect(await tokens.verify(project, token, now)).toMatchObject({ sub: "u" });
  const apiKey = await new SignJWT({ role: "anon" })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(project.jwt.secret));
  expect(await tokens.verify(project, apiKey, now)).toMatchObject({ role: "anon" });
});

test("a public key is never taken for an HMAC secret", async () => {
  const tokens = createAccessTokens();
  const project = withSigningKey();
  const publicText = new TextEncoder().encode(JSON.stringify(publicKeys(project.jwt)[0]));
  const forged = await new SignJWT({ role: "service_role" })
    .setProtectedHeader({ alg: "HS256", kid: "k1" })
    .sign(publicText);
  await expect(tokens.verify(project, forged, now)).rejects.toThrow("signing method is invalid");
});

test("an unsigned token and an unknown kid are refused", async () => {
  const tokens = createAccessTokens();
  const project = withSigningKey();
  const unsigned = new UnsecuredJWT({ role: "service_role" }).encode();
  await expect(tokens.verify(project, unsigned, now)).rejects.toThrow();
  const token = await tokens.sign(project, { sub: "u", exp });
  await expect(tokens.verify(withSigningKey({ signingKey: null }), token, now)).rejects.toThrow("unrecognized JWT kid");
});

test("a key retired from signing still verifies", async () => {
  const tokens = createAccessTokens();
  const token = await tokens.sign(withSigningKey(), { sub: "u", exp });
  const retired = withSigningKey({ signingKey: null, verificationKeys: publicKeys(withSigningKey().jwt) });
  expect(await tokens.verify(retired, token, now)).toMatchObject({ sub: "u" });
});

test("published keys hold no private members and never the secret", () => {
  const [published] = publicKeys(withSigningKey().jwt);
  expect(published).toEqual({
    kty: "EC",
    crv: "P-256",
    x: signingKey.x,
    y: signingKey.y,
    alg: "ES256",
    kid: "k1",
    use: "sig",
    key_ops: ["verify"],
  });
  expect(publicKeys(projectSnapshot().jwt)).toEqual([]);
});
