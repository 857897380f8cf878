import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRunningProject, type RunningProject } from "../testing/running-project.ts";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";

let plane: TestControlPlane;
let project: RunningProject;

const HOSTILE = `a"b.c'; drop table x; --`;
const quoted = `"${HOSTILE.replaceAll('"', '""')}"`;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  project = await createRunningProject(plane);
  await sql(`
    create type mood as enum ('sad', 'ok');
    create table orders (id bigint primary key, name text, doc jsonb, total numeric, m mood default 'ok', twice numeric generated always as (total * 2) stored);
    insert into orders (id, name, total) select n, case when n % 3 > 0 then 'n' || n % 5 end, n from generate_series(1, 250) n;
    insert into orders (id, doc, total) values (9007199254740993, jsonb_build_object('a', repeat('x', 5000)), 12345678901234567890.123456789);
    create table ${quoted} (${quoted} text, b int, primary key (${quoted}, b));
    create table keyless (a int); insert into keyless select generate_series(1, 30);
    create table secret (id int primary key, owner uuid); alter table secret enable row level security;
    grant select, insert, update, delete on secret to anon, authenticated;
    create policy mine on secret for all to authenticated using (owner = (current_setting('request.jwt.claims')::json ->> 'sub')::uuid);
    insert into secret values (1, '00000000-0000-4000-8000-000000000001'), (2, '00000000-0000-4000-8000-000000000002');
  `);
});
afterAll(async () => {
  await project?.remove();
  await plane?.[Symbol.asyncDispose]();
});

function sql(text: string, options: object = {}) {
  return project.client.data(
    "mutation ($input: RunSqlInput!) { runSql(input: $input) { results { command rows rowCount } } }",
    { input: { ref: project.ref, sql: text, ...options } },
  );
}

const ROWS = `query ($ref: ID!, $input: TableRowsInput!) {
  project(ref: $ref) { tableRows(input: $input) {
    columns rows keys cut startCursor endCursor hidden { visibleToOwner rls policies { name } }
  } }
}`;

async function page(relation: string, options: object = {}) {
  const input = { schema: "public", relation, ...options };
  return (await project.client.data(ROWS, { ref: project.ref, input })).project.tableRows;
}

const CHANGE = `mutation ($input: ChangeRowsInput!) { changeRows(input: $input) { inserted updated deleted } }`;
const change = (relation: string, changes: object) =>
  project.client.request(CHANGE, { input: { ref: project.ref, schema: "public", relation, ...changes } });

const ids = (answer: { rows: string[][] }) => answer.rows.map(([id]) => id);

describe("rows", () => {
  test("come by key, forth and back, with digits as PostgreSQL has them and long values cut and marked", async () => {
    const first = await page("orders", { limit: 100 });
    expect(ids(first)).toEqual(Array.from({ length: 100 }, (_, index) => String(index + 1)));
    expect(first.startCursor).toBeNull();
    const second = await page("orders", { limit: 100, after: first.endCursor });
    const third = await page("orders", { limit: 100, after: second.endCursor });
    expect(third.endCursor).toBeNull();
    expect(third.rows.at(-1)?.[0]).toBe("9007199254740993");
    expect(third.rows.at(-1)?.[3]).toBe("12345678901234567890.123456789");
    expect(third.rows.at(-1)?.[2]).toHaveLength(2_048);
    expect(third.cut).toEqual([[50, 2, 0]]);
    expect(third.keys.at(-1)).toEqual({ id: "9007199254740993" });
    const back = await page("orders", { limit: 100, before: third.startCursor });
    expect(ids(back)).toEqual(ids(second));
  });

  test.each([[false], [true]])("of an order with nulls come once each, descending: %s", async (descending) => {
    const seen: (string | undefined)[] = [];
    let after: string | null = null;
    do {
      const next: Awaited<ReturnType<typeof page>> = await page("orders", {
        limit: 40,
        after,
        sort: [{ column: "name", descending }],
      });
      seen.push(...ids(next));
      after = next.endCursor;
    } while (after);
    expect(seen).toHaveLength(251);
    expect(new Set(seen).size).toBe(251);
  });

  test("are filtered with PostgreSQL's own reading of the value; a wrong one is told in its words", async () => {
    const found = await page("orders", { filters: [{ column: "id", operator: "GTE", value: "249" }] });
    expect(ids(found)).toEqual(["249", "250", "9007199254740993"]);
    const { errors } = await project.client.request(ROWS, {
      ref: project.ref,
      input: { schema: "public", relation: "orders", filters: [{ column: "id", operator: "EQ", value: "many" }] },
    });
    expect(errors[0]?.message).toContain('invalid input syntax for type bigint: "many"');
  });

  test("a missing column, a foreign place and a missing table are refused by name", async () => {
    const code = async (options: object) => {
      const input = { schema: "public", relation: "orders", ...options };
      const { errors } = await project.client.request(ROWS, { ref: project.ref, input });
      return errors[0]?.extensions?.code;
    };
    expect(await code({ sort: [{ column: "gone" }] })).toBe("INVALID_INPUT");
    expect(await code({ after: "bm9uc2Vuc2U" })).toBe("INVALID_INPUT");
    expect(await code({ relation: "gone" })).toBe("NOT_FOUND");
    expect(await code({ limit: 5_000 })).toBe("INVALID_INPUT");
  });

  test("of a table without a key are paged, and not edited", async () => {
    const first = await page("keyless", { limit: 20 });
    const second = await page("keyless", { limit: 20, after: first.endCursor });
    expect(second.rows).toHaveLength(10);
    const { errors } = await change("keyless", { deletes: [{ a: "1" }] });
    expect(errors[0]?.message).toContain("add a primary key");
  });

  test("that an identity does not see are explained", async () => {
    const nobody = await page("secret", { actAs: { role: "ANON" } });
    expect(nobody.rows).toEqual([]);
    expect(nobody.hidden).toEqual({ visibleToOwner: 2, rls: true, policies: [{ name: "mine" }] });
    const claims = { sub: "00000000-0000-4000-8000-000000000002" };
    const own = await page("secret", { actAs: { role: "AUTHENTICATED", claims } });
    expect(ids(own)).toEqual(["2"]);
  });

  test("a user's claims are made by the server", async () => {
    const { createProjectUser } = await project.client.data(
      "mutation ($input: CreateProjectUserInput!) { createProjectUser(input: $input) { user { id } } }",
      { input: { ref: project.ref, email: "eyes@example.com", role: "editor" } },
    );
    const { id } = createProjectUser.user;
    const { runSql } = await sql("select current_user::text, current_setting('request.jwt.claims')::json", {
      userId: id,
    });
    const [role, claims] = runSql.results[0].rows[0];
    expect(role).toBe("authenticated");
    expect(claims).toMatchObject({ sub: id, email: "eyes@example.com", role: "authenticated" });
  });
});

