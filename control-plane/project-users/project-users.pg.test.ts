import { randomUUID } from "node:crypto";
import bcrypt from "bcryptjs";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createRunningProject, type RunningProject, untilState } from "../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";

const LIST = `query ($ref: ID!, $first: Int, $after: String, $search: String) {
  project(ref: $ref) { users(first: $first, after: $after, search: $search) {
    totalCount pageInfo { hasNextPage endCursor } edges { node { id email role bannedUntil } } } } }`;
const CREATE = `mutation ($input: CreateProjectUserInput!) {
  createProjectUser(input: $input) { password user { id email role emailConfirmedAt } } }`;
const SET_ROLE =
  "mutation ($ref: ID!, $id: ID!, $role: String) { setProjectUserRole(ref: $ref, id: $id, role: $role) { role } }";
const SET_BAN =
  "mutation ($ref: ID!, $id: ID!, $until: DateTime) { setProjectUserBan(ref: $ref, id: $id, until: $until) { bannedUntil } }";
const DELETE = "mutation ($ref: ID!, $id: ID!) { deleteProjectUser(ref: $ref, id: $id) }";
const TAKE = "mutation ($ref: ID!) { takeAdminPassword(ref: $ref) { email password } }";
const ADMIN = "query ($ref: ID!) { project(ref: $ref) { adminUser { email hasOneTimePassword } } }";
const RUN = "mutation ($input: RunSqlInput!) { runSql(input: $input) { results { rows } } }";

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

/** What the project's own user sees in its database. */
async function sql(script: string): Promise<unknown[][]> {
  const { runSql } = await client.data(RUN, { input: { ref, sql: script } });
  return runSql.results.at(-1).rows;
}

async function list(variables: object = {}) {
  return (await client.data(LIST, { ref, ...variables })).project.users;
}

const emails = (connection: { edges: { node: { email: string } }[] }) => connection.edges.map(({ node }) => node.email);
const freshEmail = (name: string) => `${name}-${randomUUID().slice(0, 8)}@example.com`;

async function create(email: string, input: object = {}) {
  return (await client.data(CREATE, { input: { ref, email, ...input } })).createProjectUser;
}

describe("create", () => {
  test("makes a confirmed user with an identity, the password and the role given", async () => {
    const email = freshEmail("made");
    const { user, password } = await create(email.toUpperCase(), { password: "correct horse", role: "editor" });
    expect(user).toMatchObject({ email, role: "editor", emailConfirmedAt: expect.any(String) });
    expect(password).toBeNull();
    const [row] = await sql(`select u.encrypted_password, u.role, u.aud, i.provider, i.email
      from auth.users u join auth.identities i on i.user_id = u.id where u.id = '${user.id}'`);
    const [hash, ...rest] = row as string[];
    expect(rest).toEqual(["authenticated", "authenticated", "email", email]);
    expect(bcrypt.compareSync("correct horse", hash ?? "")).toBe(true);
  });

  test("makes a password up when none is given, and answers it once", async () => {
    const { user, password } = await create(freshEmail("unasked"));
    expect(password).toMatch(/^[2-9a-zA-Z]{16}$/);
    const [[hash] = []] = await sql(`select encrypted_password from auth.users where id = '${user.id}'`);
    expect(bcrypt.compareSync(password, String(hash))).toBe(true);
  });

  test("refuses an e-mail that is taken, in whatever case", async () => {
    const email = freshEmail("taken");
    await create(email);
    expect(await client.code(CREATE, { input: { ref, email: email.toUpperCase() } })).toBe("CONFLICT");
  });

  test.each([
    [{ email: "nobody" }, "email"],
    [{ password: "short" }, "password"],
    [{ password: "ä".repeat(37) }, "password"],
    [{ role: "Not A Role" }, "role"],
  ])("refuses %j", async (input, field) => {
    const { errors } = await client.request(CREATE, { input: { ref, email: freshEmail("x"), ...input } });
    expect(errors[0]?.extensions).toMatchObject({ code: "INVALID_INPUT", field });
  });
});

