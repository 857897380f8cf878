import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { aggregatesEnabled: true } });
});
afterAll(() => world?.close());

describe("which parents are kept", () => {
  test.each<[string, string, number[]]>([
    ["an inner join keeps those with a row", "/books?select=id,authors!inner()&order=id", [1, 2, 3]],
    ["after the filters of the embed", "/authors?select=id,books!inner(id)&books.pages=gt.60", [1]],
    [
      "a nested inner join counts for its own parent alone",
      "/authors?select=id,books(id,tags!inner())&books.tags.name=eq.new&order=id",
      [1, 2, 3],
    ],
    [
      "and for all of them when each is inner",
      "/authors?select=id,books!inner(id,tags!inner())&books.tags.name=eq.new&order=id",
      [1],
    ],
    ["left is what there is without a word", "/books?select=id,authors!left(name)&order=id", [1, 2, 3, 4]],
    ["those without any", "/authors?select=id,books()&books=is.null", [3]],
    ["those with some", "/authors?select=id,books()&books=not.is.null&order=id", [1, 2]],
    ["to-one as well", "/books?select=id,authors(name)&authors=not.is.null&order=id", [1, 2, 3]],
    [
      "within logic",
      "/authors?select=id,books(),author_profiles()&or=(books.is.null,author_profiles.not.is.null)&order=id",
      [1, 3],
    ],
    ["a row of nothing but nulls is a row", "/places?select=id,shipments!target(target)&shipments=not.is.null", [2]],
    ["sorted by the embed", "/books?select=id,authors(name)&order=authors(name).desc.nullslast,id.desc", [3, 2, 1, 4]],
    ["by its alias", "/books?select=id,a:authors(name)&order=a(name).nullslast,id", [1, 2, 3, 4]],
    ["by what it does not show", "/books?select=id,authors(id)&order=authors(born).nullsfirst,id", [3, 4, 1, 2]],
    ["by a spread", "/books?select=id,...authors(name)&order=authors(name).desc.nullslast,id", [3, 1, 2, 4]],
  ])("%s", async (_, target, ids) => {
    const answer = await project.call(`GET ${target}`, { prefer: "count=exact" });
    expect(answer.body.map(({ id }: { id: number }) => id)).toEqual(ids);
    expect(answer.headers["content-range"]).toBe(`0-${ids.length - 1}/${ids.length}`);
  });

  test("an embed without columns is not shown, nor is one of nothing but such", async () => {
    expect(await project.rows("GET /authors?select=id,books(tags())&id=eq.1")).toEqual([{ id: 1 }]);
  });
});

describe("whatever the embed shows, and by whatever names", () => {
  // The names run the other way than the ids.
  beforeAll(() => project.sql("update public.authors set name = 'Zoe' where id = 1"));
  afterAll(() => project.sql("update public.authors set name = 'Ada' where id = 1"));

  test.each([
    "authors()&authors.name=eq.Zoe",
    "...authors()&authors.born=gt.1&authors.offset=1",
    "authors(books(tags()))&authors.books.tags.name=eq.old",
    "...authors(books())&authors.books.or=(id.eq.1,title.eq.x)",
  ])("what filters an embed that shows nothing takes no part: select=id,%s", async (query) => {
    expect(await project.rows(`GET /books?select=id,${query}&id=lt.3&order=id`)).toEqual([{ id: 1 }, { id: 2 }]);
  });

  test("a parent is ordered by the embed's column, whatever the embed calls the others", async () => {
    const ids = async (query: string) =>
      (await project.rows(`GET /books?author_id=not.is.null&${query}`)).map(({ id }: { id: number }) => id);
    expect(await ids("select=id,authors(name:id)&order=authors(name),id")).toEqual([3, 1, 2]);
    expect(await ids("select=id,...authors(name:id)&order=authors(name),id")).toEqual([3, 1, 2]);
    expect(await ids("select=id,authors(born::text)&order=authors(born).nullsfirst,id")).toEqual([3, 1, 2]);
    expect(await ids("select=id,authors(...author_profiles(name:bio))&order=authors(name),id")).toEqual([3, 1, 2]);
  });

  test("groups may be ordered by a column that a spread shows under another name", async () => {
    expect(
      await project.rows("GET /books?select=...authors(writer:name),count()&order=authors(name).desc.nullslast"),
    ).toEqual([
      { writer: "Zoe", count: 2 },
      { writer: "Bo", count: 1 },
      { writer: null, count: 1 },
    ]);
  });

  test("a spread's alias may stand for its column in the order", async () => {
    const query = "select=...authors(writer:name),count()&author_id=not.is.null&order=authors(writer)";
    expect(await project.rows(`GET /books?${query}`)).toEqual([
      { writer: "Bo", count: 1 },
      { writer: "Zoe", count: 2 },
    ]);
  });
});
