import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

/** Composite keys, two junctions between the same tables, and a view that defines itself by itself. */
const SCHEMA = `
  create table public.orders (
    id int primary key, shop text, article text, constraint of_stock foreign key (shop, article) references public.stock
  );
  insert into public.orders values (1, 'north', 'tea'), (2, null, 'tea');
  create table public.actors (id int primary key, name text);
  create table public.films (id int primary key, title text);
  create table public.roles (
    actor int constraint role_of references public.actors, film int constraint role_in references public.films, part text,
    primary key (actor, film, part)
  );
  create table public.awards (
    actor int constraint award_of references public.actors, film int constraint award_for references public.films,
    primary key (actor, film)
  );
  insert into public.actors values (1, 'Lee'), (2, 'Mia');
  insert into public.films values (1, 'Dawn'), (2, 'Dusk');
  insert into public.roles values (1, 1, 'king'), (1, 1, 'thief'), (1, 2, 'king'), (2, 2, 'queen');
  insert into public.awards values (2, 2);
  create view public.loop as select 1 as id;
  create or replace view public.loop as select id from public.loop;
  create function public.children(public.nodes) returns setof public.nodes stable language sql
    as $$ select * from public.nodes where parent_id = $1.id $$;
  create function public.parent(public.nodes) returns setof public.nodes rows 1 stable language sql
    as $$ select * from public.nodes where id = $1.parent_id $$;
  -- Of the same name as a table: the function goes first.
  create function public.tags(public.articles) returns setof public.tags stable language sql
    as $$ select * from public.tags where id = $1.id $$;
`;

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ sql: SCHEMA });
});
afterAll(() => world?.close());

describe("relationships", () => {
  test.each<[string, string, object[]]>([
    [
      "many-to-one is an object or null",
      "/books?select=id,authors(name)&id=in.(1,4)&order=id",
      [
        { id: 1, authors: { name: "Ada" } },
        { id: 4, authors: null },
      ],
    ],
    [
      "one-to-many is an array, empty when there is none",
      "/authors?select=name,books(id)&books.order=id.desc&order=id",
      [
        { name: "Ada", books: [{ id: 2 }, { id: 1 }] },
        { name: "Bo", books: [{ id: 3 }] },
        { name: "Cy", books: [] },
      ],
    ],
    [
      "many-to-many goes through the junction",
      "/books?select=id,tags(name)&tags.order=name&id=lt.3&order=id",
      [
        { id: 1, tags: [{ name: "new" }, { name: "old" }] },
        { id: 2, tags: [{ name: "old" }] },
      ],
    ],
    [
      "one-to-one is an object or null on one side",
      "/authors?select=name,author_profiles(bio)&id=lt.3&order=id",
      [
        { name: "Ada", author_profiles: { bio: "wrote notes" } },
        { name: "Bo", author_profiles: null },
      ],
    ],
    [
      "and an object on the other, and back again",
      "/author_profiles?select=bio,authors(name,author_profiles(bio))",
      [{ bio: "wrote notes", authors: { name: "Ada", author_profiles: { bio: "wrote notes" } } }],
    ],
    [
      "a key of several columns",
      "/orders?select=id,stock(quantity)&order=id",
      [
        { id: 1, stock: { quantity: 1 } },
        { id: 2, stock: null },
      ],
    ],
    [
      "of a partitioned table, both ways",
      "/parcels?select=id,authors(name,parcels(town))",
      [{ id: 1, authors: { name: "Ada", parcels: [{ town: "Oslo" }] } }],
    ],
    [
      "a function's rows have those of their table",
      "/rpc/books_of?author=2&select=title,authors(name),tags(name)",
      [{ title: "Running cats", authors: { name: "Bo" }, tags: [] }],
    ],
    [
      "twice under aliases, each filtered for itself",
      "/authors?select=thin:books(id),thick:books(id)&thin.pages=lt.60&thick.pages=gt.60&id=eq.1",
      [{ thin: [{ id: 2 }], thick: [{ id: 1 }] }],
    ],
    [
      "nested, with filters, orders and limits of their own",
      "/authors?select=name,works:books(title,labels:tags(name))&works.id=eq.1&works.labels.limit=1&works.labels.order=name&id=eq.1",
      [{ name: "Ada", works: [{ title: "Engines", labels: [{ name: "new" }] }] }],
    ],
    [
      "nested, with an offset and logic of their own",
      "/authors?select=books(id,tags(id))&books.offset=1&books.order=id&books.tags.or=(id.eq.1,id.eq.2)&id=eq.1",
      [{ books: [{ id: 2, tags: [{ id: 1 }] }] }],
    ],
    [
      "an offset leaves nothing of a to-one embed",
      "/books?select=id,authors(name)&authors.offset=1&id=eq.1",
      [{ id: 1, authors: null }],
    ],
  ])("%s", async (_, target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });
});

