/** What must not be lost: eight tabs, a server that is killed and comes back, a session that ends, a creation that fails. */
import { randomUUID } from "node:crypto";
import { createServer } from "node:net";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type Stack, startStack } from "../harness/standalone.ts";
import { type DashboardWorld, look, type OpenedPage, startDashboardWorld, untilBuilt } from "./world.ts";

vi.setConfig({ testTimeout: 120_000 });

let world: DashboardWorld;
/** The one that runs now: a story kills the first. */
let stack: Stack;
let ports: NodeJS.ProcessEnv;

beforeAll(async () => {
  ports = {
    CONTROL_PLANE_PORT: await freePort(),
    GATEWAY_PORT: await freePort(),
    POSTGRES_PORT: await freePort(),
  };
  world = await startDashboardWorld(ports);
  stack = world.stack;
});
afterAll(async () => {
  if (stack && stack !== world.stack) await stack.stop();
  await world?.[Symbol.asyncDispose]();
});

const button = (page: Page, label: string | RegExp) => page.getByRole("button", { name: label });
const row = (page: Page, text: string) => page.getByRole("row").filter({ hasText: text });
const NETWORK = /net::ERR|Failed to load resource/;

test("a creation that fails says why, and goes on by retry", async () => {
  await using opened = await world.open("/projects");
  const { page } = opened;
  const { clusters } = await world.api<{ clusters: { id: string; capacity: number }[] }>(
    "{ clusters { id capacity } }",
  );
  const [cluster] = clusters;
  const setCapacity = (capacity: number) =>
    world.api(`mutation { updateCluster(id: "${cluster?.id}", input: {capacity: ${capacity}}) { id } }`);
  await setCapacity(0);
  const name = `full ${randomUUID().slice(0, 6)}`;
  await button(page, "New project").click();
  await page.getByRole("textbox", { name: "Name", exact: true }).fill(name);
  await button(page, "Create project").click();
  await row(page, name).getByText("Failed", { exact: true }).waitFor();
  await row(page, name)
    .getByText(/cluster/)
    .waitFor();
  await look(page, "state-failed");
  await setCapacity(cluster?.capacity ?? 1000);
  await row(page, name).getByRole("button", { name: "Retry" }).click();
  await row(page, name).getByText("Active", { exact: true }).waitFor();
  opened.check();
});

test("a session that ends in the middle of an edit asks for the password above it; the edit is still there", async () => {
  const ref = await world.createProject("session");
  const email = `eve-${randomUUID().slice(0, 6)}@example.com`;
  const { addMember } = await world.api<{ addMember: { invitationToken: string } }>(
    `mutation { addMember(organizationId: "${world.organizationId}", email: "${email}", role: ADMIN) { invitationToken } }`,
  );
  await using opened = await world.open(`/join#${addMember.invitationToken}`, { signedIn: false });
  const { page, context } = opened;
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill("long enough");
  await button(page, "Make the account").click();
  await page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
  await page.goto(`${world.baseUrl}/projects/${ref}/settings/api`);
  await page.getByRole("textbox", { name: "Max rows", exact: true }).fill("77");
  // Another tab of the same browser signs out: the cookie names a session that is no more.
  const cookies = await context.cookies();
  await fetch(`${world.baseUrl}/graphql`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-supalove-client": "test",
      cookie: cookies.map(({ name, value }) => `${name}=${value}`).join("; "),
    },
    body: JSON.stringify({ query: "mutation { signOut }" }),
  });
  // By itself: what the page follows has ended with the session.
  await page.getByRole("heading", { name: "Your session has ended" }).waitFor();
  await look(page, "session-ended");
  await page.getByRole("textbox", { name: "Password" }).fill("long enough");
  await button(page, "Sign in").click();
  await vi.waitFor(async () => expect(await page.getByRole("dialog").count()).toBe(0), { timeout: 10_000 });
  expect(await page.getByRole("textbox", { name: "Max rows", exact: true }).inputValue()).toBe("77");
  await button(page, "Save").click();
  await page.getByText("1 setting saved").waitFor();
});

test("without a network the page says so and keeps what it shows", async () => {
  await using opened = await world.open("/account/profile", { allows: NETWORK });
  const { page, context } = opened;
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("Not saved yet");
  await context.setOffline(true);
  await page.getByText("Offline.", { exact: false }).waitFor();
  await button(page, "Save name").click();
  await page.getByText("The server does not answer.", { exact: false }).waitFor();
  await look(page, "state-offline");
  await context.setOffline(false);
  await button(page, "Save name").click();
  await page.getByText("Your name is saved.").waitFor();
  expect(await page.getByRole("textbox", { name: "Name", exact: true }).inputValue()).toBe("Not saved yet");
});

test("eight tabs follow at once; the server is killed and comes back: all are live again and nothing is lost", async () => {
  const first = await world.open("/projects", { allows: NETWORK });
  const pages: Page[] = [first.page];
  try {
    for (let tab = 1; tab < 8; tab++) {
      const page = await first.context.newPage();
      await page.goto(`${world.baseUrl}/projects`);
      pages.push(page);
    }
    for (const page of pages) await page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
    const before = `before ${randomUUID().slice(0, 6)}`;
    await world.createProject(before);
    for (const page of pages) await row(page, before).waitFor();

    const typed = pages[0] as Page;
    await button(typed, "New project").click();
    await typed.getByRole("textbox", { name: "Name", exact: true }).fill("half typed");
    process.kill(-(stack.process.pid ?? 0), "SIGKILL");
    await typed.getByText("Live updates are interrupted.", { exact: false }).waitFor();

    stack = await startStack(stack.dataDir, ports);
    await untilBuilt(world.baseUrl);
    const after = `after ${randomUUID().slice(0, 6)}`;
    await world.createProject(after);
    for (const page of pages) await row(page, after).waitFor({ timeout: 45_000, state: "attached" });
    expect(await typed.getByRole("textbox", { name: "Name", exact: true }).inputValue()).toBe("half typed");
  } finally {
    await close(first);
  }
}, 120_000);

const close = (opened: OpenedPage) => opened[Symbol.asyncDispose]();

async function freePort(): Promise<string> {
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as { port: number };
  await new Promise((closed) => server.close(closed));
  return String(port);
}
