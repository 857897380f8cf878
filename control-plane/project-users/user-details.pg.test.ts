import { randomUUID } from "node:crypto";
import bcrypt from "bcryptjs";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createRunningProject, type RunningProject } from "../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";

const CREATE = `mutation ($input: CreateProjectUserInput!) { createProjectUser(input: $input) { user { id } } }`;
const UPDATE = `mutation ($input: UpdateProjectUserInput!) {
  updateProjectUser(input: $input) { email phone emailConfirmedAt phoneConfirmedAt providers } }`;
const DETAILS = `query ($ref: ID!, $id: ID!) { project(ref: $ref) { userDetails(id: $id) {
  user { email } userMetadata userMetadataBytes
  identities { provider email } sessions { id ip userAgent aal } factors { id name type status } } } }`;
const LIST = `query ($ref: ID!, $search: String, $statuses: [ProjectUserStatus!], $role: String, $provider: String,
  $sort: ProjectUserSort!, $first: Int, $after: String) {
  project(ref: $ref) { userRoles users(search: $search, statuses: $statuses, role: $role, provider: $provider,
    sort: $sort, first: $first, after: $after) { pageInfo { endCursor } edges { node { id email } } } } }`;

let plane: TestControlPlane;
let project: RunningProject;
let client: GraphqlClient;
let ref: string;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  project = await createRunningProject(plane);
  ({ client, ref } = project);
});
afterAll(async () => {
  await project.remove();
  await plane[Symbol.asyncDispose]();
});

async function sql(script: string): Promise<unknown[][]> {
  const { runSql } = await client.data(
    "mutation ($input: RunSqlInput!) { runSql(input: $input) { results { rows } } }",
    {
      input: { ref, sql: script },
    },
  );
  return runSql.results.at(-1).rows;
}

async function create(input: object = {}): Promise<string> {
  const email = `user-${randomUUID().slice(0, 8)}@example.com`;
  return (await client.data(CREATE, { input: { ref, email, ...input } })).createProjectUser.user.id;
}

const update = (id: string, input: object) => client.request(UPDATE, { input: { ref, id, ...input } });
const details = async (id: string) => (await client.data(DETAILS, { ref, id })).project.userDetails;
const list = async (variables: object) => (await client.data(LIST, { ref, sort: "CREATED", ...variables })).project;

const addSession = (id: string, factorId: string | null = null) =>
  sql(`insert into auth.sessions (id, user_id, created_at, aal, ip, user_agent, factor_id)
    values (gen_random_uuid(), '${id}', now(), 'aal1', '203.0.113.7', repeat('x', 1000), ${factorId ? `'${factorId}'` : "null"})`);

describe("details", () => {
  test("show identities, open sessions and factors, each text bounded", async () => {
    const id = await create();
    await addSession(id);
    await sql(`insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at)
      values (gen_random_uuid(), '${id}', '<b>phone</b>', 'totp', 'verified', now(), now())`);
    const shown = await details(id);
    expect(shown.identities).toEqual([{ provider: "email", email: shown.user.email }]);
    expect(shown.sessions).toMatchObject([{ ip: "203.0.113.7", aal: "aal1", userAgent: "x".repeat(300) }]);
    expect(shown.factors).toMatchObject([{ name: "<b>phone</b>", type: "totp", status: "verified" }]);
  });

  test("leave metadata out that is larger than they show, and say how large it is", async () => {
    const id = await create();
    await sql(
      `update auth.users set raw_user_meta_data = jsonb_build_object('x', repeat('y', 100000)) where id = '${id}'`,
    );
    expect(await details(id)).toMatchObject({ userMetadata: null, userMetadataBytes: 100_009 });
  });
});

