/** What people do all day, in real Chromium against the real stack. Each story has a project and a browser context of its own. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@supabase/supabase-js";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "../../control-plane/testing/test-control-plane.ts";
import { type DashboardWorld, look, openPage, startDashboardWorld, untilBuilt, untilState } from "./world.ts";

vi.setConfig({ testTimeout: 120_000 });

let world: DashboardWorld;

beforeAll(async () => {
  world = await startDashboardWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

/** As `expect.poll`, which does not work in stories that run side by side. */
function eventually<Value>(read: () => Promise<Value> | Value) {
  const until = (check: (value: Value) => void) =>
    vi.waitFor(async () => check(await read()), { timeout: 45_000, interval: 50 });
  return {
    toBe: (expected: Value) => until((value) => expect(value).toBe(expected)),
    toContain: (part: unknown) => until((value) => expect(value).toContain(part)),
    toBeNull: () => until((value) => expect(value).toBeNull()),
  };
}

let clipboardIsFree: Promise<unknown> = Promise.resolve();

/** What a button copies. All pages of a browser have one clipboard: stories take turns. */
function copyOf(page: Page, label: string): Promise<string> {
  const copied = clipboardIsFree.then(async () => {
    await page.evaluate(() => navigator.clipboard.writeText(""));
    await button(page, label).click();
    return vi.waitFor(
      async () => {
        const text = await page.evaluate(() => navigator.clipboard.readText());
        if (text === "") throw new Error(`${label} has copied nothing`);
        return text;
      },
      { timeout: 10_000, interval: 50 },
    );
  });
  clipboardIsFree = copied.catch(() => undefined);
  return copied;
}

const name = (kind: string) => `${kind} ${randomUUID().slice(0, 6)}`;
const button = (page: Page, label: string | RegExp) => page.getByRole("button", { name: label });
const field = (page: Page, label: string) =>
  page.getByRole("textbox", { name: label, exact: true }).or(page.getByRole("combobox", { name: label, exact: true }));
const dialog = (page: Page) => page.getByRole("dialog").or(page.getByRole("alertdialog"));
/** One of a menu that is open. */
const item = (page: Page, label: string | RegExp) => page.getByRole("menuitem", { name: label });
const row = (page: Page, text: string) => page.getByRole("row").filter({ hasText: text });

describe.concurrent("projects", () => {
  test("a project is created, shows its steps, is found by the palette, and its address opens it", async () => {
    const projectName = name("shop");
    await using opened = await world.open("/projects");
    const { page } = opened;
    await button(page, "New project").click();
    await field(page, "Name").fill(projectName);
    await button(page, "Create project").click();
    await row(page, projectName).waitFor();
    await row(page, projectName).getByText("Active", { exact: true }).waitFor();
    await page.getByText(`${projectName} is active.`).waitFor();
    await page.keyboard.press("Control+k");
    await page.keyboard.type(projectName);
    await page.getByRole("menuitem", { name: projectName }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: projectName, level: 1 }).waitFor();
    opened.check();
  });

  test("pause, resume, restart and delete by typed name; a second tab follows each", async () => {
    const projectName = name("cycle");
    const ref = await world.createProject(projectName);
    await using first = await world.open(`/projects/${ref}/settings/general`);
    await using second = await world.open("/projects");
    const { page } = first;
    const followed = row(second.page, projectName);
    await followed.getByText("Active", { exact: true }).waitFor();

    await button(page, "Pause project").click();
    await dialog(page).getByRole("button", { name: "Pause project" }).click();
    await followed.getByText("Paused", { exact: true }).waitFor();
    await button(page, "Resume project").click();
    await followed.getByText("Active", { exact: true }).waitFor();
    await button(page, "Restart project").click();
    await dialog(page).getByRole("button", { name: "Restart project" }).click();
    await untilState(world.api, ref, "ACTIVE");

    await button(page, "Delete project…").click();
    const confirm = dialog(page).getByRole("button", { name: "Delete project" });
    await dialog(page).getByRole("textbox").fill(`${projectName} `);
    expect(await confirm.isDisabled()).toBe(true);
    await look(page, "dialog-delete-project");
    await dialog(page).getByRole("textbox").fill(projectName);
    await confirm.click();
    await page.getByRole("heading", { name: "This project is deleted" }).waitFor();
    await eventually(() => followed.count()).toBe(0);
    first.check();
    second.check();
  });

  test("several are paused and resumed at once", async () => {
    const prefix = randomUUID().slice(0, 6);
    const names = [`${prefix} one`, `${prefix} two`];
    for (const each of names) await world.createProject(each);
    await using opened = await world.open(`/projects?q=${prefix}`);
    const { page } = opened;
    for (const each of names) await page.getByRole("checkbox", { name: `Select ${each}` }).click({ force: true });
    await page.getByText("2 projects selected").waitFor();
    await button(page, "Pause").click();
    for (const each of names) await row(page, each).getByText("Paused", { exact: true }).waitFor();
    opened.check();
  });
});