describe("changes", () => {
  test("are made together, with hostile names", async () => {
    const { data, errors } = await change(HOSTILE, { inserts: [{ [HOSTILE]: "x", b: "1" }] });
    expect(errors).toEqual([]);
    expect(data.changeRows.inserted).toBe(1);
    await change(HOSTILE, { updates: [{ key: { [HOSTILE]: "x", b: "1" }, old: { b: "1" }, new: { b: "2" } }] });
    expect((await page(HOSTILE)).rows).toEqual([["x", "2"]]);
    await change(HOSTILE, { deletes: [{ [HOSTILE]: "x", b: "2" }] });
    expect((await page(HOSTILE)).rows).toEqual([]);
  });

  test("of which one fails change nothing, and the row is named", async () => {
    const { errors } = await change("orders", {
      updates: [{ key: { id: "1" }, old: {}, new: { name: "changed" } }],
      inserts: [{ id: "1" }],
    });
    expect(errors[0]?.extensions).toMatchObject({ code: "SQL_ERROR", sqlState: "23505", change: "insert", index: 0 });
    expect((await page("orders", { limit: 1 })).rows[0][1]).toBe("n1");
  });

  test("of a row that was changed meanwhile are refused with what it holds now", async () => {
    const update = { key: { id: "2" }, old: { name: "something else" }, new: { name: "mine" } };
    const { errors } = await change("orders", { updates: [update] });
    expect(errors[0]?.extensions).toMatchObject({
      code: "CONFLICT",
      change: "update",
      present: { id: "2", name: "n2" },
    });
  });
});

describe("the catalog", () => {
  test("tells a table's columns, key, and what cannot be written", async () => {
    const { project: found } = await project.client.data(
      `{ project(ref: "${project.ref}") { catalog { schemas relations(schema: "public", search: "ORD") { name kind rls }
        relation(schema: "public", name: "orders") { rowKey columns { name type isGenerated enumValues } } } } }`,
    );
    expect(found.catalog.schemas).toContain("public");
    expect(found.catalog.relations).toEqual([{ name: "orders", kind: "table", rls: false }]);
    const { rowKey, columns } = found.catalog.relation;
    expect(rowKey).toEqual(["id"]);
    expect(columns.find(({ name }: { name: string }) => name === "twice").isGenerated).toBe(true);
    expect(columns.find(({ name }: { name: string }) => name === "m").enumValues).toEqual(["sad", "ok"]);
  });
});

describe("a dry run", () => {
  test("shows what each statement changed and keeps nothing", async () => {
    const { runSql } = await sql("update orders set name = 'dry' where id < 4; delete from keyless", {
      rollback: true,
    });
    expect(runSql.results.map(({ command }: { command: string }) => command)).toEqual(["UPDATE 3", "DELETE 30"]);
    expect((await page("keyless")).rows).toHaveLength(30);
  });

  test.each([
    "delete from keyless; commit",
    "delete from keyless; /* a */ -- b\n END",
    "delete from keyless; prepare transaction 'x'",
    "delete from keyless; commit and chain; select 1",
    "do $$ begin delete from keyless; commit; end $$",
    "begin; delete from keyless; commit",
  ])("cannot be left: %s", async (script) => {
    await expect(sql(script, { rollback: true })).rejects.toThrow();
    expect((await page("keyless")).rows).toHaveLength(30);
  });
});
