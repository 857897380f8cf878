/** Stories of the SQL editor, in real Chromium against the real stack. */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type DashboardWorld, look, startDashboardWorld } from "./world.ts";

let world: DashboardWorld;
let ref: string;

beforeAll(async () => {
  world = await startDashboardWorld();
  ref = await world.createProject("sql stories");
  await sql(
    "create table orders (id bigint primary key, note text); insert into orders values (9007199254740993, '<script>alert(1)</script>'), (2, null), (3, '')",
  );
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
const editor = (page: Page) => page.locator(".cm-content");

async function write(page: Page, text: string): Promise<void> {
  await editor(page).click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(text);
}

describe.concurrent("the SQL editor", () => {
  test("shows all results of a script, with digits, NULL and empty as they are, and hostile text as text", async () => {
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page } = opened;
    await write(
      page,
      "select * from orders order by id desc; select 1 as one; do $$ begin raise notice 'hello'; end $$",
    );
    await page.keyboard.press("Control+Enter");
    await page.getByText("9007199254740993").waitFor();
    await page.getByText("<script>alert(1)</script>").waitFor();
    await page.getByRole("cell", { name: "NULL" }).waitFor();
    await page.getByRole("cell", { name: "empty" }).waitFor();
    await look(page, "sql-results");
    await page.getByRole("tab", { name: "SELECT 1" }).click();
    await page.getByRole("columnheader", { name: /^one/ }).waitFor();
    await page.getByRole("tab", { name: "Notices 1" }).click();
    await page.getByText("NOTICE: hello").waitFor();
    opened.check();
  });

  test("marks the error in its line, with its hint", async () => {
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page } = opened;
    await write(page, "select 1;\nselect nots\nfrom orders;");
    await button(page, /^Run/).click();
    await page.getByText('Column "nots" does not exist.').waitFor();
    await page.getByText("Line 2 · SQLSTATE 42703").waitFor();
    expect(await page.locator(".cm-lintRange-error").textContent()).toBe("nots");
    await look(page, "sql-error");
    opened.check();
  });

  test("completes names of the catalog", async () => {
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page } = opened;
    await vi.waitFor(
      async () => {
        await write(page, "select * from ");
        await page.keyboard.type("orde");
        await page.getByRole("option", { name: /^orders/ }).waitFor({ timeout: 2_000 });
      },
      { timeout: 20_000 },
    );
    opened.check();
  });

  test("cancel ends the backend", async () => {
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page } = opened;
    const left = async () =>
      Number((await sql("select count(*) from pg_stat_activity where query = 'select pg_sleep(77)'"))[0]?.[0]);
    await write(page, "select pg_sleep(77)");
    await page.keyboard.press("Control+Enter");
    await vi.waitFor(async () => expect(await left()).toBe(1), { timeout: 20_000, interval: 100 });
    await button(page, "Cancel").click();
    await page
      .getByRole("alert")
      .getByText(/cancel/i)
      .waitFor();
    await vi.waitFor(async () => expect(await left()).toBe(0), { timeout: 20_000, interval: 100 });
    opened.check();
  });

  test("read-only refuses to write, a dry run keeps nothing", async () => {
    await sql("create table kept (id int); insert into kept values (1)");
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page } = opened;
    await write(page, "delete from kept");
    await button(page, "Dry run").click();
    await page.getByRole("tab", { name: "DELETE 1" }).waitFor();
    await page.getByText("everything was rolled back").waitFor();
    await page.getByText("Read-only", { exact: true }).click();
    await button(page, /^Run/).click();
    await page.getByText(/read-only transaction/).waitFor();
    expect(await sql("select count(*) from kept")).toEqual([["1"]]);
    opened.check();
  });

  test("a plan is a tree", async () => {
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page } = opened;
    await write(page, "select * from orders where note like 'a%'");
    await button(page, "Explain").click();
    await page
      .getByRole("list", { name: "Plan" })
      .getByText(/Seq Scan on orders/)
      .waitFor();
    await look(page, "sql-plan");
    opened.check();
  });

  test("acting as anon sees what anon sees; the choice is in the address", async () => {
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page } = opened;
    await button(page, /as owner/).click();
    await page.getByRole("menuitem", { name: /^anon/ }).click();
    await page.waitForURL(/as=anon/);
    await write(page, "select current_user as me");
    await page.keyboard.press("Control+Enter");
    await page.getByRole("cell", { name: "anon" }).waitFor();
    opened.check();
  });

  test("drafts survive a reload and a closed browser tab; a run is found in the history", async () => {
    await using opened = await world.open(`/projects/${ref}/sql`);
    const { page, context } = opened;
    await write(page, "select 'draft one'");
    await page.keyboard.press("Control+Enter");
    await page.getByRole("cell", { name: "draft one" }).waitFor();
    await button(page, "New query").click();
    await page.getByRole("button", { name: "Query 2", exact: true }).waitFor();
    await write(page, "select 'never run'");
    await page.close({ runBeforeUnload: false });
    const second = await context.newPage();
    await second.goto(`${world.baseUrl}/projects/${ref}/sql`);
    await second.getByText("'never run'").waitFor();
    await second.getByRole("button", { name: "Query 1", exact: true }).click();
    await second.getByText("'draft one'").waitFor();
    await second.getByRole("button", { name: "History" }).click();
    await second.getByRole("dialog").getByText("select 'draft one'").waitFor();
    opened.check();
  });
});