describe.concurrent("a project's home", () => {
  test("the snippet that is copied runs as it is; no secret is in the page before it was asked for", async () => {
    const ref = await world.createProject(name("home"));
    const { project } = await world.api<{ project: { apiKeys: { id: string; role: string }[] } }>(
      `{ project(ref: "${ref}") { apiKeys { id role } } }`,
    );
    const secrets = await Promise.all(
      project.apiKeys
        .filter(({ role }) => role === "SERVICE_ROLE")
        .map(({ id }) => world.api<{ revealApiKey: string }>(`mutation { revealApiKey(ref: "${ref}", id: "${id}") }`)),
    );
    await using opened = await world.open(`/projects/${ref}`);
    const { page } = opened;
    await page.getByText("service_role").waitFor();
    const shown = async () =>
      `${await page.content()} ${await page.evaluate(() => JSON.stringify({ ...localStorage }))}`;
    const serviceRole = secrets[0]?.revealApiKey ?? "";
    for (const { revealApiKey: secret } of secrets) expect(await shown()).not.toContain(secret);

    await button(page, "Connect").click();
    const snippet = await copyOf(page, "Copy the snippet for supabase-js");
    const output = await runSnippet(snippet.replace("your_table", "nothing_here").concat("console.log(error?.code);"));
    expect(output).toContain("PGRST205");
    await button(page, "Close").click();

    await button(page, "Reveal service_role key").click();
    await eventually(shown).toContain(serviceRole);
    await button(page, "Hide service_role key").click();
    for (const { revealApiKey: secret } of secrets) expect(await shown()).not.toContain(secret);
    expect(await copyOf(page, "Copy service_role key")).toBe(serviceRole);
    expect(await shown()).not.toContain(serviceRole);
    opened.check();
  });

  test("the one-time password is shown once, closed only when it is stored, and then gone", async () => {
    const ref = await world.createProject(name("admin"));
    await using opened = await world.open(`/projects/${ref}`);
    const { page } = opened;
    await button(page, "Take it").click();
    await button(page, "Show it once").click();
    await page.getByRole("heading", { name: "One-time password", exact: true }).waitFor();
    const close = dialog(page).getByRole("button", { name: "Close", exact: true });
    expect(await close.isDisabled()).toBe(true);
    await page.keyboard.press("Escape");
    const password = await copyOf(page, "Copy Password");
    expect(password).toMatch(/^\S{16}$/);
    await page.getByText("I have stored it").click();
    await close.click();
    await eventually(() => button(page, "Take it").count()).toBe(0);
    await page.reload();
    await page.getByRole("heading", { level: 1 }).waitFor();
    expect(await page.content()).not.toContain(password);
    opened.check();
  });
});

