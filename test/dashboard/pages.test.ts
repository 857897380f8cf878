/** Every page once: nothing serious for axe in both themes, nothing wider than its screen, no error behind the scenes. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type DashboardWorld, look, startDashboardWorld } from "./world.ts";

vi.setConfig({ testTimeout: 120_000 });

let world: DashboardWorld;
let ref: string;

beforeAll(async () => {
  world = await startDashboardWorld();
  ref = await world.createProject(`<img src=x onerror=alert(1)> "shop" \u202e${"long ".repeat(12)}`.slice(0, 100));
  await world.api("mutation ($input: CreateProjectUserInput!) { createProjectUser(input: $input) { password } }", {
    input: { ref, email: "ada@example.com", role: "editor" },
  });
});
afterAll(() => world?.[Symbol.asyncDispose]());

const PAGES = [
  ["projects", "/projects", "Projects"],
  ["home", "/projects/:ref", null],
  ["users", "/projects/:ref/users", "Users"],
  ["monitoring", "/projects/:ref/monitoring", "Monitoring"],
  ["advisors", "/projects/:ref/advisors", "Advisors"],
  ["settings-general", "/projects/:ref/settings/general", "General"],
  ["settings-keys", "/projects/:ref/settings/keys", "API keys"],
  ["settings-jwt", "/projects/:ref/settings/jwt", "JWT"],
  ["settings-auth", "/projects/:ref/settings/auth", "Auth"],
  ["settings-api", "/projects/:ref/settings/api", "Data API"],
  ["settings-gateway", "/projects/:ref/settings/gateway", "Gateway"],
  ["settings-storage", "/projects/:ref/settings/storage", "Storage"],
  ["settings-realtime", "/projects/:ref/settings/realtime", "Realtime"],
  ["settings-limits", "/projects/:ref/settings/limits", "Limits"],
  ["settings-secrets", "/projects/:ref/settings/secrets", "Secrets"],
  ["settings-audit", "/projects/:ref/settings/audit", "Audit log"],
  ["org-members", "/orgs/default/members", "Members"],
  ["org-audit", "/orgs/default/audit", "Audit log"],
  ["org-settings", "/orgs/default/settings", "Settings"],
  ["instance-clusters", "/instance/clusters", "Clusters"],
  ["instance-organizations", "/instance/organizations", "Organizations"],
  ["instance-accounts", "/instance/accounts", "Accounts"],
  ["instance-services", "/instance/services", "Service tokens"],
  ["instance-audit", "/instance/audit", "Audit log"],
  ["account-profile", "/account/profile", "Profile"],
  ["account-organizations", "/account/organizations", "Organizations"],
  ["account-tokens", "/account/tokens", "Access tokens"],
  ["account-preferences", "/account/preferences", "Preferences"],
] as const;

/** A page a context, four at a time: each draws and is looked at for a second or two. */
describe.concurrent("looks right in both themes at both widths", () => {
  test.each(PAGES)("%s", async (name, path, heading) => {
    await using opened = await world.open(path.replace(":ref", ref));
    const { page } = opened;
    await page.getByRole("heading", { level: 1, ...(heading ? { name: heading } : {}) }).waitFor();
    await page.waitForFunction(() => document.querySelector("[role=status][aria-label^=Loading]") === null);
    await look(page, name);
    opened.check();
  });

  test.each([
    ["an unknown address", "/nothing/here", "There is no such page"],
    ["an unknown project", "/projects/aaaaaaaaaaaaaaaaaaaa", "No such project"],
    ["an unknown organization", "/orgs/nobodys/members", "No such organization"],
    ["an unknown user", "/projects/:ref/users/00000000-0000-4000-8000-000000000000", "No such user"],
    ["a search without a result", "/projects?q=zzzzz", "Nothing matches “zzzzz”"],
    ["a filter without a result", "/projects/:ref/users?status=BANNED", "No user matches the filters"],
  ])("%s is told in words", async (name, path, words) => {
    await using opened = await world.open(path.replace(":ref", ref));
    await opened.page.getByRole("heading", { name: words }).waitFor();
    await look(opened.page, `state-${name.replaceAll(" ", "-")}`);
    opened.check();
  });

  test.each(["sign-in", "join"])("%s, for people who are not signed in", async (name) => {
    await using opened = await world.open(`/${name}`, { signedIn: false });
    await opened.page.getByRole("heading", { level: 1 }).waitFor();
    await look(opened.page, name);
    opened.check();
  });
});

test("addresses of Supabase Studio lead to the same pages", async () => {
  await using opened = await world.open(`/project/${ref}/auth/users`);
  await opened.page.getByRole("heading", { name: /^Users/ }).waitFor();
  expect(new URL(opened.page.url()).pathname).toBe(`/projects/${ref}/users`);
  await opened.page.goto(`${world.baseUrl}/project/_/sql`);
  await opened.page.getByRole("heading", { name: "Projects" }).waitFor();
});

test("a hostile name is text everywhere, with its direction characters visible", async () => {
  await using opened = await world.open("/projects");
  const { page } = opened;
  await page.getByText('<img src=x onerror=alert(1)> "shop"').first().waitFor();
  expect(await page.getByText("\\u202e").count()).toBeGreaterThan(0);
  expect(await page.locator("img[src=x]").count()).toBe(0);
  opened.check();
});
