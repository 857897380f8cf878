import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";

let plane: TestControlPlane;
let client: GraphqlClient;
let ref: string;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  const owner = await insertTestAccount(plane.database, "owner");
  client = plane.client(owner.token);
  const { createOrganization } = await client.data('mutation { createOrganization(name: "SQL") { id } }');
  const { createProject } = await client.data(
    `mutation { createProject(input: {organizationId: "${createOrganization.id}", name: "sql"}) { ref } }`,
  );
  ref = createProject.ref;
  await vi.waitFor(async () => expect(await stateOrCode()).toBe("ACTIVE"), 30_000);
});

afterAll(async () => {
  await client.data(`mutation { deleteProject(ref: "${ref}") { ref } }`);
  await vi.waitFor(async () => expect(await stateOrCode()).toBe("NOT_FOUND"), 30_000);
  await plane[Symbol.asyncDispose]();
});

async function stateOrCode(): Promise<unknown> {
  const { data, errors } = await client.request(`{ project(ref: "${ref}") { state } }`);
  return errors[0]?.extensions?.code ?? data.project.state;
}

const RUN = `mutation Run($input: RunSqlInput!) {
  runSql(input: $input) {
    executionId notices durationMs
    results { command rowCount truncated rows columns { name type } }
  }
}`;

interface Answer {
  readonly executionId: string;
  readonly notices: readonly string[];
  readonly results: readonly {
    command: string;
    rowCount: number | null;
    truncated: boolean;
    rows: unknown[][];
    columns: { name: string; type: string }[];
  }[];
}

async function run(sql: string, options: object = {}): Promise<Answer> {
  return (await client.data(RUN, { input: { ref, sql, ...options } })).runSql;
}

async function failure(sql: string, options: object = {}) {
  const { errors } = await client.request(RUN, { input: { ref, sql, ...options } });
  return { message: errors[0]?.message, ...errors[0]?.extensions };
}

/** A name that no other test of this file uses. */
const fresh = (prefix: string) => `${prefix}_${randomUUID().replaceAll("-", "")}`;

test("it runs as the project's own user in the project's own database", async () => {
  const { results } = await run("select current_database(), current_user, session_user");
  expect(results[0]?.rows).toEqual([[`project_${ref}`, `project_${ref}_user`, `project_${ref}_user`]]);
});

test("a script gives one result for each statement, with the names of column types", async () => {
  const { results, notices } = await run(
    `create temp table t (id int, amount numeric(5,2), tags text[]);
     insert into t values (1, 1.50, '{a,b}'), (2, null, null);
     do $$ begin raise notice 'hello'; end $$;
     select *, id > 1 as big, '{"a": 1}'::jsonb as doc from t order by id;`,
  );
  expect(results.map(({ command }) => command)).toEqual(["CREATE TABLE", "INSERT 0 2", "DO", "SELECT 2"]);
  expect(results[1]).toMatchObject({ rowCount: 2, rows: [] });
  expect(results[3]).toMatchObject({
    columns: [
      { name: "id", type: "integer" },
      { name: "amount", type: "numeric" },
      { name: "tags", type: "text[]" },
      { name: "big", type: "boolean" },
      { name: "doc", type: "jsonb" },
    ],
    rows: [
      [1, "1.50", "{a,b}", false, { a: 1 }],
      [2, null, null, true, { a: 1 }],
    ],
    truncated: false,
  });
  expect(notices).toEqual(["NOTICE: hello"]);
});

test("a script is one transaction: its failure takes everything back", async () => {
  const table = fresh("whole");
  expect(await failure(`create table ${table} (); select 1/0;`)).toMatchObject({
    code: "SQL_ERROR",
    sqlState: "22012",
  });
  expect((await run(`select to_regclass('${table}')`)).results[0]?.rows).toEqual([[null]]);
});

test("an error says where in the script it is, with PostgreSQL's hint", async () => {
  const error = await failure("select 1;\nselect nam from pg_class;", { readOnly: true });
  expect(error).toMatchObject({ code: "SQL_ERROR", sqlState: "42703", line: 2, position: 18 });
  expect(await failure("select uper('x')")).toMatchObject({ sqlState: "42883", line: 1, hint: expect.any(String) });
});

describe("an API role", () => {
  test("sees what its policies let it see, with the claims given", async () => {
    const table = fresh("owned");
    await run(`create table ${table} (owner uuid);
      alter table ${table} enable row level security;
      create policy own on ${table} to authenticated using (owner = auth.uid());
      insert into ${table} values ('00000000-0000-4000-8000-000000000001'), (gen_random_uuid());`);
    const count = async (options: object) =>
      (await run(`select count(*)::int, current_user from ${table}`, options)).results[0]?.rows[0];
    const claims = { sub: "00000000-0000-4000-8000-000000000001" };
    expect(await count({ role: "AUTHENTICATED", claims })).toEqual([1, "authenticated"]);
    expect(await count({ role: "ANON" })).toEqual([0, "anon"]);
    expect(await count({ role: "SERVICE_ROLE" })).toEqual([2, "service_role"]);
  });

  test("gets claims as they are, whatever characters they hold", async () => {
    const claims = { name: 'O\'Brien \\ "x" -c role=postgres', role: "postgres" };
    const { results } = await run("select auth.jwt() ->> 'name', auth.role(), current_user", { role: "ANON", claims });
    expect(results[0]?.rows).toEqual([[claims.name, "anon", "anon"]]);
  });
});