describe.concurrent("users", () => {
  test("are created with a role, sign in, are banned, edited, signed out and deleted", async () => {
    const ref = await world.createProject(name("users"));
    const { url, key } = await publicAccess(ref);
    const email = `ada-${randomUUID().slice(0, 6)}@example.com`;
    await using opened = await world.open(`/projects/${ref}/users`);
    const { page } = opened;
    await button(page, "Create user").click();
    await page.getByLabel("E-mail", { exact: true }).fill(email);
    await field(page, "Role").fill("editor");
    await page.getByText("Give one").click();
    await page.getByLabel("Password of the user").fill("correct horse");
    await look(page, "dialog-create-user");
    await dialog(page).getByRole("button", { name: "Create user" }).click();
    await row(page, email).getByText("editor").waitFor();

    const supabase = createClient(url, key, { auth: { persistSession: false, autoRefreshToken: false } });
    const signIn = async (password = "correct horse") => supabase.auth.signInWithPassword({ email, password });
    const { data } = await signIn();
    expect(data.user?.app_metadata).toMatchObject({ role: "editor" });

    await button(page, `Open ${email}`).click();
    await page.getByRole("tab", { name: "Sessions 1" }).click();
    await page.getByText("unknown program").or(page.getByText("node")).first().waitFor();
    await button(page, "Sign out everywhere").click();
    await dialog(page).last().getByRole("button", { name: "Sign out everywhere" }).click();
    await page.getByText("1 session ended.").waitFor();

    await button(page, `Actions of ${email}`).click();
    await item(page, "Ban…").click();
    await button(page, "Ban user").click();
    await page
      .getByText(/Banned until/)
      .first()
      .waitFor();
    expect((await signIn()).error?.code).toBe("user_banned");
    await button(page, `Actions of ${email}`).click();
    await item(page, "Lift the ban").click();
    await eventually(async () => (await signIn()).error).toBeNull();

    await page.getByRole("tab", { name: "Edit" }).click();
    await page.getByLabel("New password").fill("another horse");
    await button(page, "Set password").click();
    await page.getByText("The password is set").waitFor();
    expect((await signIn("another horse")).error).toBeNull();

    await button(page, `Actions of ${email}`).click();
    await item(page, "Delete user…").click();
    await dialog(page).last().getByRole("textbox").fill(email);
    await dialog(page).last().getByRole("button", { name: "Delete user" }).click();
    await page.getByText(`${email} is deleted.`).waitFor();
    await eventually(() => row(page, email).count()).toBe(0);
    opened.check();
  });

  test("are found among ten thousand by a part of the e-mail, page by page", async () => {
    const ref = await world.createProject(name("many"));
    await runSql(
      ref,
      `insert into auth.users (instance_id, id, aud, role, email, email_confirmed_at, created_at)
       select '00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'authenticated', 'authenticated',
         'user-' || n || '@example.com', now(), now() - make_interval(secs => n) from generate_series(1, 10000) as n`,
    );
    await using opened = await world.open(`/projects/${ref}/users`);
    const { page } = opened;
    await page.getByRole("heading", { name: "Users 10,001" }).waitFor();
    await button(page, "Next page").click();
    await row(page, "user-51@example.com").waitFor();
    await page.goBack();
    await row(page, "user-1@example.com").waitFor();
    await page.keyboard.press("Shift+F");
    await page.keyboard.type("user-9999@");
    await page.getByRole("heading", { name: "Users 1", exact: true }).waitFor();
    await row(page, "user-9999@example.com").waitFor();
    expect(new URL(page.url()).searchParams.get("q")).toBe("user-9999@");
    await button(page, "Open user-9999@example.com").click();
    await page.getByRole("tab", { name: "Metadata" }).waitFor();
    await look(page, "user-panel");
    opened.check();
  });
});

