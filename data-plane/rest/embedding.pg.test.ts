import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world?.close());

describe("relationships", () => {
  test("many-to-one is an object or null", async () => {
    expect(await project.rows("GET /books?select=id,authors(name)&id=in.(1,4)&order=id")).toEqual([
      { id: 1, authors: { name: "Ada" } },
      { id: 4, authors: null },
    ]);
  });

  test("one-to-many is an array, empty when there is none", async () => {
    expect(await project.rows("GET /authors?select=name,books(id)&books.order=id.desc&order=id")).toEqual([
      { name: "Ada", books: [{ id: 2 }, { id: 1 }] },
      { name: "Bo", books: [{ id: 3 }] },
      { name: "Cy", books: [] },
    ]);
  });

  test("many-to-many goes through the junction", async () => {
    expect(await project.rows("GET /books?select=id,tags(name)&tags.order=name&id=lt.3&order=id")).toEqual([
      { id: 1, tags: [{ name: "new" }, { name: "old" }] },
      { id: 2, tags: [{ name: "old" }] },
    ]);
  });

  test("one-to-one is an object on both sides", async () => {
    expect(await project.rows("GET /authors?select=name,author_profiles(bio)&id=lt.3&order=id")).toEqual([
      { name: "Ada", author_profiles: { bio: "wrote notes" } },
      { name: "Bo", author_profiles: null },
    ]);
    expect(await project.rows("GET /author_profiles?select=bio,authors(name)")).toEqual([
      { bio: "wrote notes", authors: { name: "Ada" } },
    ]);
  });

  test("a view carries the foreign keys of its columns", async () => {
    expect(await project.rows("GET /cheap_books?select=name,authors(name)&order=id")).toEqual([
      { name: "Looms", authors: { name: "Ada" } },
      { name: "Running cats", authors: { name: "Bo" } },
    ]);
    expect(await project.rows("GET /authors?select=cheap_books(name)&id=eq.1")).toEqual([
      { cheap_books: [{ name: "Looms" }] },
    ]);
  });

  test("computed relationships, to one and to many", async () => {
    expect(await project.rows("GET /books?select=id,writer(name),siblings(title)&id=eq.1")).toEqual([
      { id: 1, writer: { name: "Ada" }, siblings: [{ title: "Looms" }] },
    ]);
    expect(await project.rows("GET /books?select=id,siblings!inner()&order=id")).toEqual([{ id: 1 }, { id: 2 }]);
  });

  test("nest, under aliases, with filters and limits of their own", async () => {
    expect(
      await project.rows(
        "GET /authors?select=name,works:books(title,labels:tags(name))&works.id=eq.1&works.labels.limit=1" +
          "&works.labels.order=name&id=eq.1",
      ),
    ).toEqual([{ name: "Ada", works: [{ title: "Engines", labels: [{ name: "new" }] }] }]);
  });

  test("a relation may be embedded twice", async () => {
    expect(
      await project.rows(
        "GET /authors?select=thin:books(id),thick:books(id)&thin.pages=lt.60&thick.pages=gt.60&id=eq.1",
      ),
    ).toEqual([{ thin: [{ id: 2 }], thick: [{ id: 1 }] }]);
  });
});

describe("hints", () => {
  test("by constraint, as hint and as target", async () => {
    const expected = [{ id: 1, a: { city: "Oslo" }, b: { city: "Rome" } }];
    expect(
      await project.rows(
        "GET /shipments?select=id,a:places!shipments_origin(city),b:places!shipments_target(city)&id=eq.1",
      ),
    ).toEqual(expected);
    expect(
      await project.rows("GET /shipments?select=id,a:shipments_origin(city),b:shipments_target(city)&id=eq.1"),
    ).toEqual(expected);
  });

  test("by column", async () => {
    expect(await project.rows("GET /shipments?select=places!target(city)&id=eq.1")).toEqual([
      { places: { city: "Rome" } },
    ]);
    expect(await project.rows("GET /places?select=shipments!origin(id)&id=eq.1")).toEqual([{ shipments: [{ id: 1 }] }]);
  });

  test("by junction", async () => {
    expect(await project.rows("GET /tags?select=name,books!book_tags(id)&id=eq.2")).toEqual([
      { name: "new", books: [{ id: 1 }] },
    ]);
  });

  test("a self reference: the column is the parent, the hinted table the children", async () => {
    expect(await project.rows("GET /nodes?select=id,parent_id(id),nodes!parent_id(id)&id=lte.2&order=id")).toEqual([
      { id: 1, parent_id: null, nodes: [{ id: 2 }, { id: 3 }] },
      { id: 2, parent_id: { id: 1 }, nodes: [] },
    ]);
  });

  test("ambiguity is 300 and names the ways out", async () => {
    const { status, body, headers } = await project.call("GET /shipments?select=id,places(city)");
    expect(status).toBe(300);
    expect(headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(body.details).toHaveLength(2);
    expect(body).toEqual({
      code: "PGRST201",
      message: "Could not embed because more than one relationship was found for 'shipments' and 'places'",
      details: expect.arrayContaining([
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
      ]),
      hint: "Try changing 'places' to one of the following: 'places!shipments_origin', 'places!shipments_target'. Find the desired relationship in the 'details' key.",
    });
  });

  test("no relationship is 400", async () => {
    expect(await project.call("GET /books?select=id,places(city)")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST200",
        message: "Could not find a relationship between 'books' and 'places' in the schema cache",
        details:
          "Searched for a foreign key relationship between 'books' and 'places' in the schema 'public', but no matches were found.",
      },
    });
    expect(await project.call("GET /books?select=id,authors!nope(name)")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST200",
        details:
          "Searched for a foreign key relationship between 'books' and 'authors' using the hint 'nope' in the schema 'public', but no matches were found.",
      },
    });
    expect(await project.call("GET /books?select=id,author(name)")).toMatchObject({
      status: 400,
      body: { code: "PGRST200", hint: "Perhaps you meant 'authors' instead of 'author'." },
    });
  });
});

