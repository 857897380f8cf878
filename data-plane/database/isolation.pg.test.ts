/** What one request's statements can leave behind for the next on the same connection. */
import { randomBytes } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, inject, test } from "vitest";
import type { ProjectDatabase, Statement } from "./database.ts";
import { createProjectDatabases, type ObservableProjectDatabases } from "./project-databases.ts";
import { createTestDatabase, type TestDatabase } from "./test-database.ts";

const suffix = randomBytes(4).toString("hex"); // roles are shared by all databases of the run's cluster
const anon = `anon_${suffix}`;
const login = `authenticator_${suffix}`;
let target: TestDatabase;
let databases: ObservableProjectDatabases;

beforeAll(async () => {
  target = await createTestDatabase(inject("clusterUrl"));
  await target.query(`
    create role ${anon} nologin;
    create role ${login} login noinherit password 'pass word';
    grant ${anon} to ${login};
    create function leave_behind(name text, value text) returns text language sql
      as $$ select set_config(name, value, false) $$;
    create function leave_role(name text) returns void language plpgsql
      as $$ begin execute format('set role %I', name); end $$;
    create schema evil;
    grant usage on schema evil to ${anon};
    create table secret (id int);
    create table evil.secret (id int)`);
});
afterAll(async () => {
  await target.drop();
  const other = await createTestDatabase(inject("clusterUrl"));
  await other.query(`drop role ${anon}, ${login}`);
  await other.drop();
});
afterEach(() => databases.close());

/** One connection, so that each request follows the other's traces. */
function open(): ProjectDatabase {
  databases = createProjectDatabases({ maxConnections: 1, maxConnectionsPerProject: 1 });
  return databases.get(target.projectRef, { ...target.address, user: login, password: "pass word" });
}

function asAnon(text: string, ...values: string[]): Statement[] {
  return [
    { text: "select set_config('role', $1, true)", values: [anon], prepare: true },
    { text, values, prepare: true },
  ];
}

async function readValue(database: ProjectDatabase, statements: Statement[]): Promise<string | null | undefined> {
  const results = await database.pipeline(statements);
  return results.at(-1)?.rows[0]?.[0];
}

test("settings local to one request are gone in the next", async () => {
  const database = open();
  await readValue(database, asAnon("select set_config('request.jwt.claims', '{\"sub\":\"a\"}', true)"));
  expect(
    await readValue(database, asAnon("select nullif(current_setting('request.jwt.claims', true), '')")),
  ).toBeNull();
  expect(await readValue(database, [{ text: "select current_user", values: [], prepare: true }])).toBe(login);
});

test.each([
  ["request.jwt.claim.sub", "somebody else", null],
  ["app.tenant", "other", null],
  ["search_path", "evil, public", '"$user", public'],
  ["row_security", "off", "on"],
  ["default_transaction_read_only", "on", "off"],
  ["statement_timeout", "1", "0"],
  ["timezone", "Asia/Tokyo", "UTC"],
  ["client_encoding", "LATIN1", "UTF8"],
])("a function that sets %s for the session sets it for nobody else", async (name, value, original) => {
  const database = open();
  await readValue(database, asAnon("select leave_behind($1, $2)", name, value));
  const [setting] = await Promise.all([
    readValue(database, asAnon("select nullif(current_setting($1, true), '')", name)),
    readValue(database, asAnon("select 'grün'")).then((text) => expect(text).toBe("grün")),
  ]);
  expect(setting).toBe(original);
  const [row] = await database.withTransaction((transaction) =>
    transaction.query<{ value: string | null }>("select nullif(current_setting($1, true), '') as value", [name]),
  );
  expect(row?.value).toBe(name === "statement_timeout" ? "1min" : original);
  expect(databases.stats().opened).toBe(1);
});

test("a role left behind is overridden by the next request's own, and a transaction begins without it", async () => {
  const database = open();
  await readValue(database, asAnon("select leave_role($1)", login)).catch(() => {});
  await database.pipeline([{ text: `set role ${anon}`, values: [], prepare: false }]);
  expect(await readValue(database, asAnon("select current_user"))).toBe(anon);
  const [row] = await database.withTransaction((transaction) =>
    transaction.query<{ role: string }>("select current_user::text as role"),
  );
  expect(row?.role).toBe(login);
});

test("a request that failed leaves nothing either", async () => {
  const database = open();
  await expect(
    database.pipeline([...asAnon("select set_config('request.jwt.claims', 'x', true)"), ...asAnon("select 1/0")]),
  ).rejects.toMatchObject({ code: "22012", statementIndex: 3 });
  expect(
    await readValue(database, asAnon("select nullif(current_setting('request.jwt.claims', true), '')")),
  ).toBeNull();
});

test("a name of ours that a function deallocates or prepares anew costs a repetition, no wrong answer", async () => {
  await target.query(`create function meddle() returns void language plpgsql as $$
    declare statement record;
    begin
      for statement in select name from pg_prepared_statements loop
        execute format('deallocate %I', statement.name);
      end loop;
    end $$`);
  const database = open();
  for (let n = 0; n < 5; n++) {
    const [, answer] = await Promise.all([
      readValue(database, asAnon("select meddle()")).catch(() => {}),
      readValue(database, asAnon("select $1::int + 1", String(n))),
    ]);
    expect(answer).toBe(String(n + 1));
  }
});

test("the other login of the same project has connections of its own", async () => {
  databases = createProjectDatabases({ maxConnections: 4 });
  const user = { text: "select current_user", values: [], prepare: true };
  const asLogin = databases.get(target.projectRef, { ...target.address, user: login, password: "pass word" });
  const asOwner = databases.get(target.projectRef, target.address);
  expect(await readValue(asLogin, [user])).toBe(login);
  expect(await readValue(asOwner, [user])).toBe(target.address.user);
  expect(await readValue(asLogin, [user])).toBe(login);
  expect(databases.stats().opened).toBe(2);
});