describe.concurrent("settings", () => {
  test("are saved and reset, a refusal stands at its field, and what is typed survives a reload", async () => {
    const ref = await world.createProject(name("settings"));
    await using opened = await world.open(`/projects/${ref}/settings/api`);
    const { page } = opened;
    await field(page, "Max rows").fill("-5");
    await button(page, "Save").click();
    await page.getByText("Must be at least 0", { exact: false }).waitFor();
    await field(page, "Max rows").fill("25");
    await page.reload();
    await eventually(() => field(page, "Max rows").inputValue()).toBe("25");
    await button(page, "Save").click();
    await page.getByText("1 setting saved").waitFor();
    const { project } = await world.api<{ project: { restSettings: { maxRows: number } } }>(
      `{ project(ref: "${ref}") { restSettings { maxRows } } }`,
    );
    expect(project.restSettings.maxRows).toBe(25);
    await button(page, "Reset Max rows").click();
    await button(page, "Save").click();
    await eventually(() => button(page, "Reset Max rows").count()).toBe(0);
    opened.check();
  });

  test("a key that is revoked is refused, and a secret of one's own is set, revealed and deleted", async () => {
    const ref = await world.createProject(name("keys"));
    await using opened = await world.open(`/projects/${ref}/settings/keys`);
    const { page } = opened;
    await button(page, "New key").click();
    await field(page, "Name").fill("mobile");
    await button(page, "Create key").click();
    await page.getByText("I have stored it").click();
    const key = await copyOf(page, "Copy Key");
    await dialog(page).getByRole("button", { name: "Close", exact: true }).click();
    const { url } = await publicAccess(ref);
    const status = async () => (await fetch(`${url}/auth/v1/settings`, { headers: { apikey: key } })).status;
    expect(await status()).toBe(200);
    await button(page, "Revoke Publishable · mobile").click();
    await dialog(page).getByRole("button", { name: "Revoke key" }).click();
    await row(page, "mobile").getByText("revoked").waitFor();
    await eventually(status).toBe(401);

    await page.getByRole("link", { name: "Secrets" }).click();
    await button(page, "New secret").click();
    await field(page, "Name").fill("API_TOKEN");
    await field(page, "Value").fill("hush");
    await button(page, "Save secret").click();
    await button(page, "Reveal API_TOKEN").click();
    await page.getByText("hush").waitFor();
    await button(page, "Delete API_TOKEN").click();
    await button(page, "Delete secret").click();
    await eventually(() => row(page, "API_TOKEN").count()).toBe(0);
    opened.check();
  });

  test("signing keys rotate in steps, and the JWT secret only by the project's typed name", async () => {
    const projectName = name("jwt");
    const ref = await world.createProject(projectName);
    await using opened = await world.open(`/projects/${ref}/settings/jwt`);
    const { page } = opened;
    await button(page, "Make a standby key").click();
    await page.getByText("standby: verifies already").waitFor();
    await button(page, "Rotate…").click();
    await button(page, "Rotate keys").click();
    await page.getByText("current: signs tokens").waitFor();
    await button(page, "Rotate the secret…").click();
    const confirm = dialog(page).getByRole("button", { name: "Rotate secret" });
    await dialog(page).getByText("2 legacy keys stop working at once", { exact: false }).waitFor();
    expect(await confirm.isDisabled()).toBe(true);
    await dialog(page).getByRole("textbox").fill(projectName);
    await confirm.click();
    await page.getByText("The JWT secret is rotated").waitFor();
    opened.check();
  });
});