describe("list", () => {
  test("pages through all users, newest first, each once", async () => {
    const seen: string[] = [];
    let after: string | null = null;
    const { totalCount } = await list();
    do {
      const page = await list({ first: 2, after });
      seen.push(...emails(page));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
    } while (after);
    expect(seen).toHaveLength(totalCount);
    expect(new Set(seen).size).toBe(totalCount);
    expect(seen.at(-1)).toBe(project.ownerEmail);
  });

  test("searches by a part of the e-mail, where % and _ stand for themselves, and by id", async () => {
    const { user } = await create(`a_b-${randomUUID().slice(0, 8)}@example.com`);
    await create(`axb-${randomUUID().slice(0, 8)}@example.com`);
    expect(emails(await list({ search: "A_B-" }))).toEqual([user.email]);
    expect(emails(await list({ search: user.id }))).toEqual([user.email]);
    expect(emails(await list({ search: "%" }))).toEqual([]);
  });

  test("refuses a cursor that is none", async () => {
    expect(await client.code(LIST, { ref, after: "x" })).toBe("INVALID_INPUT");
  });

  test("is not held up by metadata of a size that only a user's own may have", async () => {
    const { user } = await create(freshEmail("heavy"));
    await sql(
      `update auth.users set raw_user_meta_data = jsonb_build_object('x', repeat('x', 20000000)) where id = '${user.id}'`,
    );
    expect(emails(await list({ first: 1 }))).toEqual([user.email]);
    await sql(`update auth.users set raw_user_meta_data = '{}' where id = '${user.id}'`);
  });
});

test("the role is claim app_metadata.role, and null takes it away", async () => {
  const { user } = await create(freshEmail("role"));
  const claim = async () => (await sql(`select raw_app_meta_data from auth.users where id = '${user.id}'`))[0]?.[0];
  expect((await client.data(SET_ROLE, { ref, id: user.id, role: "admin" })).setProjectUserRole.role).toBe("admin");
  expect(await claim()).toEqual({ provider: "email", providers: ["email"], role: "admin" });
  expect((await client.data(SET_ROLE, { ref, id: user.id })).setProjectUserRole.role).toBeNull();
  expect(await claim()).toEqual({ provider: "email", providers: ["email"] });
});

test("a ban is set and lifted", async () => {
  const { user } = await create(freshEmail("ban"));
  const until = "2100-01-01T00:00:00.000Z";
  expect((await client.data(SET_BAN, { ref, id: user.id, until })).setProjectUserBan.bannedUntil).toBe(until);
  expect((await client.data(SET_BAN, { ref, id: user.id })).setProjectUserBan.bannedUntil).toBeNull();
});

test("a deleted user is gone with identities, and then not found", async () => {
  const { user } = await create(freshEmail("gone"));
  expect((await client.data(DELETE, { ref, id: user.id })).deleteProjectUser).toBe(user.id);
  expect(await sql(`select count(*)::int from auth.identities where user_id = '${user.id}'`)).toEqual([[0]]);
  expect(await client.code(DELETE, { ref, id: user.id })).toBe("NOT_FOUND");
  expect(await client.code(SET_BAN, { ref, id: user.id })).toBe("NOT_FOUND");
  expect(await client.code(SET_ROLE, { ref, id: "x" })).toBe("NOT_FOUND");
});

