import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { aggregatesEnabled: true } });
});
afterAll(() => world?.close());

test.each([
  "authors()&authors.name=eq.Ada",
  "...authors()&authors.born=gt.1&authors.offset=1",
  "authors(books(tags()))&authors.books.tags.name=eq.old",
  "...authors(books())&authors.books.or=(id.eq.1,title.eq.x)",
])("what filters an embed that shows nothing takes no part: select=id,%s", async (query) => {
  expect(await project.rows(`GET /books?select=id,${query}&id=lt.3&order=id`)).toEqual([{ id: 1 }, { id: 2 }]);
});

test("a parent is ordered by the embed's column, whatever the embed calls the others", async () => {
  const ids = async (query: string) =>
    (await project.rows(`GET /books?author_id=not.is.null&${query}`)).map(({ id }: { id: number }) => id);
  // The names run the other way than the ids.
  await project.sql("update public.authors set name = 'Zoe' where id = 1");
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

test("using a target's name although it has an alias is warned of", async () => {
  const { headers } = await project.call("GET /books?select=id,by:authors(name)&authors.name=eq.Bo");
  expect(headers.warning).toMatch(
    /^299 PostgRESTv[\d.]+ "Embedded resource was referenced by relation name .* Update `authors` to `by` in query string filters, orders or limits\."$/,
  );
});
