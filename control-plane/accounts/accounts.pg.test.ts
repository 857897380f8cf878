import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";
import { ensureInstanceOwner } from "./instance-owner.ts";
import { ensureServiceToken } from "./service-tokens.ts";

const SIGN_UP = "mutation SignUp($input: SignUpInput!) { signUp(input: $input) { id email isInstanceOwner } }";
const SIGN_IN =
  "mutation SignIn($email: String!, $password: String!) { signIn(email: $email, password: $password) { id } }";
const PASSWORD = "correct horse battery";

let now = Date.now();
let plane: TestControlPlane;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { now: () => now });
});
afterAll(() => plane[Symbol.asyncDispose]());

/** Headers of a browser after an answer that set a cookie. */
function sessionOf(headers: Headers): Record<string, string> {
  const [cookie = ""] = (headers.get("set-cookie") ?? "").split(";");
  return { cookie, "x-supalove-client": "test" };
}

async function signedIn(email: string, password = PASSWORD) {
  const answer = await plane.client().request(SIGN_IN, { email, password });
  expect(answer.errors).toEqual([]);
  return plane.client(sessionOf(answer.headers));
}

describe("sign-up", () => {
  test("the first of several at once owns the installation, the others find the door closed", async () => {
    await using fresh = await createTestControlPlane(inject("clusterUrl"), { passwordThreads: 2 });
    expect((await fresh.client().data("{ instance { needsFirstAccount } }")).instance.needsFirstAccount).toBe(true);
    const answers = await Promise.all(
      [1, 2, 3].map((n) =>
        fresh
          .client()
          .request(SIGN_UP, { input: { email: `p${n}@example.com`, password: PASSWORD, organizationName: "Ours" } }),
      ),
    );
    const owners = answers.filter(({ data }) => data?.signUp.isInstanceOwner);
    expect(owners).toHaveLength(1);
    expect(answers.filter(({ errors }) => errors[0]?.extensions?.code === "FORBIDDEN")).toHaveLength(2);
    const viewer = fresh.client(sessionOf(owners[0]?.headers ?? new Headers()));
    const { viewer: found } = await viewer.data("{ viewer { organizations { name slug viewerRole } } }");
    expect(found.organizations).toEqual([{ name: "Ours", slug: "ours", viewerRole: "OWNER" }]);
    expect((await fresh.client().data("{ instance { needsFirstAccount } }")).instance.needsFirstAccount).toBe(false);
  });

  test("works for anybody where the operator has opened it", async () => {
    await using open = await createTestControlPlane(inject("clusterUrl"), { openSignUp: true });
    for (const n of [1, 2]) {
      const input = { email: `p${n}@example.com`, password: PASSWORD };
      expect(await open.client().code(SIGN_UP, { input })).toBeNull();
    }
    const again = { email: "P1@Example.com", password: PASSWORD };
    expect(await open.client().code(SIGN_UP, { input: again })).toBe("CONFLICT");
  });

  test("names the field that it refuses", async () => {
    for (const [field, input] of [
      ["email", { email: "nobody", password: PASSWORD }],
      ["password", { email: "a@example.com", password: "short" }],
    ] as const) {
      const { errors } = await plane.client().request(SIGN_UP, { input });
      expect(errors[0]?.extensions).toMatchObject({ code: "INVALID_INPUT", field });
    }
  });

  test("the operator's owner is made once, however many instances start", async () => {
    await using fresh = await createTestControlPlane(inject("clusterUrl"));
    const { passwords } = fresh.controlPlane.services;
    const owner = {
      email: "Owner@example.com",
      password: PASSWORD,
      name: "",
      organizationName: "Mine",
      tokenName: "local",
    };
    const made = await Promise.all([1, 2].map(() => ensureInstanceOwner(fresh.database, passwords, owner)));
    const [only] = made.filter((result) => result !== null);
    expect(made.filter((result) => result !== null)).toHaveLength(1);
    const { viewer } = await fresh.client(only?.accessToken ?? "").data("{ viewer { email isInstanceOwner } }");
    expect(viewer).toEqual({ email: "owner@example.com", isInstanceOwner: true });
  });
});