describe("a hostile project", () => {
  test("its triggers run with none of the control plane's rights, whatever role they reset to", async () => {
    await sql(`
      create function public.spy() returns trigger language plpgsql as $$ begin
        reset session authorization;
        set role none;
        raise '% % %', current_user, session_user, current_setting('is_superuser');
      end $$;
      create trigger spy before insert on auth.users for each row execute function public.spy()`);
    const { errors } = await client.request(CREATE, { input: { ref, email: freshEmail("spied") } });
    await sql("drop trigger spy on auth.users");
    const login = `project_${ref}_authenticator`;
    expect(errors[0]?.message).toBe(`${login} ${login} off`);
  });

  test("what its triggers raise is told as its own error", async () => {
    await sql(`
      create function public.refuse() returns trigger language plpgsql as $$ begin
        raise 'not today' using errcode = 'P0042'; end $$;
      create trigger refuse before insert on auth.users for each row execute function public.refuse()`);
    const { errors } = await client.request(CREATE, { input: { ref, email: freshEmail("refused") } });
    await sql("drop trigger refuse on auth.users");
    expect(errors[0]).toMatchObject({ message: "not today", extensions: { code: "SQL_ERROR", sqlState: "P0042" } });
  });

  test("a trigger that never ends is ended", async () => {
    await sql(`
      create function public.stall() returns trigger language plpgsql as $$ begin
        loop perform pg_sleep(1); end loop; end $$;
      create trigger stall before insert on auth.users for each row execute function public.stall()`);
    const { errors } = await client.request(CREATE, { input: { ref, email: freshEmail("stalled") } });
    await sql("drop trigger stall on auth.users");
    expect(errors[0]?.extensions).toMatchObject({ code: "SQL_ERROR", sqlState: "57014" });
  });
});

describe("the one-time password", () => {
  test("is shown to one who asks, once, and then works and is gone", async () => {
    expect((await client.data(ADMIN, { ref })).project.adminUser).toEqual({
      email: project.ownerEmail,
      hasOneTimePassword: true,
    });
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.request(TAKE, { ref })));
    const taken = answers.flatMap(({ data }) => data?.takeAdminPassword ?? []);
    expect(taken).toHaveLength(1);
    const [[hash] = []] = await sql(`select encrypted_password from auth.users where email = '${project.ownerEmail}'`);
    expect(bcrypt.compareSync(taken[0].password, String(hash))).toBe(true);
    expect(await client.code(TAKE, { ref })).toBe("CONFLICT");
    expect((await client.data(ADMIN, { ref })).project.adminUser.hasOneTimePassword).toBe(false);
  });

  test("is not given away while a retry of the creation would need it", async () => {
    await using another = await disposable(await createRunningProject(plane));
    await plane.database.query("update projects set state = 'FAILED' where ref = $1", [another.ref]);
    expect(await another.client.code(TAKE, { ref: another.ref })).toBe("CONFLICT");
  });
});

test("a paused project's users are not reached", async () => {
  await using paused = await disposable(await createRunningProject(plane));
  await paused.client.data(`mutation { pauseProject(ref: "${paused.ref}") { state } }`);
  await untilState(paused.client, paused.ref, "PAUSED");
  expect(await paused.client.code(LIST, { ref: paused.ref })).toBe("CONFLICT");
});

test("the audit log notes every change, and no password", async () => {
  const email = freshEmail("audited");
  const { user, password } = await create(email);
  await client.data(SET_ROLE, { ref, id: user.id, role: "admin" });
  await client.data(DELETE, { ref, id: user.id });
  const rows = await plane.database.query<{ action: string; details: { id?: string; email?: string } }>(
    "select action, details from audit_log where project_ref = $1 order by id",
    [ref],
  );
  const ours = rows.filter(({ details }) => details.id === user.id || details.email === email);
  expect(ours.map(({ action }) => action)).toEqual([
    "project_user.create",
    "project_user.set_role",
    "project_user.delete",
  ]);
  expect(rows.map(({ action }) => action)).toContain("project_user.take_admin_password");
  expect(JSON.stringify(rows) + plane.log.join("")).not.toContain(password);
});

async function disposable(project: RunningProject): Promise<RunningProject & AsyncDisposable> {
  return { ...project, [Symbol.asyncDispose]: project.remove };
}
