/**
 * What people wait for in the dashboard, in headless Chromium on the stack that `npm start` runs, a hundred projects in
 * the list: the first visit at a quarter of the machine's speed, a second visit, and going from page to page.
 *
 * node bench/dashboard.ts [--projects 100] [--rounds 7]
 */
import { parseArgs } from "node:util";
import type { Browser, Page } from "playwright-core";
import { ensureDashboardBuild } from "../control-plane/dashboard/build.ts";
import { launchBrowser } from "../test/harness/browser.ts";
import { startStack } from "./stack.ts";

const { values: options } = parseArgs({
  options: { projects: { type: "string", default: "100" }, rounds: { type: "string", default: "7" } },
});
const rounds = Number(options.rounds);
const SLOWDOWN = 4;
const PERSON = { email: "bench@example.com", password: "correct horse battery" };

await ensureDashboardBuild();
const stack = await startStack();
const browser = await launchBrowser();
try {
  const { client, organizationId, controlPlaneUrl } = stack;
  const create = (name: string) =>
    client.request<{ createProject: { ref: string } }>(
      "mutation ($input: CreateProjectInput!) { createProject(input: $input) { ref } }",
      { input: { organizationId, name } },
    );
  await Promise.all(Array.from({ length: Number(options.projects) }, (_, index) => create(`project ${index}`)));
  const { createProject } = await create("the newest");
  await untilActive(createProject.ref);
  const session = await signUp(browser, controlPlaneUrl);

  const first: number[] = [];
  const again: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const context = await browser.newContext({ locale: "en-US", storageState: session });
    const page = await context.newPage();
    const devtools = await context.newCDPSession(page);
    await devtools.send("Emulation.setCPUThrottlingRate", { rate: SLOWDOWN });
    first.push(await visit(page, controlPlaneUrl));
    again.push(await visit(page, controlPlaneUrl));
    await context.close();
  }
  console.log(
    `list of projects usable at ${SLOWDOWN} × slowdown: first visit ${median(first)} ms, next visits ${median(again)} ms`,
  );

  const page = await browser.newPage({ locale: "en-US", storageState: session });
  await visit(page, controlPlaneUrl);
  const moves: number[] = [];
  for (let round = 0; round < rounds + 1; round++) {
    const to = await change(page, page.getByRole("link", { name: "the newest" }), "Address");
    const back = await change(page, page.getByRole("link", { name: "Supalove, projects" }), "Projects");
    if (round > 0) moves.push(to, back); // the first loads the pages' files
  }
  console.log(`from page to page, both seen before: ${median(moves)} ms`);
} finally {
  await browser.close();
  await stack.stop();
}

async function untilActive(ref: string): Promise<void> {
  const read = () => stack.client.request<{ project: { state: string } }>(`{ project(ref: "${ref}") { state } }`, {});
  while ((await read()).project.state !== "ACTIVE") await new Promise((later) => setTimeout(later, 50));
}

/** Through an invitation: the owner's password is printed for people and not for programs. */
async function signUp(browser: Browser, url: string) {
  const { addMember } = await stack.client.request<{ addMember: { invitationToken: string } }>(
    "mutation ($id: ID!, $email: String!) { addMember(organizationId: $id, email: $email, role: OWNER) { invitationToken } }",
    { id: stack.organizationId, email: PERSON.email },
  );
  const context = await browser.newContext({ locale: "en-US" });
  const page = await context.newPage();
  await page.goto(`${url}/join#${addMember.invitationToken}`);
  await page.getByLabel("E-mail").fill(PERSON.email);
  await page.getByLabel("Password").fill(PERSON.password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await page.getByText("the newest").waitFor();
  const session = await context.storageState();
  await context.close();
  return session;
}

/** Until the newest project can be clicked. */
async function visit(page: Page, url: string): Promise<number> {
  const startedAt = performance.now();
  await page.goto(`${url}/projects`, { waitUntil: "commit" });
  await page.getByRole("link", { name: "the newest" }).waitFor();
  return performance.now() - startedAt;
}

/** Measured in the page, from the click to the frame that shows the heading. */
async function change(page: Page, link: ReturnType<Page["getByRole"]>, heading: string): Promise<number> {
  await link.evaluate((element, text) => {
    const startedAt = performance.now();
    const look = () => {
      const isThere = [...document.querySelectorAll("h1, h2")].some(({ textContent }) => textContent === text);
      if (isThere) Object.assign(window, { benchMs: performance.now() - startedAt });
      else requestAnimationFrame(look);
    };
    Object.assign(window, { benchMs: undefined });
    (element as HTMLElement).click();
    requestAnimationFrame(look);
  }, heading);
  const handle = await page.waitForFunction(() => (window as { benchMs?: number }).benchMs);
  return (await handle.jsonValue()) ?? Number.NaN;
}

function median(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor(sorted.length / 2)] ?? Number.NaN).toFixed(0);
}
