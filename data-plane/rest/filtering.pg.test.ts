import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world?.close());

async function idsOf(relation: string, filter: string): Promise<number[]> {
  const rows: { id: number }[] = await project.rows(`GET /${relation}?select=id&order=id&${filter}`);
  return rows.map(({ id }) => id);
}

describe("filters of books", () => {
  test.each([
    // comparison
    ["id=eq.1", [1]],
    ["id=neq.1", [2, 3, 4]],
    ["id=gt.3", [4]],
    ["id=gte.3", [3, 4]],
    ["id=lt.2", [1]],
    ["id=lte.2", [1, 2]],
    ["id=not.lte.2", [3, 4]],
    ["id=gt.1&id=lt.3", [2]],
    ["pages=isdistinct.50", [1, 3, 4]],
    ["pages=not.isdistinct.50", [2]],
    ["title=eq.", []],
    // patterns
    ["title=like.*s", [1, 2, 3, 4]],
    ["title=like.L*s", [2, 4]],
    ["title=ilike.lOOMS", [2]],
    ["title=like.*100%25*", [4]],
    ["title=match.^L", [2, 4]],
    ["title=imatch.^l", [2, 4]],
    ["title=not.match.^L", [1, 3]],
    // lists
    ["id=in.(1,3)", [1, 3]],
    ["id=not.in.(1,3)", [2, 4]],
    ['title=in.("Looms","Lost 100%25 pages")', [2, 4]],
    ['title=in.(Looms,"say \\"no\\", twice")', [2]],
    ["id=in.()", []],
    ["id=in.( )", []],
    ["id=not.in.()", [1, 2, 3, 4]],
    // null
    ["pages=is.null", [3]],
    ["pages=is.not_null", [1, 2, 4]],
    ["pages=not.is.NULL", [1, 2, 4]],
    // any and all
    ["title=like(any).{Loo*,Eng*}", [1, 2]],
    ["title=like(all).{L*,*pages}", [4]],
    ["title=ilike(any).{loo*,x}", [2]],
    ["title=match(any).{^E,^R}", [1, 3]],
    ["title=imatch(all).{^l,s$}", [2, 4]],
    ["id=eq(any).{1,4}", [1, 4]],
    ["id=gt(all).{1,2}", [3, 4]],
    ["id=gte(any).{3,4}", [3, 4]],
    ["id=lt(all).{3,4}", [1, 2]],
    ["id=lte(any).{1,2}", [1, 2]],
    ["id=not.eq(any).{1,4}", [2, 3]],
    // JSON and what it holds
    ["meta->>lang=eq.en", [1, 4]],
    ["meta->size->w=eq.3", [1]],
    ["meta->list->0=eq.7", [1]],
    ["meta->list->-1=eq.8", [1]],
    ["meta->>lang=in.(fr,de)", [2]],
    ['meta=cs.{"lang":"fr"}', [2]],
    ['meta=cd.{"lang":"fr","x":1}', [2]],
    // ranges
    ["loan=ov.[3,6)", [1, 2]],
    ["loan=sl.[5,9)", [1, 4]],
    ["loan=sr.[1,5)", [2]],
    ["loan=nxr.[2,5)", [1, 4]],
    ["loan=nxl.[2,9)", [2, 4]],
    ["loan=adj.[1,5)", [2]],
    // text search, on a column that is no tsvector
    ["title=fts.run", [3]],
    ["title=fts(english).cat", [3]],
    ["title=plfts(english).running cat", [3]],
    ["title=phfts(english).running cat", [3]],
    ["title=phfts(english).cat running", []],
    ["title=wfts(english).loom or engine", [1, 2]],
    ["title=not.fts(english).cat", [1, 2, 4]],
    ["meta=fts.fr", [2]],
    // logic
    ["or=(id.eq.1,id.eq.4)", [1, 4]],
    ["and=(id.gt.1,id.lt.4)", [2, 3]],
    ["not.or=(id.eq.1,id.eq.4)", [2, 3]],
    ["not.and=(id.gt.1,id.lt.4)", [1, 4]],
    ["or=(id.eq.1,and(pages.is.null,id.not.eq.9),not.and(id.lt.4))", [1, 3, 4]],
    ["and=(id.gt.1,not.or(id.eq.2,id.eq.3))", [4]],
    ['or=(title.eq."Lost 100%25 pages",id.in.(1,2))', [1, 2, 4]],
    ["or=( id.eq.1 , title.like(any).{Lo*,Ru*} )", [1, 2, 3, 4]],
    ['or=(meta->>lang.eq.fr,loan.ov."[1,2)")', [1, 2]],
    ["or=(title.fts(english).cat,id.eq.2)", [2, 3]],
    ["or=(id.eq.1,id.eq.2)&or=(id.eq.2,id.eq.3)", [2]],
    // a computed field
    ["label=eq.LOOMS", [2]],
  ])("%s", async (filter, ids) => {
    expect(await idsOf("books", filter)).toEqual(ids);
  });
});