describe.concurrent("people", () => {
  test("an invitation is joined in a second browser; a change of role shows, removal ends what is open", async () => {
    const organization = name("Team");
    const { createOrganization } = await world.api<{ createOrganization: { id: string; slug: string } }>(
      "mutation ($name: String!) { createOrganization(name: $name) { id slug } }",
      { name: organization },
    );
    const email = `bob-${randomUUID().slice(0, 6)}@example.com`;
    await using opened = await world.open(`/orgs/${createOrganization.slug}/members`);
    const { page } = opened;
    await button(page, "Invite").click();
    await page.getByLabel("E-mail").fill(email);
    await dialog(page).getByRole("button", { name: "Invite" }).click();
    const link = await copyOf(page, "Copy Link");
    await page.getByText("I have stored it").click();
    await dialog(page).getByRole("button", { name: "Close", exact: true }).click();

    await using invited = await world.open(new URL(link).pathname + new URL(link).hash, { signedIn: false });
    const guest = invited.page;
    await guest.getByLabel("E-mail").fill(email);
    await guest.getByLabel("Password").fill("long enough");
    expect(guest.url()).not.toContain("#");
    await button(guest, "Make the account").click();
    await guest.getByRole("heading", { name: "Projects", exact: true }).waitFor();
    await guest.getByRole("heading", { name: "No projects yet" }).waitFor();

    await page.reload();
    await button(page, `Role of ${email}`)
      .or(page.getByRole("button", { name: new RegExp(email) }))
      .first()
      .waitFor();
    const { organization: found } = await world.api<{
      organization: { members: { edges: { node: { accountId: string; email: string } }[] } };
    }>(`{ organization(id: "${createOrganization.id}") { members { edges { node { accountId email } } } } }`);
    const accountId = found.members.edges.find(({ node }) => node.email === email)?.node.accountId;
    const { createProject } = await world.api<{ createProject: { ref: string } }>(
      "mutation ($input: CreateProjectInput!) { createProject(input: $input) { ref } }",
      { input: { organizationId: createOrganization.id, name: "theirs" } },
    );
    await untilState(world.api, createProject.ref, "ACTIVE");
    await row(guest, "theirs").getByText("Active", { exact: true }).waitFor(); // by itself: it is followed
    await guest.goto(`${world.baseUrl}/projects/${createProject.ref}/settings/keys`);
    await guest.getByText("service_role").waitFor();
    await world.api(
      `mutation { changeMemberRole(organizationId: "${createOrganization.id}", accountId: "${accountId}", role: VIEWER) { role } }`,
    );
    await guest.reload();
    await guest.getByText("Your role (Viewer) cannot see keys.", { exact: false }).waitFor();
    await look(guest, "state-forbidden");
    await world.api(`mutation { removeMember(organizationId: "${createOrganization.id}", accountId: "${accountId}") }`);
    await guest.getByRole("heading", { name: "No such project" }).waitFor();
    opened.check();
    invited.check();
  });

  test("an access token is shown once, works, and is refused when it is revoked", async () => {
    const tokenName = name("ci");
    await using opened = await world.open("/account/tokens");
    const { page } = opened;
    await button(page, "New token").click();
    await field(page, "Name").fill(tokenName);
    await button(page, "Create token").click();
    const token = await copyOf(page, "Copy Token");
    await page.getByText("I have stored it").click();
    await dialog(page).getByRole("button", { name: "Close", exact: true }).click();
    const code = async () => {
      const response = await fetch(`${world.baseUrl}/graphql`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
        body: JSON.stringify({ query: "{ viewer { id } }" }),
      });
      return response.status;
    };
    expect(await code()).toBe(200);
    expect(await page.content()).not.toContain(token);
    await button(page, `Revoke ${tokenName}`).click();
    await dialog(page).getByRole("button", { name: "Revoke token" }).click();
    await eventually(code).toBe(401);
    opened.check();
  });
});

describe.concurrent("clusters", () => {
  test("a wrong password is told at the form, and the figures are the server's", async () => {
    await using opened = await world.open("/instance/clusters");
    const { page } = opened;
    await page.getByRole("row").filter({ hasText: "first" }).first().getByText("Active").waitFor();
    const { clusters } = await world.api<{ clusters: { status: { version: string; maxConnections: number } }[] }>(
      "{ clusters { status { version maxConnections } } }",
    );
    await page.getByText(clusters[0]?.status.version ?? "none").waitFor();
    await page
      .getByText(new RegExp(`/${clusters[0]?.status.maxConnections}`))
      .first()
      .waitFor();
    await button(page, "Register cluster").click();
    await field(page, "Name").fill("west");
    await field(page, "Host").fill("127.0.0.1");
    await page.getByLabel("Port").fill("1");
    await button(page, "Test and register").click();
    await page.getByText("Cannot connect", { exact: false }).waitFor();
    await look(page, "dialog-register-cluster");
    await button(page, "Cancel").click();
    opened.check();
  });
});

