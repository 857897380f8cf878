/** Whatever is sent as a token: an identity comes only of a good signature, everything else is the client's error. */
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { InvalidRoleClaimKey, roleSelector } from "../../../control-plane/client/role-claim/role-claim.ts";
import { projectSnapshot } from "../../auth/testing/snapshot.ts";
import { configOfProject } from "../config.ts";
import { RestError } from "../error.ts";
import { Authenticator, type Identity } from "./identity.ts";

const SECRET = "a secret of at least 32 characters";
const config = {
  ...configOfProject(projectSnapshot()),
  jwtKeys: {
    secrets: [{ key: Buffer.from(SECRET), kid: undefined }],
    jwks: [],
    strictKid: false,
    revoked: new Set<string>(),
  },
  jwtAudience: "here",
};
const authenticator = new Authenticator(config, () => 1_700_000_000_000);

/** The identity of a header, or null when it is refused as a client's error. */
function attempt(authorization: string): Identity | null {
  try {
    return authenticator.authenticate(authorization);
  } catch (failure) {
    expect(failure).toBeInstanceOf(RestError);
    expect([401, 403]).toContain((failure as RestError).status);
    const challenges = (failure as RestError).headers.map(([, value]) => value);
    for (const challenge of challenges) expect(challenge).not.toMatch(/[\r\n\0]/);
    return null;
  }
}

const base64 = (text: string) => Buffer.from(text).toString("base64url");
const sign = (text: string, secret = SECRET) => createHmac("sha256", secret).update(text).digest("base64url");
const jsonText = fc.oneof(
  fc.json(),
  fc.string(),
  fc
    .dictionary(fc.constantFrom("alg", "kid", "role", "exp", "nbf", "iat", "aud", "sub", "__proto__"), fc.jsonValue())
    .map((claims) => JSON.stringify(claims)),
);

test("any Authorization header is an identity or a refusal", () => {
  const part = fc.oneof(jsonText.map(base64), fc.string(), fc.constant(base64('{"alg":"HS256"}')));
  const header = fc.oneof(
    fc.string(),
    fc.array(part, { maxLength: 5 }).map((parts) => `Bearer ${parts.join(".")}`),
  );
  fc.assert(
    fc.property(header, (authorization) => {
      const identity = attempt(authorization);
      if (identity !== null) expect(identity).toMatchObject({ role: "anon", authenticated: false });
    }),
    { numRuns: 1000 },
  );
});

test("any claims, well signed, are an identity or a refusal; a service's role is never one", () => {
  fc.assert(
    fc.property(jsonText, (payload) => {
      const signed = `${base64('{"alg":"HS256"}')}.${base64(payload)}`;
      const identity = attempt(`Bearer ${signed}.${sign(signed)}`);
      if (identity === null) return;
      expect(config.refusesRole(identity.role)).toBe(false);
      expect(JSON.parse(identity.claims)).toHaveProperty("role");
    }),
    { numRuns: 1000 },
  );
});

test("no change to a token's text keeps it good, also once the token is known", () => {
  const signed = `${base64('{"alg":"HS256"}')}.${base64('{"role":"authenticated","sub":"7"}')}`;
  const token = `${signed}.${sign(signed)}`;
  expect(attempt(`Bearer ${token}`)).toMatchObject({ role: "authenticated" });
  fc.assert(
    fc.property(fc.nat({ max: signed.length - 1 }), fc.constantFrom(..."AZaz09-_."), (index, character) => {
      fc.pre(token[index] !== character);
      expect(attempt(`Bearer ${token.slice(0, index)}${character}${token.slice(index + 1)}`)).toBe(null);
    }),
  );
});

test("another project's secret is no good here", () => {
  const signed = `${base64('{"alg":"HS256"}')}.${base64('{"role":"authenticated"}')}`;
  fc.assert(fc.property(fc.string(), (secret) => attempt(`Bearer ${signed}.${sign(signed, `${secret}!`)}`) === null));
});

test("any role claim key is a selector that fits any claims, or refused at start-up", () => {
  const token = fc.constantFrom(
    ..."$ . .. .a .\"b\" [0] [-1] [*] ['a'] [? @ == 'x' ] [?(@.a == \"x\")] search(@, 'a+') [?search(@.a, 'x')] * ( ) ' \" \\".split(
      " ",
    ),
  );
  const key = fc.oneof(
    fc.string(),
    fc.array(token, { maxLength: 6 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(key, fc.dictionary(fc.string(), fc.jsonValue()), (text, claims) => {
      try {
        const role = roleSelector(text)(claims);
        expect(role === null || typeof role === "string").toBe(true);
      } catch (failure) {
        expect(failure).toBeInstanceOf(InvalidRoleClaimKey);
      }
    }),
    { numRuns: 1000 },
  );
});