describe("read-only", () => {
  test.each([
    ["a plain write", "create table TABLE ()"],
    ["a write after reads", "select 1; create table TABLE ()"],
    ["making the transaction writable", "set transaction read write; create table TABLE ()"],
    ["setting it writable", "set transaction_read_only = off; create table TABLE ()"],
    [
      "changing the default and beginning anew",
      "set default_transaction_read_only = off; commit; create table TABLE ()",
    ],
    ["ending the transaction", "commit; create table TABLE ()"],
    ["chaining another one", "rollback and chain; set transaction read write; create table TABLE ()"],
    ["a commit within a block", "do $$ begin commit; create table TABLE (); end $$"],
    ["hiding statements from the splitter", "select $a$;$a$; commit; begin; create table TABLE (); commit"],
    ["a savepoint", "savepoint s; create table TABLE ()"],
    ["a function that writes", "do $$ begin execute 'create table TABLE ()'; end $$"],
  ])("is not left by %s", async (_how, script) => {
    const table = fresh("left");
    expect(await failure(script.replace("TABLE", table), { readOnly: true })).toMatchObject({ code: "SQL_ERROR" });
    expect((await run(`select to_regclass('${table}')`)).results[0]?.rows).toEqual([[null]]);
  });

  test("lets several reads through", async () => {
    const { results } = await run("select 1; select 2;", { readOnly: true });
    expect(results.map(({ rows }) => rows)).toEqual([[[1]], [[2]]]);
  });
});

describe("limits", () => {
  test("rows beyond the limit are counted and left out", async () => {
    const { results } = await run("select * from generate_series(1, 5000)", { maxRows: 10 });
    expect(results[0]).toMatchObject({ rowCount: 5000, truncated: true });
    expect(results[0]?.rows).toHaveLength(10);
  });

  test("bytes beyond the limit are left out", async () => {
    const { results } = await run("select repeat('x', 1000) from generate_series(1, 100)", { maxBytes: 5000 });
    expect(results[0]).toMatchObject({ rowCount: 100, truncated: true });
    expect(results[0]?.rows.length).toBeLessThan(6);
  });

  test("a result that is far too large is cancelled", async () => {
    const error = await failure("select repeat('x', 10000) from generate_series(1, 100000)", { maxRows: 1 });
    expect(error).toMatchObject({ code: "SQL_ERROR", sqlState: "57014" });
  });

  test.each([
    [
      "value", // longer than a JavaScript string can be
      "select repeat('x', 600000000)",
    ],
    ["notice", "do $$ begin raise notice '%', repeat('x', 100000000); end $$"],
    ["error", "do $$ begin raise '%', repeat('x', 100000000); end $$"],
  ])("one enormous %s ends the run and not the control plane", async (_what, script) => {
    expect(await failure(script)).toMatchObject({ code: "SQL_ERROR", sqlState: "57014" });
    expect((await run("select 1")).results[0]?.rows).toEqual([[1]]);
  });

  test("a statement is cancelled at its time limit, even when the script lifts it", async () => {
    const error = await failure("set statement_timeout = 0; select pg_sleep(60)", { timeoutMs: 200 });
    expect(error).toMatchObject({ code: "SQL_ERROR", sqlState: "57014" });
  });

  test("one document does not collect the results of many runs", async () => {
    const runs = (count: number) =>
      Array.from({ length: count }, (_, i) => `r${i}: runSql(input: {ref: "${ref}", sql: "select 1"}) { executionId }`);
    expect(await client.code(`mutation { ${runs(3).join(" ")} }`)).toBeNull();
    expect(await client.code(`mutation { ${runs(5).join(" ")} }`)).toBe("QUERY_TOO_LARGE");
  });

  test("a refused argument is named", async () => {
    expect(await failure("select 1", { maxRows: 1_000_000 })).toMatchObject({
      code: "INVALID_INPUT",
      field: "maxRows",
    });
    expect(await failure("select 1", { executionId: "x" })).toMatchObject({
      code: "INVALID_INPUT",
      field: "executionId",
    });
  });
});

test("a run is cancelled by its id from another request", async () => {
  const executionId = randomUUID();
  const running = failure("select pg_sleep(60)", { executionId });
  await expect
    .poll(
      async () => (await client.data(`mutation { cancelSql(ref: "${ref}", executionId: "${executionId}") }`)).cancelSql,
    )
    .toBe(true);
  expect(await running).toMatchObject({ code: "SQL_ERROR", sqlState: "57014" });
});

test("COPY from standard input is refused and COPY to it gives no rows", async () => {
  const table = fresh("copied");
  expect(await failure(`create table ${table} (a int); copy ${table} from stdin;`)).toMatchObject({
    code: "SQL_ERROR",
  });
  expect((await run("copy (select 1) to stdout")).results[0]).toMatchObject({ command: "COPY 1", rows: [] });
});

test.each([
  ["a binary cursor", `begin; declare c binary cursor for select '{}'::jsonb; fetch c;`],
  ["an encoding in which a letter ends in a backslash", `set client_encoding to sjis; select '"表"'::json;`],
  ["thousands of levels", `select (repeat('[', 3000) || repeat(']', 3000))::json;`],
])("json that comes by %s does not end the control plane", async (_how, script) => {
  await run(script);
  expect((await run("select 1")).results[0]?.rows).toEqual([[1]]);
});

test("the audit log notes who ran what under which role, and keeps no text of the script", async () => {
  const secret = fresh("secret");
  await run(`select '${secret}'`, { role: "ANON" });
  const rows = await plane.database.query<{ details: unknown }>(
    "select details from audit_log where action = 'sql.run' and project_ref = $1",
    [ref],
  );
  expect(rows.length).toBeGreaterThan(0);
  expect(JSON.stringify(rows)).not.toContain(secret);
  expect(plane.log.join("")).not.toContain(secret);
});
