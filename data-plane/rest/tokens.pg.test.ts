import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";
import { signToken } from "./testing/request.ts";

// What a token has to be is in jwt/*.test.ts; here that a project's keys, settings and roles decide.
let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world?.close());

const withToken = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const roleOf = (token: string) => project.rows("GET /rpc/setting?name=role", withToken(token));

async function refusal(token: string): Promise<string> {
  const { status, body, headers } = await project.call("GET /tags", withToken(token));
  expect([status, headers["www-authenticate"]]).toEqual([
    401,
    `Bearer error="invalid_token", error_description="${body.message}"`,
  ]);
  return `${body.code} ${body.message}`;
}

describe("a token", () => {
  test("gives its role; without one, that of everybody", async () => {
    expect(await roleOf(project.token({ role: "service_role" }))).toBe("service_role");
    expect(await roleOf(project.token({ sub: "x" }))).toBe("anon");
    expect(await project.rows("GET /rpc/setting?name=role")).toBe("anon");
  });

  test("that is refused says why, and how to do better", async () => {
    expect(await refusal("")).toBe("PGRST301 Empty JWT is sent in Authorization header");
    expect(await refusal(project.token({ role: "anon", exp: 1 }))).toBe("PGRST303 JWT expired");
    const forged = signToken({ role: "service_role" }, "another secret of more than 32 characters");
    expect(await refusal(forged)).toBe("PGRST301 No suitable key or wrong key type");
  });

  test("is for the audience that the project names", async () => {
    const settings = { jwtAudience: "library" };
    const status = async (aud: unknown) =>
      (await project.call("GET /tags", { claims: { role: "anon", aud }, settings })).status;
    expect([await status("library"), await status(["other", "library"]), await status("other")]).toEqual([
      200, 200, 401,
    ]);
  });

  test("has its role where the project says", async () => {
    const claims = { app: { roles: ["x", "service_role"] } };
    for (const jwtRoleClaimKey of [".app.roles[1]", "$.app.roles[1]"]) {
      const role = await project.rows("GET /rpc/setting?name=role", { claims, settings: { jwtRoleClaimKey } });
      expect(role).toBe("service_role");
    }
  });
});

describe("roles that no token may have, although its signature is good", () => {
  test.each([
    "supabase_admin",
    "supabase_auth_admin",
    "supabase_storage_admin",
    "supabase_replication_admin",
    "postgres",
    "authenticator",
    "pg_read_all_data",
    "none",
  ])("%s, which belongs to a service or to nobody", async (role) => {
    expect(await project.call("GET /tags", { role })).toMatchObject({
      status: 403,
      body: { code: "42501", message: `permission denied to set role "${role}"` },
    });
  });

  test.each(["no_such_role", 'anon"; reset role; --'])("%j, which there is not", async (role) => {
    expect(await project.call("GET /tags", { role })).toMatchObject({ status: 401, body: { code: "22023" } });
  });

  test("the project's own logins", async () => {
    const { user } = project.snapshot.database;
    for (const role of [user, user.replace("authenticator", "user")]) {
      expect((await project.call("GET /tags", { role })).status).toBe(403);
    }
  });
});

describe("a project's keys", () => {
  const ec = keyPair(generateKeyPairSync("ec", { namedCurve: "P-256" }), "ES256", "new");
  const rsa = keyPair(generateKeyPairSync("rsa", { modulusLength: 1024 }), "RS256", "old");
  const ed = keyPair(generateKeyPairSync("ed25519"), "EdDSA", "older");
  const claims = { role: "service_role" };

  function keyPair(
    { publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject },
    alg: string,
    kid: string,
  ) {
    const jwk = (key: KeyObject) => ({ ...key.export({ format: "jwk" }), alg, kid }) as JsonWebKey;
    const token = (header: object = { alg, kid }) => {
      const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
      const signed = `${encode(header)}.${encode(claims)}`;
      const key = { key: privateKey, dsaEncoding: "ieee-p1363" as const };
      return `${signed}.${sign(alg === "EdDSA" ? null : "sha256", Buffer.from(signed), key).toString("base64url")}`;
    };
    return { public: jwk(publicKey), private: jwk(privateKey), token };
  }

  test("are the secret, the key that signs and those that still verify, each by its name or none", async () => {
    expect(await refusal(ec.token())).toBe("PGRST301 No suitable key or wrong key type");
    const { jwt } = project.snapshot;
    project.configure({}, { jwt: { ...jwt, signingKey: ec.private, verificationKeys: [rsa.public, ed.public] } });
    for (const token of [
      ec.token(),
      rsa.token(),
      ed.token(),
      ec.token({ alg: "ES256" }),
      rsa.token({ alg: "RS256" }),
      project.token(claims),
    ]) {
      expect(await roleOf(token)).toBe("service_role");
    }
    for (const token of [ec.token({ alg: "ES256", kid: "old" }), rsa.token({ alg: "RS256", kid: "gone" })]) {
      expect(await refusal(token)).toBe("PGRST301 No suitable key or wrong key type");
    }
  });

  test("are gone with the next snapshot, for tokens seen before as well", async () => {
    const { jwt } = project.snapshot;
    project.configure({}, { jwt: { ...jwt, signingKey: ec.private, verificationKeys: [rsa.public] } });
    expect(await roleOf(rsa.token({ alg: "RS256", kid: "old" }))).toBe("service_role");
    const token = rsa.token();
    expect(await roleOf(token)).toBe("service_role");
    project.configure({}, { jwt: { ...jwt, signingKey: ec.private, verificationKeys: [] } });
    expect(await refusal(token)).toBe("PGRST301 No suitable key or wrong key type");
    expect(await roleOf(ec.token())).toBe("service_role");
  });
});