describe("views carry the keys of the columns they show", () => {
  test.each<[string, string, object[]]>([
    [
      "to a table, by a foreign key",
      "/cheap_books?select=name,authors(name),tags(name)&order=id&id=eq.2",
      [{ name: "Looms", authors: { name: "Ada" }, tags: [{ name: "old" }] }],
    ],
    ["from a table", "/authors?select=cheap_books(name)&id=eq.1", [{ cheap_books: [{ name: "Looms" }] }]],
    [
      "through another view, both with names of their own",
      "/bargains?select=number,authors(name)",
      [{ number: 2, authors: { name: "Ada" } }],
    ],
    [
      "of both tables that it joins",
      "/book_authors?select=title,tags(name),parcels(town)&book_id=eq.2",
      [{ title: "Looms", tags: [{ name: "old" }], parcels: [{ town: "Oslo" }] }],
    ],
    ["when it is kept", "/tag_counts?select=books,tags(name)&tag_id=eq.1", [{ books: 2, tags: { name: "old" } }]],
  ])("%s", async (_, target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });

  test("a view that refers to itself does no harm but to itself", async () => {
    expect((await project.call("GET /loop")).status).toBe(500);
    expect((await project.call("GET /books")).status).toBe(200);
  });
});

describe("computed relationships", () => {
  test.each<[string, object[]]>([
    [
      "/books?select=id,writer(name),siblings(title)&id=eq.1",
      [{ id: 1, writer: { name: "Ada" }, siblings: [{ title: "Looms" }] }],
    ],
    ["/books?select=writer(name,books(id))&id=eq.3", [{ writer: { name: "Bo", books: [{ id: 3 }] } }]],
    ["/books?select=id,siblings!inner()&order=id", [{ id: 1 }, { id: 2 }]],
    ["/books?select=id,others:siblings(id)&others.id=gt.1&id=eq.1", [{ id: 1, others: [{ id: 2 }] }]],
    ["/books?select=id,...writer(author:name)&id=eq.1", [{ id: 1, author: "Ada" }]],
    ["/books?select=id,writer()&writer=is.null", [{ id: 4 }]],
    ["/nodes?select=id,parent(id),children(id)&id=eq.3", [{ id: 3, parent: { id: 1 }, children: [{ id: 4 }] }]],
    ["/articles?select=id,tags(name)&id=eq.1", [{ id: 1, tags: [{ name: "old" }] }]],
  ])("%s", async (target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });
});

describe("self-references", () => {
  test.each<[string, string, object[]]>([
    [
      "the column is the parent, the table's name the children",
      "/nodes?select=id,parent_id(id),nodes(id)&id=lte.2&order=id&nodes.order=id",
      [
        { id: 1, parent_id: null, nodes: [{ id: 2 }, { id: 3 }] },
        { id: 2, parent_id: { id: 1 }, nodes: [] },
      ],
    ],
    ["so is the table with the column as hint", "/nodes?select=a:nodes!parent_id(id)&id=eq.3", [{ a: [{ id: 4 }] }]],
    [
      "several levels down and up",
      "/nodes?select=id,nodes(id,nodes(id,parent_id(id,parent_id(id))))&id=eq.1&nodes.id=eq.3",
      [{ id: 1, nodes: [{ id: 3, nodes: [{ id: 4, parent_id: { id: 3, parent_id: { id: 1 } } }] }] }],
    ],
  ])("%s", async (_, target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });
});

