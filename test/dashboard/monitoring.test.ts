/** What the gateway counts is seen in the browser: requests by service, what failed, sockets. */
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DashboardWorld, look, startDashboardWorld } from "./world.ts";

vi.setConfig({ testTimeout: 120_000 });

let world: DashboardWorld;
beforeAll(async () => {
  world = await startDashboardWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

test("requests by supabase-js appear under monitoring and at home, in every span of time", async () => {
  const ref = await world.createProject("busy");
  const { project } = await world.api<{ project: { url: string; apiKeys: { key: string | null; role: string }[] } }>(
    `{ project(ref: "${ref}") { url apiKeys { key role } } }`,
  );
  const key = project.apiKeys.find(({ role, key }) => role === "ANON" && key)?.key ?? "";
  const supabase = createClient(project.url, key, { auth: { persistSession: false } });
  const joined = new Promise<string>((resolve) => supabase.channel("room").subscribe((status) => resolve(status)));
  expect(await joined).toBe("SUBSCRIBED");
  await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      index % 10 === 0 ? supabase.from("missing").select() : supabase.auth.signInAnonymously(),
    ),
  );
  await vi.waitFor(
    async () => {
      const { project } = await world.api<{ project: { traffic: { requests: number } } }>(
        `{ project(ref: "${ref}") { traffic { requests } } }`,
      );
      expect(project.traffic.requests).toBeGreaterThanOrEqual(40);
    },
    { timeout: 40_000, interval: 500 },
  );

  await using opened = await world.open(`/projects/${ref}/monitoring?range=1h`);
  const { page } = opened;
  const panel = (title: string) => page.getByRole("region", { name: title, exact: true });
  await panel("Requests")
    .getByRole("img", { name: /Requests, last hour\. rest: at most \d+; auth: at most \d+/ })
    .waitFor();
  await panel("Errors")
    .getByRole("img", { name: /4xx: refused: at most \d+/ })
    .waitFor();
  await panel("Realtime sockets")
    .getByRole("img", { name: /sockets: at most 1/ })
    .waitFor();
  await look(page, "monitoring-busy");
  for (const range of ["24 hours", "7 days", "30 days", "90 days"]) {
    await page.getByRole("link", { name: new RegExp(`the last ${range}$`) }).click();
    await panel("Requests")
      .getByRole("img", { name: new RegExp(`last ${range}\\. rest: at most`) })
      .waitFor();
  }
  expect(new URL(page.url()).searchParams.get("range")).toBe("90d");
  await page.getByRole("link", { name: "Home" }).first().click();
  await page.getByRole("heading", { name: "Traffic" }).waitFor();
  await look(page, "home-busy");
  opened.check();
  await supabase.removeAllChannels();
});