describe("update", () => {
  test("changes e-mail with its identity, phone and metadata, all confirmed", async () => {
    const id = await create();
    const email = `NEW-${randomUUID().slice(0, 8)}@Example.com`;
    const phone = `+49 30 ${Math.floor(1e7 + Math.random() * 8e7)}`;
    const { data } = await update(id, { email, phone, userMetadata: { name: "Ada" } });
    expect(data.updateProjectUser).toMatchObject({
      email: email.toLowerCase(),
      phone: phone.replaceAll(/\D/g, ""),
      emailConfirmedAt: expect.any(String),
      phoneConfirmedAt: expect.any(String),
      providers: ["email", "phone"],
    });
    const { identities, userMetadata } = await details(id);
    expect(identities).toContainEqual({ provider: "email", email: email.toLowerCase() });
    expect(userMetadata).toEqual({ name: "Ada" });
  });

  test("of the password ends the sessions and tells nobody what it is", async () => {
    const id = await create();
    await addSession(id);
    expect((await update(id, { password: "another horse" })).errors).toEqual([]);
    const [[hash] = []] = await sql(`select encrypted_password from auth.users where id = '${id}'`);
    expect(bcrypt.compareSync("another horse", String(hash))).toBe(true);
    expect((await details(id)).sessions).toEqual([]);
    const [entry] = await plane.database.query<{ details: object }>(
      "select details from audit_log where action = 'project_user.update' order by id desc limit 1",
    );
    expect(JSON.stringify(entry)).not.toContain("another horse");
  });

  test("refuses an address of another user, and leaves everything as it was", async () => {
    const [first, second] = [await create(), await create()];
    const { user } = await details(second);
    const { errors } = await update(first, { email: user.email, userMetadata: { half: "done" } });
    expect(errors[0]?.extensions?.code).toBe("CONFLICT");
    expect((await details(first)).userMetadata).not.toMatchObject({ half: "done" });
  });

  test.each([
    ["phone", { phone: "12 or so" }],
    ["password", { password: "short" }],
    ["userMetadata", { userMetadata: ["a list"] }],
    ["email", { email: "nobody" }],
  ])("refuses a wrong %s by its name", async (field, input) => {
    const { errors } = await update(await create(), input);
    expect(errors[0]?.extensions).toMatchObject({ code: "INVALID_INPUT", field });
  });
});

test("signing out ends all sessions of that user and no other's", async () => {
  const [first, second] = [await create(), await create()];
  for (const id of [first, first, second]) await addSession(id);
  const { signOutProjectUser } = await client.data(
    "mutation ($ref: ID!, $id: ID!) { signOutProjectUser(ref: $ref, id: $id) }",
    { ref, id: first },
  );
  expect(signOutProjectUser).toBe(2);
  expect([(await details(first)).sessions.length, (await details(second)).sessions.length]).toEqual([0, 1]);
});

test("a factor is taken away with the sessions it has raised, and only by its own user's id", async () => {
  const [id, other] = [await create(), await create()];
  const factorId = randomUUID();
  await sql(`insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at)
    values ('${factorId}', '${id}', '', 'totp', 'verified', now(), now())`);
  await addSession(id, factorId);
  await addSession(id);
  const REMOVE =
    "mutation ($ref: ID!, $id: ID!, $factorId: ID!) { deleteProjectUserFactor(ref: $ref, id: $id, factorId: $factorId) }";
  expect(await client.code(REMOVE, { ref, id: other, factorId })).toBe("NOT_FOUND");
  await client.data(REMOVE, { ref, id, factorId });
  const shown = await details(id);
  expect([shown.factors.length, shown.sessions.length]).toEqual([0, 1]);
});

test("users are found by status, role, provider and part of a phone number, in each order page by page", async () => {
  const marker = randomUUID().slice(0, 8);
  const make = async (name: string, change = "") => {
    const id = await create({ email: `${name}-${marker}@example.com` });
    if (change) await sql(`update auth.users set ${change} where id = '${id}'`);
    return id;
  };
  await make(
    "a-plain",
    `raw_app_meta_data = raw_app_meta_data || '{"role": "staff-${marker}"}', last_sign_in_at = now()`,
  );
  await make("b-banned", "banned_until = now() + interval '1 day', phone = '499999123'");
  await make("c-unconfirmed", "email_confirmed_at = null");
  await make("d-github", `raw_app_meta_data = raw_app_meta_data || '{"providers": ["github"]}'`);
  const names = ({ users }: { users: { edges: { node: { email: string } }[] } }) =>
    users.edges.map(({ node }) => node.email.split(`-${marker}`)[0]);

  expect(names(await list({ search: marker, statuses: ["BANNED"] }))).toEqual(["b-banned"]);
  expect(names(await list({ search: marker, statuses: ["UNCONFIRMED"] }))).toEqual(["c-unconfirmed"]);
  expect(names(await list({ search: marker, provider: "github" }))).toEqual(["d-github"]);
  expect(names(await list({ search: "9999912" }))).toEqual(["b-banned"]);
  const staff = await list({ role: `staff-${marker}` });
  expect(names(staff)).toEqual(["a-plain"]);
  expect(staff.userRoles).toContain(`staff-${marker}`);

  expect(names(await list({ search: marker, sort: "LAST_SIGN_IN", first: 1 }))).toEqual(["a-plain"]);
  const first = await list({ search: marker, sort: "EMAIL", first: 2 });
  const second = await list({ search: marker, sort: "EMAIL", first: 2, after: first.users.pageInfo.endCursor });
  expect([...names(first), ...names(second)]).toEqual(["a-plain", "b-banned", "c-unconfirmed", "d-github"]);
});