describe("where there are several ways", () => {
  test.each<[string, string, object]>([
    [
      "the constraint is the hint",
      "/shipments?select=id,a:places!shipments_origin(city),b:places!shipments_target(city)&id=eq.1",
      { id: 1, a: { city: "Oslo" }, b: { city: "Rome" } },
    ],
    [
      "or the target",
      "/shipments?select=id,a:shipments_origin(city),b:shipments_target(city)&id=eq.1",
      { id: 1, a: { city: "Oslo" }, b: { city: "Rome" } },
    ],
    ["a column is the hint", "/shipments?select=places!target(city)&id=eq.1", { places: { city: "Rome" } }],
    ["a column of the other side", "/places?select=shipments!origin(id)&id=eq.1", { shipments: [{ id: 1 }] }],
    ["a column is the target", "/shipments?select=target(city)&id=eq.1", { target: { city: "Rome" } }],
    [
      "a junction is the hint",
      "/actors?select=a:films!awards(title),b:films!roles(title)&id=eq.1&b.order=title&b.id=eq.2",
      { a: [], b: [{ title: "Dusk" }] },
    ],
  ])("%s", async (_, target, row) => {
    expect(await project.rows(`GET ${target}`)).toEqual([row]);
  });

  test("300 lists the foreign keys and names them in the hint", async () => {
    const { status, body, headers } = await project.call("GET /shipments?select=id,places(city)");
    expect(status).toBe(300);
    expect(headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(body).toEqual({
      code: "PGRST201",
      message: "Could not embed because more than one relationship was found for 'shipments' and 'places'",
      details: [
        {
          cardinality: "many-to-one",
          embedding: "shipments with places",
          relationship: "shipments_origin using shipments(origin) and places(id)",
        },
        {
          cardinality: "many-to-one",
          embedding: "shipments with places",
          relationship: "shipments_target using shipments(target) and places(id)",
        },
      ],
      hint: "Try changing 'places' to one of the following: 'places!shipments_origin', 'places!shipments_target'. Find the desired relationship in the 'details' key.",
    });
  });

  test("300 lists the junctions with both of their keys", async () => {
    const { status, body } = await project.call("GET /actors?select=films(title)");
    expect(status).toBe(300);
    expect(body.hint).toBe(
      "Try changing 'films' to one of the following: 'films!awards', 'films!roles'. Find the desired relationship in the 'details' key.",
    );
    expect(body.details).toEqual([
      {
        cardinality: "many-to-many",
        embedding: "actors with films",
        relationship: "awards using award_of(actor) and award_for(film)",
      },
      {
        cardinality: "many-to-many",
        embedding: "actors with films",
        relationship: "roles using role_of(actor) and role_in(film)",
      },
    ]);
  });
});

describe("where there is none", () => {
  const searched = (target: string, hint = "") =>
    `Searched for a foreign key relationship between 'books' and '${target}'${hint} in the schema 'public', but no matches were found.`;

  test.each<[string, string, object]>([
    [
      "no relationship",
      "qqqqq(id)",
      {
        message: "Could not find a relationship between 'books' and 'qqqqq' in the schema cache",
        details: searched("qqqqq"),
        hint: null,
      },
    ],
    ["not to an existing table either", "places(city)", { details: searched("places") }],
    ["not by that hint", "authors!nope(name)", { details: searched("authors", " using the hint 'nope'") }],
    ["a misspelt name", "author(name)", { hint: "Perhaps you meant 'authors' instead of 'author'." }],
  ])("%s", async (_, embed, error) => {
    expect(await project.call(`GET /books?select=id,${embed}`)).toMatchObject({
      status: 400,
      body: { code: "PGRST200", ...error },
    });
  });
});

describe("spreads", () => {
  test.each<[string, string, object[]]>([
    [
      "to-one lifts columns into the parent",
      "/books?select=id,...authors(author:name,born)&id=in.(1,4)&order=id",
      [
        { id: 1, author: "Ada", born: 1815 },
        { id: 4, author: null, born: null },
      ],
    ],
    [
      "all of them",
      "/author_profiles?select=...authors(*)",
      [{ id: 1, name: "Ada", born: 1815, nicknames: ["Countess", "Enchantress"] }],
    ],
    [
      "to-many turns columns into arrays of one order, nulls kept",
      "/authors?select=name,...books(titles:title,pages)&books.order=id.desc&order=id",
      [
        { name: "Ada", titles: ["Looms", "Engines"], pages: [50, 100] },
        { name: "Bo", titles: ["Running cats"], pages: [null] },
        { name: "Cy", titles: [], pages: [] },
      ],
    ],
    [
      "to-many in to-many are arrays of arrays",
      "/authors?select=name,...books(titles:title,...tags(labels:name))&books.order=id&books.tags.order=name&id=eq.1",
      [{ name: "Ada", titles: ["Engines", "Looms"], labels: [["new", "old"], ["old"]] }],
    ],
    [
      "to-one in to-many stays one array",
      "/tags?select=name,...books(...authors(by:name))&id=eq.2",
      [{ name: "new", by: ["Ada"] }],
    ],
    [
      "an embed in to-many is an array of objects",
      "/authors?select=...books(authors(name))&id=eq.2",
      [{ authors: [{ name: "Bo" }] }],
    ],
    [
      "to-many in to-one are arrays of the parent",
      "/author_profiles?select=bio,...authors(name,...books(title))",
      [{ bio: "wrote notes", name: "Ada", title: ["Engines", "Looms"] }],
    ],
    ["may be inner", "/books?select=id,...authors!inner(name)&authors.name=eq.Bo", [{ id: 3, name: "Bo" }]],
  ])("%s", async (_, target, rows) => {
    expect(await project.rows(`GET ${target}`)).toEqual(rows);
  });
});

describe("what is refused", () => {
  test.each<[string, string, object]>([
    [
      "a filter for what is not embedded",
      "/authors?select=id&books.id=eq.1",
      {
        code: "PGRST108",
        message: "'books' is not an embedded resource in this request",
        hint: "Verify that 'books' is included in the 'select' query parameter.",
      },
    ],
    ["an operator on an embed", "/authors?select=id,books(id)&books=eq.1", { code: "PGRST120" }],
    [
      "an order by a to-many embed",
      "/authors?select=id,books(id)&order=books(id)",
      {
        code: "PGRST118",
        message: "A related order on 'books' is not possible",
        details: "'authors' and 'books' do not form a many-to-one or one-to-one relationship",
      },
    ],
    [
      "an order by what is not embedded",
      "/books?select=id&order=authors(name)",
      { code: "PGRST108", message: "'authors' is not an embedded resource in this request" },
    ],
  ])("%s", async (_, target, error) => {
    expect(await project.call(`GET ${target}`)).toMatchObject({ status: 400, body: error });
  });

  test("the target's name in place of its alias warns, or is refused by setting", async () => {
    const target = "GET /authors?select=id,works:books(id)&books.id=eq.1&id=eq.1";
    const lenient = await project.call(target);
    expect(lenient.body).toEqual([{ id: 1, works: [{ id: 1 }] }]);
    expect(lenient.headers.warning).toMatch(
      /^299 PostgRESTv[\d.]+ "Embedded resource was referenced by relation name .* Update `books` to `works` in query string filters, orders or limits\."$/,
    );
    expect(await project.call(target, { settings: { urlUseLegacyTargetNames: false } })).toMatchObject({
      status: 400,
      body: {
        code: "PGRST108",
        details: "Target names are not allowed in filters if they have an alias",
        hint: "Change 'books' to 'works' in filters, orders or limits.",
      },
    });
  });
});
