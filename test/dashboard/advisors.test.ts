/** What the advisors find is seen with the SQL that mends it, and one can decide to live with it. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DashboardWorld, look, startDashboardWorld } from "./world.ts";

vi.setConfig({ testTimeout: 120_000 });

let world: DashboardWorld;
beforeAll(async () => {
  world = await startDashboardWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

test("a table without row-level security is found, mended by the SQL that is shown, and another one is ignored with a reason", async () => {
  const ref = await world.createProject("careless");
  const sql = (script: string) =>
    world.api("mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }", {
      input: { ref, sql: script },
    });
  await sql("create table secrets_of_all (id int primary key); create table notes (id int)");
  await using opened = await world.open(`/projects/${ref}/advisors`);
  const { page } = opened;
  await page.getByRole("heading", { name: "Row-level security is off in an exposed schema" }).waitFor();
  await look(page, "advisors-findings");
  const fix = await page.getByRole("region", { name: "SQL for public.secrets_of_all" }).textContent();
  expect(fix).toBe("alter table public.secrets_of_all enable row level security;");
  await sql(fix ?? "");
  await page.getByRole("button", { name: "Look again" }).click();
  await page.getByRole("region", { name: "SQL for public.secrets_of_all" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Ignore… public.notes" }).first().click();
  await page.getByRole("textbox", { name: "Reason" }).fill("a scratch table");
  await page.getByRole("button", { name: "Ignore finding" }).click();
  await page.getByRole("heading", { name: "To live with" }).waitFor();
  await page.getByText("a scratch table").waitFor();
  await look(page, "advisors-ignored");
  opened.check();
});
