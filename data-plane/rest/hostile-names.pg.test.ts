/**
 * Everything in a schema may have a name that would be SQL were it not quoted: relations, columns, keys, views,
 * junctions, computed fields and relationships, functions and their arguments, domains with representations, media
 * handlers, the schema itself. Whoever can name things in a project must gain nothing by it, and can still use them.
 */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

/** At most 50 bytes, so that all of it is in each name. Every object's name begins with a letter of its own. */
const HOSTILE = [
  `"; drop table public.canary; --`,
  `' || pg_sleep(9) || '`,
  `\\'; drop table public.canary; --`,
  `*/ drop table public.canary; /*`,
  `$$; drop table public.canary; $$ $1 $2`,
  `a\n;\r\n drop table public.canary;\t--`,
  `".*, (select 1) as "x`,
  `%I %s %1$s ? :a {0} #{x}`,
  `Größe ключ 🔑 \u202e\u0001`,
  `x) OVER () :: int -> ->> , . ( `,
  `E'\\047' U&"\\0022" --`,
];

const identifier = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** All that can have a name, with the hostile text in each. */
function namesWith(text: string) {
  const name = (letter: string) => `${letter} ${text}`;
  return {
    schema: name("s"),
    parent: name("p"),
    child: name("c"),
    junction: name("j"),
    view: name("v"),
    key: name("k"),
    column: name("n"),
    reference: name("r"),
    constraint: name("f"),
    toChild: name("g"),
    toParent: name("h"),
    domain: name("d"),
    toJson: name("t"),
    fromJson: name("u"),
    fromText: name("w"),
    computed: name("m"),
    related: name("l"),
    routine: name("o"),
    argument: name("a"),
    handler: name("x"),
    step: name("y"),
    enumeration: name("e"),
  };
}

function schemaOf(names: ReturnType<typeof namesWith>): string {
  const quoted = Object.fromEntries(Object.entries(names).map(([key, name]) => [key, identifier(name)]));
  const n = quoted as Record<keyof typeof names, string>;
  const of = (name: string) => `${n.schema}.${name}`;
  const literal = `'${names.column.replaceAll("'", "''")}'`;
  return `
    create schema ${n.schema};
    create domain ${of(n.domain)} as text;
    create function ${of(n.toJson)}(${of(n.domain)}) returns json immutable language sql as $fn$ select to_json('<' || $1 || '>') $fn$;
    create function ${of(n.fromText)}(text) returns ${of(n.domain)} immutable language sql
      as $fn$ select trim($1, '<>')::text::${of(n.domain)} $fn$;
    create function ${of(n.fromJson)}(json) returns ${of(n.domain)} immutable language sql
      as $fn$ select trim($1 #>> '{}', '<>')::text::${of(n.domain)} $fn$;
    create cast (${of(n.domain)} as json) with function ${of(n.toJson)}(${of(n.domain)}) as implicit;
    create cast (json as ${of(n.domain)}) with function ${of(n.fromJson)}(json) as implicit;
    create cast (text as ${of(n.domain)}) with function ${of(n.fromText)}(text) as implicit;
    create type ${of(n.enumeration)} as enum (${literal}, 'other');
    create table ${of(n.parent)} (${n.key} int primary key, ${n.column} text);
    create table ${of(n.child)} (
      ${n.key} int primary key,
      ${n.column} text default ${literal},
      ${n.domain} ${of(n.domain)} default 'plain',
      ${n.enumeration} ${of(n.enumeration)} default ${literal},
      ${n.reference} int constraint ${n.constraint} references ${of(n.parent)}
    );
    create table ${of(n.junction)} (
      ${n.key} int constraint ${n.toChild} references ${of(n.child)},
      ${n.reference} int constraint ${n.toParent} references ${of(n.parent)},
      primary key (${n.key}, ${n.reference})
    );
    insert into ${of(n.parent)} values (1, 'mother'), (2, 'father');
    insert into ${of(n.child)} (${n.key}, ${n.reference}) values (1, 1);
    insert into ${of(n.junction)} values (1, 2);
    create view ${of(n.view)} as
      select ${n.key} as ${n.argument}, ${n.column}, ${n.domain}, ${n.reference} as ${n.parent} from ${of(n.child)};
    create function ${of(n.computed)}(${of(n.child)}) returns int stable language sql as $fn$ select $1.${n.key} + 10 $fn$;
    create function ${of(n.related)}(${of(n.child)}) returns setof ${of(n.parent)} rows 1 stable language sql
      as $fn$ select * from ${of(n.parent)} where ${n.key} = 2 $fn$;
    create function ${of(n.routine)}(${n.argument} text) returns setof ${of(n.child)} stable language sql
      as $fn$ select * from ${of(n.child)} where ${n.column} = $1 $fn$;
    create domain ${of('"text/x-hostile"')} as text;
    create domain ${of(identifier(`text/${names.domain}`))} as text;
    create function ${of(n.step)}(${of('"text/x-hostile"')}, ${of(n.child)}) returns ${of('"text/x-hostile"')}
      immutable language sql as $fn$ select ($1 || $2.${n.key} || ';')::${of('"text/x-hostile"')} $fn$;
    create aggregate ${of(n.handler)}(${of(n.child)}) (initcond = '', stype = ${of('"text/x-hostile"')}, sfunc = ${of(n.step)});
    comment on table ${of(n.child)} is ${literal};
    grant usage on schema ${n.schema} to anon;
    grant all on all tables in schema ${n.schema} to anon;`;
}

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  const all = HOSTILE.map(namesWith);
  project = await world.createProject({
    settings: {
      schemas: ["public", ...all.map(({ schema }) => schema)],
      extraSearchPath: ["public", ...all.map(({ schema }) => schema).reverse()],
      txEnd: "rollback-allow-override",
      aggregatesEnabled: true,
    },
    sql: `create table public.canary (id int); ${all.map(schemaOf).join("\n")}`,
  });
});
afterAll(async () => {
  await world?.close();
});