describe("filters of other types", () => {
  test.each([
    ["authors", "nicknames=cs.{Countess}", [1]],
    ["authors", "nicknames=cd.{C,x}", [2, 3]],
    ["authors", "nicknames=ov.{C,Countess}", [1, 3]],
    ["authors", 'nicknames->1=eq."Enchantress"', [1]],
    ["authors", "or=(nicknames.cs.{C},id.eq.2)", [2, 3]],
    ["articles", "published=is.true", [1]],
    ["articles", "published=is.FALSE", [2]],
    ["articles", "published=is.unknown", [3]],
    ["articles", "published=not.is.true", [2, 3]],
    ["articles", "words=fts(english).monster", [1]],
    ["articles", "words=plfts(english).dreams ducts", [2]],
    ["articles", "words=phfts(english).dreams ducts", []],
    ["articles", "words=wfts(english).transit or space", [1, 3]],
    ["articles", "words=not.fts(english).monster", [2, 3]],
    ["articles", "indexed=fts(english).monster", [1]], // a domain over a domain over tsvector
    ["nodes", "or=(parent_id.is.null,parent_id.eq.3)", [1, 4]],
  ])("%s?%s", async (relation, filter, ids) => {
    expect(await idsOf(relation, filter)).toEqual(ids);
  });
});

test("names may be of any kind, in quotes where the grammar has uses for their characters", async () => {
  const path = encodeURIComponent("odd ,.()");
  expect(await project.rows(`GET /${path}`)).toEqual([{ "a b": 1, 'c"d': 2, "ключ 🔑": "яблоко" }]);
  expect(
    await project.rows(
      `GET /${path}?select="c\\"d",плод:"ключ 🔑"&"a b"=eq.1&or=("c\\"d".eq.2,"ключ 🔑".eq.x)&order="ключ 🔑".desc`,
    ),
  ).toEqual([{ 'c"d': 2, плод: "яблоко" }]);
  expect(await project.rows(`GET /${path}?select=a b&a+b=eq.1`)).toEqual([{ "a b": 1 }]);
});

test("the same shape with other values is answered by one statement, each with its rows", async () => {
  for (const id of [1, 2, 3, 1]) expect(await idsOf("books", `id=eq.${id}`)).toEqual([id]);
  for (const ids of [[1], [2, 3], [], [4]]) expect(await idsOf("books", `id=in.(${ids})`)).toEqual(ids);
});

describe("what is refused", () => {
  test("a value that the column's type does not take", async () => {
    expect(await project.call("GET /books?id=eq.one")).toMatchObject({ status: 400, body: { code: "22P02" } });
    expect(await project.call("GET /books?title=match.(")).toMatchObject({ status: 400, body: { code: "2201B" } });
  });

  test("a column that does not exist, in the database's words", async () => {
    expect(await project.call("GET /books?nope=eq.1")).toMatchObject({
      status: 400,
      body: { code: "42703", message: "column books.nope does not exist" },
    });
  });

  test("an operator that the type does not have", async () => {
    expect(await project.call("GET /books?id=like.1")).toMatchObject({ status: 404, body: { code: "42883" } });
  });

  test("a filter without an operator", async () => {
    expect(await project.call("GET /books?id=0")).toMatchObject({
      status: 400,
      body: {
        code: "PGRST100",
        message: '"failed to parse filter (0)" (line 1, column 1)',
        details: 'unexpected "0" expecting "not" or operator (eq, gt, ...)',
        hint: null,
      },
    });
  });

  test("a bad list, also in a shape that was served before", async () => {
    expect(await idsOf("books", "id=in.(1)")).toEqual([1]);
    expect(await project.call("GET /books?select=id&order=id&id=in.1")).toMatchObject({
      status: 400,
      body: { code: "PGRST100", message: '"failed to parse filter (in.1)" (line 1, column 4)' },
    });
  });
});

test("a value is a parameter, never SQL", async () => {
  expect(await idsOf("books", "title=eq.x'); drop table books;--")).toEqual([]);
  expect(await idsOf("books", `title=in.("'); drop table books;--","\\"")`)).toEqual([]);
  expect(await idsOf("books", "id=eq.1")).toEqual([1]);
});