describe("filtering by embeds", () => {
  test("!inner keeps rows that have some, and is counted", async () => {
    const { body, headers } = await project.call("GET /authors?select=id,books!inner(id)&books.pages=gt.60", {
      prefer: "count=exact",
    });
    expect(body).toEqual([{ id: 1, books: [{ id: 1 }] }]);
    expect(headers["content-range"]).toBe("0-0/1");
  });

  test("a nested !inner filters its own parent alone", async () => {
    expect(await project.rows("GET /authors?select=id,books(id,tags!inner())&books.tags.name=eq.new&order=id")).toEqual(
      [
        { id: 1, books: [{ id: 1 }] },
        { id: 2, books: [] },
        { id: 3, books: [] },
      ],
    );
  });

  test("null filters: without any, with some, within logic", async () => {
    expect(await project.rows("GET /authors?select=id,books()&books=is.null")).toEqual([{ id: 3 }]);
    expect(await project.rows("GET /authors?select=id,books()&books=not.is.null&order=id")).toEqual([
      { id: 1 },
      { id: 2 },
    ]);
    expect(
      await project.rows(
        "GET /authors?select=id,books(),author_profiles()&or=(books.is.null,author_profiles.not.is.null)&order=id",
      ),
    ).toEqual([{ id: 1 }, { id: 3 }]);
  });

  test("other operators on an embed are refused", async () => {
    expect(await project.call("GET /authors?select=id,books(id)&books=eq.1")).toMatchObject({
      status: 400,
      body: { code: "PGRST120" },
    });
  });

  test("a filter for what is not embedded is refused", async () => {
    expect(await project.call("GET /authors?select=id&books.id=eq.1")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST108",
        message: "'books' is not an embedded resource in this request",
        hint: "Verify that 'books' is included in the 'select' query parameter.",
      },
    });
  });

  test("the target's name in place of its alias warns, or is refused by setting", async () => {
    const target = "GET /authors?select=id,works:books(id)&books.id=eq.1&id=eq.1";
    const lenient = await project.call(target);
    expect(lenient.body).toEqual([{ id: 1, works: [{ id: 1 }] }]);
    expect(lenient.headers.warning).toMatch(/^299 .*Update `books` to `works` in query string filters/);
    project.configure({ urlUseLegacyTargetNames: false });
    try {
      expect(await project.call(target)).toMatchObject({
        status: 400,
        body: {
          code: "PGRST108",
          details: "Target names are not allowed in filters if they have an alias",
          hint: "Change 'books' to 'works' in filters, orders or limits.",
        },
      });
    } finally {
      project.configure({ urlUseLegacyTargetNames: true });
    }
  });
});

describe("spreads", () => {
  test("to-one lifts columns into the parent", async () => {
    expect(await project.rows("GET /books?select=id,...authors(author:name,born)&id=in.(1,4)&order=id")).toEqual([
      { id: 1, author: "Ada", born: 1815 },
      { id: 4, author: null, born: null },
    ]);
  });

  test("to-many turns columns into arrays of one order", async () => {
    expect(
      await project.rows("GET /authors?select=name,...books(titles:title,pages)&books.order=id.desc&order=id"),
    ).toEqual([
      { name: "Ada", titles: ["Looms", "Engines"], pages: [50, 100] },
      { name: "Bo", titles: ["Running cats"], pages: [null] },
      { name: "Cy", titles: [], pages: [] },
    ]);
  });

  test("they nest", async () => {
    expect(
      await project.rows(
        "GET /authors?select=name,...books(titles:title,...tags(labels:name))&books.order=id&books.tags.order=name&id=eq.1",
      ),
    ).toEqual([{ name: "Ada", titles: ["Engines", "Looms"], labels: [["new", "old"], ["old"]] }]);
    expect(await project.rows("GET /tags?select=name,...books(...authors(by:name))&id=eq.2")).toEqual([
      { name: "new", by: ["Ada"] },
    ]);
  });
});

test("max-rows caps every level but to-one embeds", async () => {
  project.configure({ maxRows: 1 });
  try {
    expect(await project.rows("GET /authors?select=id,books(id)&order=id&books.order=id")).toEqual([
      { id: 1, books: [{ id: 1 }] },
    ]);
  } finally {
    project.configure({ maxRows: null });
  }
});