describe.each(HOSTILE)("names with %j", (text) => {
  const names = namesWith(text);
  const { parent, child, junction, view, key, column, reference, domain, enumeration } = names;

  /** For the grammar of the query string, which quotes another way than SQL. */
  const quoted = (name: string) => `"${name.replace(/["\\]/g, "\\$&")}"`;
  const ask = (method: string, path: string, pairs: [string, string][] = [], options: Record<string, unknown> = {}) => {
    const { accept = "application/json", ...others } = options;
    const query = pairs.map((pair) => pair.map(encodeURIComponent).join("=")).join("&");
    return project.call(`${method} ${path}?${query}`, {
      headers: { "accept-profile": names.schema, "content-profile": names.schema, accept: String(accept) },
      ...others,
    });
  };
  const at = (name: string) => `/${encodeURIComponent(name)}`;
  const REPRESENTATION = { prefer: "return=representation" };

  test("columns, computed fields, filters, logic and order", async () => {
    const answer = await ask("GET", at(child), [
      ["select", [column, domain, enumeration, names.computed].map(quoted).join(",")],
      [quoted(column), `eq.${column}`],
      [quoted(domain), "in.(plain,<plain>)"],
      [quoted(names.computed), "gt.5"],
      ["or", `(${quoted(column)}.eq.${quoted(column)},not.and(${quoted(key)}.eq.9))`],
      ["order", `${quoted(names.computed)}.desc,${quoted(domain)}`],
    ]);
    expect(answer).toMatchObject({
      status: 200,
      body: [{ [column]: column, [domain]: "<plain>", [enumeration]: column, [names.computed]: 11 }],
    });
  });

  test("embeds by foreign key, junction and function, filtered, ordered and counted", async () => {
    const answer = await ask(
      "GET",
      at(child),
      [
        [
          "select",
          [
            `${quoted(text)}:${quoted(parent)}!${quoted(names.constraint)}!inner(${quoted(column)})`,
            `many:${quoted(parent)}!${quoted(junction)}(${quoted(column)})`,
            `${quoted(names.related)}(${quoted(column)})`,
          ].join(","),
        ],
        [`${quoted(text)}.${quoted(column)}`, "eq.mother"],
        [`many.order`, quoted(column)],
        ["order", `${quoted(text)}(${quoted(column)})`],
      ],
      { prefer: "count=exact" },
    );
    expect(answer).toMatchObject({
      status: 200,
      body: [
        {
          [text]: { [column]: "mother" },
          many: [{ [column]: "father" }],
          [names.related]: { [column]: "father" },
        },
      ],
      headers: { "content-range": "0-0/1" },
    });
  });

  test("spreads and aggregates", async () => {
    const spread = (items: string) => `...${quoted(parent)}!${quoted(names.constraint)}(${items})`;
    const summed = await ask("GET", at(child), [
      ["select", `${quoted(text)}:${quoted(key)}.max(),${spread(quoted(column))}`],
    ]);
    expect(summed).toMatchObject({ status: 200, body: [{ [text]: 1, [column]: "mother" }] });
    const lists = await ask("GET", at(parent), [
      ["select", `...${quoted(junction)}(${quoted(text)}:${quoted(key)})`],
      [quoted(key), "eq.2"],
      [`${quoted(junction)}.order`, quoted(reference)],
    ]);
    expect(lists).toMatchObject({ status: 200, body: [{ [text]: [1] }] });
  });

  test("an ambiguous embed, an unknown relation and function: told with their names, as JSON", async () => {
    const ambiguous = await ask("GET", at(child), [["select", `${quoted(parent)}(*)`]]);
    expect(ambiguous.status).toBe(300);
    expect(JSON.stringify(ambiguous.body.details)).toContain(JSON.stringify(names.constraint).slice(1, -1));
    for (const path of [at(`${child}x`), `/rpc${at(`${names.routine}x`)}`]) {
      expect((await ask("GET", path)).status).toBe(404);
    }
  });

  test("views, with the keys and the representations behind them", async () => {
    const answer = await ask("GET", at(view), [
      [
        "select",
        `${quoted(domain)},${quoted(names.constraint)}:${quoted(parent)}!${quoted(parent)}(${quoted(column)})`,
      ],
      [quoted(names.argument), "eq.1"],
    ]);
    expect(answer).toMatchObject({ status: 200, body: [{ [domain]: "<plain>" }] });
    expect(answer.body[0][names.constraint]).toEqual({ [column]: "mother" });
  });

  test("inserts, upserts, replacements, updates and deletions", async () => {
    const row = { [key]: 7, [column]: text, [domain]: "<sent>", [reference]: 2 };
    const select: [string, string] = ["select", `${quoted(domain)},${quoted(names.constraint)}(${quoted(column)})`];
    const shown = [{ [domain]: "<sent>", [names.constraint]: { [column]: "father" } }];
    expect(await ask("POST", at(child), [select], { ...REPRESENTATION, body: [row] })).toMatchObject({
      status: 201,
      body: shown,
    });
    const filled = await ask("POST", at(child), [["columns", [key, column, domain].map(quoted).join(",")]], {
      prefer: "return=representation, missing=default, resolution=merge-duplicates",
      body: [{ [key]: 1 }],
    });
    expect(filled).toMatchObject({ status: 200, body: [{ [key]: 1, [column]: column, [domain]: "<plain>" }] });
    const conflict: [string, string] = ["on_conflict", quoted(key)];
    const merged = await ask("POST", at(child), [conflict, select], {
      prefer: "return=representation, resolution=merge-duplicates",
      body: { ...row, [key]: 1 },
    });
    expect(merged).toMatchObject({ status: 200, body: shown });
    const one: [string, string] = [quoted(key), "eq.1"];
    expect(await ask("PUT", at(child), [one, select], { ...REPRESENTATION, body: { ...row, [key]: 1 } })).toMatchObject(
      {
        status: 200,
        body: shown,
      },
    );
    const where: [string, string] = [quoted(domain), "eq.<plain>"];
    expect(
      await ask("PATCH", at(child), [where, select], { ...REPRESENTATION, body: { ...row, [key]: 1 } }),
    ).toMatchObject({
      status: 200,
      body: shown,
    });
    expect((await ask("DELETE", at(junction), [[quoted(reference), "eq.2"]], REPRESENTATION)).body).toEqual([
      { [key]: 1, [reference]: 2 },
    ]);
  });

  test("the Location of a new row leads to it", async () => {
    const body = { [key]: 8, [reference]: 1 };
    const made = await ask("POST", at(child), [], { prefer: "return=headers-only, tx=commit", body });
    expect(made.status).toBe(201);
    const [path = "", query = ""] = (made.headers.location ?? "").split("?");
    expect(made.headers.location).toMatch(/^[\x21-\x7e]+$/);
    const [name = "", filter = ""] = query.split("=").map(decodeURIComponent);
    expect(
      (await ask("DELETE", path, [[quoted(name), filter]], { prefer: "return=representation, tx=commit" })).body,
    ).toMatchObject([{ [key]: 8 }]);
  });

  test("functions and their arguments", async () => {
    for (const answer of [
      await ask("GET", `/rpc${at(names.routine)}`, [[names.argument, column]]),
      await ask("POST", `/rpc${at(names.routine)}`, [], { body: { [names.argument]: column } }),
    ]) {
      expect(answer).toMatchObject({ status: 200, body: [{ [key]: 1 }] });
    }
  });

  test("media handlers, CSV and the OpenAPI document", async () => {
    expect(await ask("GET", at(child), [], { accept: "text/x-hostile" })).toMatchObject({ status: 200, text: "1;" });
    const csv = await ask(
      "GET",
      at(parent),
      [
        ["select", quoted(column)],
        ["limit", "1"],
      ],
      { accept: "text/csv" },
    );
    expect(csv.text.endsWith("\nmother")).toBe(true);
    const root = await ask("GET", "/", [], { accept: "application/openapi+json" });
    expect(root.status).toBe(200);
    expect(Object.keys(root.body.definitions)).toContain(child);
    expect((await ask("OPTIONS", at(child))).status).toBe(200);
  });

  test("no header of an answer can be more than one", async () => {
    const { headers } = await ask("GET", at(parent));
    for (const value of Object.values(headers)) expect(value).not.toMatch(/[\0-\x08\n-\x1f\x7f]/);
  });
});

test("nothing happened to anybody else", async () => {
  expect((await project.call("GET /canary")).status).toBe(200);
});