describe.concurrent("by keyboard", () => {
  test("a tour: skip link, palette, chords, a menu, and a dialog that holds and gives back the focus", async () => {
    const ref = await world.createProject(name("keyboard"));
    await using opened = await world.open(`/projects/${ref}`);
    const { page } = opened;
    await page.getByRole("heading", { name: "API keys" }).waitFor();
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
    await page.keyboard.press("g");
    await page.keyboard.press("a");
    await page.getByRole("heading", { name: /^Users/ }).waitFor();
    await page.keyboard.press("i");
    await page.keyboard.press("u");
    await page.getByRole("heading", { name: "Create user" }).waitFor();
    await page.keyboard.type("g h"); // letters belong to the field
    expect(await page.getByLabel("E-mail", { exact: true }).inputValue()).toBe("g h");
    for (let press = 0; press < 20; press++) await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.closest("[role=dialog]") !== null)).toBe(true);
    await page.keyboard.press("Escape");
    await eventually(() => dialog(page).count()).toBe(0);
    await page.keyboard.press("g");
    await page.keyboard.press("h");
    await page.getByRole("heading", { name: "API keys" }).waitFor();
    await page.keyboard.press("Control+/");
    await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
    await look(page, "shortcuts");
    await page.keyboard.press("Escape");
    opened.check();
  });

  test("at 200 % zoom, in forced colours and by plain http nothing is lost", async () => {
    const ref = await world.createProject(name("zoom"));
    const url = new URL(world.baseUrl);
    await using opened = await world.open(`/projects/${ref}`, { width: 720 });
    const { page } = opened;
    await page.emulateMedia({ forcedColors: "active", reducedMotion: "reduce" });
    await button(page, "Connect").click();
    await page.getByRole("tab", { name: "psql" }).click();
    await page.getByText('psql "postgresql://', { exact: false }).waitFor();
    await page.keyboard.press("Escape");
    await page.emulateMedia({ forcedColors: null });

    // Any name leads here in the tests' browser; by http it is no secure context, so there is no clipboard.
    const plain = await openPage(
      world.browser,
      { baseUrl: `http://dashboard.test:${url.port}`, gatewayUrl: world.gatewayUrl, session: null },
      "/sign-in",
      { signedIn: false },
    );
    await plain.page.getByLabel("E-mail").fill(world.owner.email);
    await plain.page.getByLabel("Password").fill(world.owner.password);
    await button(plain.page, "Sign in").click();
    await plain.page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
    await plain.page.goto(`http://dashboard.test:${url.port}/projects/${ref}`);
    await button(plain.page, "Copy ref").click();
    await button(plain.page, "Copied").waitFor();
    await plain[Symbol.asyncDispose]();
    opened.check();
  });
});

describe("without an account", () => {
  let plane: TestControlPlane;
  beforeAll(async () => {
    plane = await createTestControlPlane(inject("clusterUrl"), { servesDashboard: true });
    await untilBuilt(plane.url);
  });
  afterAll(() => plane?.[Symbol.asyncDispose]());

  test("the first person makes the account, signs out, is limited after wrong passwords, and comes back to the address asked for", async () => {
    const email = "first@example.com";
    const opened = await openPage(world.browser, { baseUrl: plane.url, gatewayUrl: "", session: null }, "/", {
      signedIn: false,
    });
    const { page } = opened;
    await page.getByRole("heading", { name: "Make the first account" }).waitFor();
    await look(page, "first-account");
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill("short");
    await button(page, "Make the account").click();
    await page
      .getByText(/at least 8/i)
      .last()
      .waitFor();
    await page.getByLabel("Password").fill("long enough");
    await button(page, "Make the account").click();
    await page.getByRole("heading", { name: "No projects yet" }).waitFor();
    await button(page, `Account of ${email}`).click();
    await item(page, "Sign out").click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();

    await page.goto(`${plane.url}/account/tokens`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill("long enough");
    await button(page, "Sign in").click();
    await page.getByRole("heading", { name: "Access tokens", exact: true }).waitFor();

    await button(page, `Account of ${email}`).click();
    await item(page, "Sign out").click();
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill("wrong");
    await vi.waitFor(
      async () => {
        await button(page, "Sign in").click();
        await page.getByText(/Try again in \d+ seconds?/).waitFor({ timeout: 1_000 });
      },
      { timeout: 40_000, interval: 10 },
    );
    await look(page, "state-rate-limited");
    opened.check();
    await opened[Symbol.asyncDispose]();
  });
});

async function publicAccess(ref: string): Promise<{ url: string; key: string }> {
  const { project } = await world.api<{ project: { url: string; apiKeys: { key: string | null; kind: string }[] } }>(
    `{ project(ref: "${ref}") { url apiKeys { key kind } } }`,
  );
  return { url: project.url, key: project.apiKeys.find(({ kind, key }) => kind === "PUBLISHABLE" && key)?.key ?? "" };
}

async function runSql(ref: string, sql: string): Promise<void> {
  await world.api("mutation ($input: RunSqlInput!) { runSql(input: $input) { durationMs } }", { input: { ref, sql } });
}

/** In a folder of its own, with this project's libraries. */
async function runSnippet(code: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "supalove-snippet-"));
  try {
    symlinkSync(resolve(import.meta.dirname, "../../node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "snippet.mjs"), code);
    const { stdout } = await promisify(execFile)(process.execPath, ["snippet.mjs"], { cwd: folder });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
