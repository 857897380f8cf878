/** Stories of the table pages, in real Chromium against the real stack. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DashboardWorld, look, startDashboardWorld } from "./world.ts";

let world: DashboardWorld;
let ref: string;

beforeAll(async () => {
  world = await startDashboardWorld();
  ref = await world.createProject("table stories");
  await sql(`
    create table orders (id bigint primary key, note text, total numeric, doc jsonb, twice numeric generated always as (total * 2) stored);
    insert into orders (id, note, total) select n, case when n % 3 > 0 then 'note ' || n end, n from generate_series(1, 250) n;
    update orders set doc = jsonb_build_object('a', repeat('x', 5000)) where id = 1;
    create table limits (big bigint primary key, num numeric);
    insert into limits values (9223372036854775807, 123456789012345678901234567890.123456789);
    create table "a""b<script>" (x int, y int, v text, primary key (x, y)); insert into "a""b<script>" values (1, 2, '<b>bold</b>');
    create table keyless (a int); insert into keyless values (1);
    create table secret (id int primary key); alter table secret enable row level security; insert into secret values (1), (2);
    grant select on secret to anon;
    create table edited (id int primary key, name text, state text); insert into edited values (1, 'one', 'x'), (2, 'two', null), (3, 'three', 'y');
    create table policed (id int primary key); insert into policed values (1), (2), (3); grant select on policed to anon, authenticated;
    create table disputed (id int primary key, name text); insert into disputed values (1, 'one');
  `);
});
afterAll(() => world?.[Symbol.asyncDispose]());

async function sql(text: string): Promise<unknown[][]> {
  const { runSql } = await world.api<{ runSql: { results: { rows: unknown[][] }[] } }>(
    "mutation ($input: RunSqlInput!) { runSql(input: $input) { results { rows } } }",
    { input: { ref, sql: text } },
  );
  return runSql.results.at(-1)?.rows ?? [];
}

const button = (page: Page, label: string | RegExp) => page.getByRole("button", { name: label });
const cell = (page: Page, label: string) => page.getByRole("gridcell", { name: label, exact: true });

describe.concurrent("tables", () => {
  test("pages forth and back by key, a filter in the address, and no count is asked for", async () => {
    await using opened = await world.open(`/projects/${ref}/tables`);
    const { page } = opened;
    const counted: string[] = [];
    page.on("request", (request) => {
      if (request.postData()?.includes("countRows")) counted.push(request.url());
    });
    await page.getByRole("link", { name: /orders/ }).click();
    await cell(page, "note 1").waitFor();
    await button(page, "Next page").click();
    await cell(page, "note 101").waitFor();
    await button(page, "Previous page").click();
    await cell(page, "note 1").waitFor();
    expect(counted).toEqual([]);
    await look(page, "tables-rows");
    await button(page, "Filter").click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Value" }).fill("42");
    await page.getByRole("dialog").getByRole("button", { name: "Filter" }).click();
    await cell(page, "note 1").waitFor({ state: "detached" });
    await cell(page, "42").first().waitFor();
    expect(await page.getByRole("row").count()).toBe(2);
    await page.reload();
    await cell(page, "42").first().waitFor();
    await page.getByRole("button", { name: "Count", exact: true }).click();
    await page.getByText("1 in all").waitFor();
    opened.check();
  });

  test("digits, NULL, long values and hostile names are what they are", async () => {
    await using opened = await world.open(`/projects/${ref}/tables/public/limits`);
    const { page } = opened;
    await cell(page, "9223372036854775807").waitFor();
    await cell(page, "123456789012345678901234567890.123456789").waitFor();
    await page.getByRole("link", { name: /a"b<script>/ }).click();
    await cell(page, "<b>bold</b>").waitFor();
    await page.goto(`${world.baseUrl}/projects/${ref}/tables/public/keyless`);
    await page.getByText("the table has no key that names a row").waitFor();
    opened.check();
  });

  test("a long JSON value opens whole", async () => {
    await using opened = await world.open(`/projects/${ref}/tables/public/orders`);
    const { page } = opened;
    await page.getByRole("gridcell", { name: /^\{"a"/ }).dblclick();
    const value = page.getByRole("dialog").getByRole("textbox", { name: "jsonb" });
    await value.waitFor();
    expect((await value.inputValue()).length).toBe(5_009);
    opened.check();
  });

  test("rows are edited by keyboard alone: value, NULL, undo, review, save", async () => {
    await using opened = await world.open(`/projects/${ref}/tables/public/edited`);
    const { page } = opened;
    await cell(page, "one").click();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Control+a");
    await page.keyboard.type("uno");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Delete");
    await page.getByText("1 change not saved").waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Control+Backspace");
    await page.getByText("2 changes not saved").waitFor();
    await page.keyboard.press("Control+z");
    await page.getByText("1 change not saved").waitFor();
    await page.reload();
    await page.getByText("1 change not saved").waitFor();
    await page.keyboard.press("Control+.");
    await page.getByRole("dialog").getByText(`update "public"."edited" set`).waitFor();
    await look(page, "tables-review");
    await page.keyboard.press("Enter");
    await page.getByText("1 row saved as owner.").waitFor();
    expect(await sql("select name, state from edited order by id")).toEqual([
      ["uno", null],
      ["two", null],
      ["three", "y"],
    ]);
    opened.check();
  });

  test("a row that was changed meanwhile stops the save and shows what it holds; the edit is kept", async () => {
    await using opened = await world.open(`/projects/${ref}/tables/public/disputed`);
    const { page } = opened;
    await cell(page, "one").dblclick();
    await page.keyboard.press("Control+a");
    await page.keyboard.type("mine");
    await page.keyboard.press("Enter");
    await sql("update disputed set name = 'theirs'");
    await button(page, "Save as owner").click();
    await page.getByRole("dialog").getByText("theirs").waitFor();
    await page.getByRole("dialog").getByText("mine").first().waitFor();
    expect(await sql("select name from disputed")).toEqual([["theirs"]]);
    opened.check();
  });

  test("an identity that sees nothing is told why", async () => {
    await using opened = await world.open(`/projects/${ref}/tables/public/secret?as=anon`);
    const { page } = opened;
    await page.getByRole("heading", { name: "0 of 2 rows are visible to anon" }).waitFor();
    await page.getByText("no policy admits SELECT").waitFor();
    await look(page, "tables-hidden");
    opened.check();
  });

  test("a table is made by form; the SQL that is shown is what runs", async () => {
    await using opened = await world.open(`/projects/${ref}/tables`);
    const { page } = opened;
    await button(page, "New table").first().click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("made");
    await page.getByRole("dialog").getByText('create table "public"."made"').waitFor();
    await look(page, "tables-new");
    await page.getByRole("dialog").getByRole("button", { name: "Create table" }).click();
    await page.getByRole("heading", { name: "made" }).waitFor();
    expect(await sql("select relrowsecurity from pg_class where relname = 'made'")).toEqual([[true]]);
    await page.getByText("Structure", { exact: true }).click();
    await page.getByRole("heading", { name: "Columns" }).waitFor();
    await look(page, "tables-structure");
    opened.check();
  });

  test("a draft of a policy is tried and rolled back, then created", async () => {
    await using opened = await world.open(`/projects/${ref}/tables/public/policed?view=policies`);
    const { page } = opened;
    await button(page, "New policy").click();
    await page.getByRole("dialog").getByText(`create policy "Everybody may read"`).waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Try and roll back" }).click();
    await page.getByText("Of 3 rows (counted to 1,000) anon sees 3, the user 3.").waitFor();
    expect(await sql("select count(*) from pg_policy where polrelid = 'policed'::regclass")).toEqual([["0"]]);
    await look(page, "tables-policy");
    await page.getByRole("dialog").getByRole("button", { name: "Create policy" }).click();
    await page.getByRole("table", { name: "Policies" }).getByText("Everybody may read").waitFor();
    expect(await sql("select relrowsecurity from pg_class where relname = 'policed'")).toEqual([[true]]);
    opened.check();
  });
});