describe("a session", () => {
  test("is a cookie that scripts cannot read, and ends when it is signed out", async () => {
    const answer = await plane.client().request(SIGN_UP, { input: { email: "first@example.com", password: PASSWORD } });
    expect(answer.headers.get("set-cookie")).toMatch(
      /^supalove_session=sbses_[0-9a-f]{40}; Path=\/; HttpOnly; SameSite=Lax; Expires=[^;]+$/,
    );
    const client = plane.client(sessionOf(answer.headers));
    expect((await client.data("{ viewer { email } }")).viewer.email).toBe("first@example.com");
    expect((await client.request("mutation { signOut }")).headers.get("set-cookie")).toMatch(/Max-Age=0/);
    expect((await client.data("{ viewer { email } }")).viewer).toBeNull();
  });

  test("ends by itself", async () => {
    const client = await signedIn("first@example.com");
    now += 31 * 86_400_000;
    expect((await client.data("{ viewer { email } }")).viewer).toBeNull();
  });

  test("carries Secure and the prefix __Host- where the dashboard is reached by https, and no other name counts", async () => {
    const { url } = await plane.startAnother({ secureCookies: true });
    const response = await fetch(`${url}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: SIGN_IN, variables: { email: "first@example.com", password: PASSWORD } }),
    });
    expect(response.headers.get("set-cookie")).toMatch(
      /^__Host-supalove_session=sbses_[0-9a-f]{40}; Path=\/; HttpOnly; SameSite=Lax; Expires=[^;]+; Secure$/,
    );
    const { cookie = "", ...own } = sessionOf(response.headers);
    const viewerOf = async (header: string) =>
      (await new GraphqlClient(url, { ...own, cookie: header }).data("{ viewer { email } }")).viewer;
    expect(await viewerOf(`supalove_session=planted; ${cookie}`)).toEqual({ email: "first@example.com" });
    expect(await viewerOf(cookie.replace("__Host-", ""))).toBeNull();
  });
});

describe("a password", () => {
  test("answers alike for a wrong password and for no account", async () => {
    const wrong = await plane.client().request(SIGN_IN, { email: "first@example.com", password: "not this one" });
    const unknown = await plane.client().request(SIGN_IN, { email: "nobody@example.com", password: "not this one" });
    expect(wrong.errors).toEqual(unknown.errors);
    expect(wrong.errors[0]?.extensions?.code).toBe("UNAUTHENTICATED");
  });

  test("can be tried ten times in a quarter of an hour, and all at once count too", async () => {
    const email = `target-${now}@example.com`;
    const codes = await Promise.all(
      Array.from({ length: 14 }, () => plane.client().code(SIGN_IN, { email, password: "guess" })),
    );
    expect(codes.filter((code) => code === "UNAUTHENTICATED")).toHaveLength(10);
    expect(codes.filter((code) => code === "RATE_LIMITED")).toHaveLength(4);
    now += 16 * 60_000;
    expect(await plane.client().code(SIGN_IN, { email, password: "guess" })).toBe("UNAUTHENTICATED");
  });

  test("when changed ends the other sessions and keeps its own and the access tokens", async () => {
    const [here, elsewhere] = [await signedIn("first@example.com"), await signedIn("first@example.com")];
    const { createAccessToken } = await here.data('mutation { createAccessToken(name: "CI") { token } }');
    const change =
      "mutation C($old: String!, $new: String!) { changePassword(currentPassword: $old, newPassword: $new) }";
    expect(await here.code(change, { old: "not this one", new: "another good one" })).toBe("INVALID_INPUT");
    expect(await here.code(change, { old: PASSWORD, new: "another good one" })).toBeNull();
    expect((await here.data("{ viewer { id } }")).viewer).not.toBeNull();
    expect((await elsewhere.data("{ viewer { id } }")).viewer).toBeNull();
    expect((await plane.client(createAccessToken.token).data("{ viewer { id } }")).viewer).not.toBeNull();
    await signedIn("first@example.com", "another good one");
    expect(await here.code(change, { old: "another good one", new: PASSWORD })).toBeNull();
  });
});

describe("a password that the owner of the installation has set", () => {
  const SET = "mutation S($id: ID!, $new: String!) { setAccountPassword(accountId: $id, newPassword: $new) { id } }";
  const LOST = "old password";
  const NEW = "handed over on paper";

  async function person(email: string) {
    const owner = await signedIn("first@example.com");
    const passwordHash = await plane.controlPlane.services.passwords.hash("test", LOST);
    const [row] = await plane.database.query<{ id: string }>(
      "insert into accounts (email, password_hash) values ($1, $2) returning id",
      [email, passwordHash],
    );
    return { id: row?.id ?? "", set: () => owner.data(SET, { id: row?.id, new: NEW }) };
  }

  /** Begins the attempt and stops it where the old password was found right. @returns lets it go on. */
  async function heldAfterProof<T>(attempt: () => Promise<T>): Promise<() => Promise<T>> {
    const { passwords } = plane.controlPlane.services;
    const verify = passwords.verify.bind(passwords);
    const [proved, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    passwords.verify = async (...args) => {
      const isRight = await verify(...args);
      proved.resolve();
      await release.promise;
      return isRight;
    };
    const outcome = attempt();
    await proved.promise;
    passwords.verify = verify;
    return () => {
      release.resolve();
      return outcome;
    };
  }

  test("ends all sessions of the account and leaves its access tokens", async () => {
    const { set } = await person("lost@example.com");
    const session = await signedIn("lost@example.com", LOST);
    const { createAccessToken } = await session.data('mutation { createAccessToken(name: "CI") { token } }');
    await set();
    expect((await session.data("{ viewer { id } }")).viewer).toBeNull();
    expect(await plane.client().code(SIGN_IN, { email: "lost@example.com", password: LOST })).toBe("UNAUTHENTICATED");
    expect((await plane.client(createAccessToken.token).data("{ viewer { id } }")).viewer).not.toBeNull();
    await signedIn("lost@example.com", NEW);
  });

  test("is not got around by a sign-in, or undone by a change, that has proved the old one a moment before", async () => {
    const { set } = await person("race@example.com");
    const session = await signedIn("race@example.com", LOST);
    const change =
      "mutation C($old: String!, $new: String!) { changePassword(currentPassword: $old, newPassword: $new) }";
    const signIn = await heldAfterProof(() =>
      plane.client().code(SIGN_IN, { email: "race@example.com", password: LOST }),
    );
    const changing = await heldAfterProof(() => session.code(change, { old: LOST, new: "one of his own" }));
    await set();
    const codes = [await signIn(), await changing()];
    expect(codes).toEqual(["UNAUTHENTICATED", "INVALID_INPUT"]);
    await signedIn("race@example.com", NEW);
  });
});

describe("an access token", () => {
  test("has the form the Supabase CLI insists on, is shown once, notes its use, and can be revoked", async () => {
    const client = await signedIn("first@example.com");
    const created = (
      await client.data('mutation { createAccessToken(name: "CI") { token accessToken { id prefix } } }')
    ).createAccessToken;
    expect(created.token).toMatch(/^sbp_[0-9a-f]{40}$/);
    expect(created.accessToken.prefix).toBe(created.token.slice(0, 8));
    const bearer = plane.client(created.token);
    const { viewer } = await bearer.data("{ viewer { accessTokens { id name lastUsedAt } } }");
    expect(
      viewer.accessTokens.find(({ id }: { id: string }) => id === created.accessToken.id).lastUsedAt,
    ).not.toBeNull();
    const kept = await plane.database.query<{ all: string }>(
      "select string_agg(t::text, '') as all from access_tokens t",
    );
    expect(kept[0]?.all).not.toContain(created.token.slice(8));
    await client.data(`mutation { revokeAccessToken(id: "${created.accessToken.id}") }`);
    expect((await bearer.request("{ viewer { id } }")).status).toBe(401);
  });

  test("ends when it is to end, and cannot make another one", async () => {
    const client = await signedIn("first@example.com");
    const create = 'mutation C($at: DateTime) { createAccessToken(name: "short", expiresAt: $at) { token } }';
    expect(await client.code(create, { at: new Date(now - 1000).toISOString() })).toBe("INVALID_INPUT");
    const { createAccessToken } = await client.data(create, { at: new Date(now + 60_000).toISOString() });
    const bearer = plane.client(createAccessToken.token);
    expect(await bearer.code(create)).toBe("FORBIDDEN");
    now += 61_000;
    expect(await bearer.code("{ viewer { id } }")).toBe("UNAUTHENTICATED");
  });

  test("of another account cannot be revoked", async () => {
    const other = await insertTestAccount(plane.database);
    const { viewer } = await plane.client(other.token).data("{ viewer { accessTokens { id } } }");
    const client = await signedIn("first@example.com");
    expect(await client.code(`mutation { revokeAccessToken(id: "${viewer.accessTokens[0].id}") }`)).toBe("NOT_FOUND");
  });
});

test("a service token of a name is replaced, and the older one is refused", async () => {
  const query = '{ projectConfigs(refs: ["aaaaaaaaaaaaaaaaaaaa"]) }';
  const first = await ensureServiceToken(plane.database, "gateway", "the gateway");
  expect(await plane.client(first).code(query)).toBeNull();
  const second = await ensureServiceToken(plane.database, "gateway", "the gateway");
  expect(await plane.client(first).code(query)).toBe("UNAUTHENTICATED");
  expect(await ensureServiceToken(plane.database, "gateway", "the gateway", second)).toBe(second);
  expect(await plane.client(second).code(query)).toBeNull();
});
