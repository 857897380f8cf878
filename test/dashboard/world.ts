/**
 * For stories of the dashboard: the real standalone stack, one browser, a signed-in owner. Every page that is opened is
 * watched: an error in its console, a breach of its policy, or a request beyond the two origins fails the story.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { expect, vi } from "vitest";
import { launchBrowser } from "../harness/browser.ts";
import { removeDataDir, type Stack, startStack, temporaryDataDir } from "../harness/standalone.ts";

const screenshots = join(import.meta.dirname, "screenshots");
/** Dropping a database takes ten seconds on a machine that is busy with the other suites. */
const WAIT_MS = 45_000;

export interface Person {
  readonly email: string;
  readonly password: string;
}

export interface OpenOptions {
  /** Signed in as the owner unless this says false. */
  readonly signedIn?: boolean;
  readonly width?: number;
  /** Console errors that belong to the story. */
  readonly allows?: RegExp;
}

export interface OpenedPage extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Throws when something was wrong that the page did not show. */
  check(): void;
}

export interface DashboardWorld extends AsyncDisposable {
  readonly baseUrl: string;
  readonly gatewayUrl: string;
  readonly owner: Person;
  readonly stack: Stack;
  readonly browser: Browser;
  open(path: string, options?: OpenOptions): Promise<OpenedPage>;
  /** Asks the API as the owner. @throws {Error} with the first error's message. */
  api<Data>(query: string, variables?: Record<string, unknown>): Promise<Data>;
  /** An ACTIVE project of the owner's organization; answers its ref. */
  createProject(name: string): Promise<string>;
  readonly organizationId: string;
}

/** @param environment of the stack, such as fixed ports. */
export async function startDashboardWorld(environment: NodeJS.ProcessEnv = {}): Promise<DashboardWorld> {
  const dataDir = temporaryDataDir();
  const [stack, browser] = await Promise.all([startStack(dataDir, environment), launchBrowser()]);
  const printed = (label: string) => new RegExp(`${label}\\s+(\\S+)`).exec(stack.output())?.[1] ?? "";
  const baseUrl = printed("Dashboard");
  const gatewayUrl = printed("Gateway");
  const owner = { email: printed("Owner's e-mail"), password: printed("Owner's password") };
  const api = createApi(baseUrl, printed("Access token"));
  await untilBuilt(baseUrl);
  const { viewer } = await api<{ viewer: { organizations: { id: string }[] } }>("{ viewer { organizations { id } } }");
  const organizationId = viewer.organizations[0]?.id ?? "";

  const first = await browser.newContext({ locale: "en-US" });
  await signIn(await first.newPage(), baseUrl, owner);
  const session = await first.storageState();
  await first.close();

  return {
    baseUrl,
    gatewayUrl,
    owner,
    stack,
    browser,
    api,
    organizationId,
    open: (path, options) => openPage(browser, { baseUrl, gatewayUrl, session }, path, options),
    async createProject(name) {
      const { createProject } = await api<{ createProject: { ref: string } }>(
        "mutation ($input: CreateProjectInput!) { createProject(input: $input) { ref } }",
        { input: { organizationId, name } },
      );
      await untilState(api, createProject.ref, "ACTIVE");
      return createProject.ref;
    },
    async [Symbol.asyncDispose]() {
      await browser.close();
      await stack.stop();
      removeDataDir(dataDir);
    },
  };
}

export type Api = DashboardWorld["api"];

function createApi(baseUrl: string, token: string): Api {
  return async <Data>(query: string, variables: Record<string, unknown> = {}) => {
    const response = await fetch(`${baseUrl}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data: Data; errors?: { message: string }[] };
    if (errors?.[0]) throw new Error(errors[0].message);
    return data;
  };
}

export async function untilState(api: Api, ref: string, state: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const { project } = await api<{ project: { state: string } }>(`{ project(ref: "${ref}") { state } }`);
      if (project.state !== state) throw new Error(`project is ${project.state} instead of ${state}`);
    },
    { timeout: WAIT_MS, interval: 50 },
  );
}

/** The build is made beside the API: the first page may come before it. */
export async function untilBuilt(baseUrl: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const response = await fetch(baseUrl, { headers: { accept: "text/html" } });
      if (!(await response.text()).includes("/assets/")) throw new Error("the dashboard is not built yet");
    },
    { timeout: 60_000, interval: 100 },
  );
}

export async function signIn(page: Page, baseUrl: string, { email, password }: Person): Promise<void> {
  await page.goto(`${baseUrl}/sign-in`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Projects", exact: true }).waitFor();
}

export async function openPage(
  browser: Browser,
  place: {
    readonly baseUrl: string;
    readonly gatewayUrl: string;
    readonly session: Awaited<ReturnType<BrowserContext["storageState"]>> | null;
  },
  path: string,
  { signedIn = true, width = 1440, allows }: OpenOptions = {},
): Promise<OpenedPage> {
  const context = await browser.newContext({
    locale: "en-US",
    viewport: { width, height: 900 },
    permissions: ["clipboard-read", "clipboard-write"],
    ...(signedIn && place.session ? { storageState: place.session } : {}),
  });
  context.setDefaultTimeout(WAIT_MS);
  const wrong: string[] = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile }) =>
      console.error(`policy: ${violatedDirective} ${blockedURI} ${sourceFile}`),
    );
  });
  const origins = [place.baseUrl, place.gatewayUrl, "blob:", "data:"].filter((origin) => origin !== "");
  context.on("console", (message) => {
    if (message.type() === "error" && !allows?.test(message.text())) wrong.push(`console: ${message.text()}`);
  });
  context.on("weberror", (error) => wrong.push(`error: ${error.error().message}`));
  context.on("request", (request) => {
    if (!origins.some((origin) => request.url().startsWith(origin))) wrong.push(`request: ${request.url()}`);
  });
  const page = await context.newPage();
  await page.goto(`${place.baseUrl}${path}`);
  return {
    page,
    context,
    check: () => expect(wrong).toEqual([]),
    [Symbol.asyncDispose]: () => context.close(),
  };
}

/** Axe without a serious finding in both themes; screenshots at two widths, to be looked at. */
export async function look(page: Page, name: string): Promise<void> {
  mkdirSync(screenshots, { recursive: true });
  const viewport = page.viewportSize();
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const width of [1440, 360]) {
      await page.setViewportSize({ width, height: 900 });
      await page.screenshot({ path: join(screenshots, `${name}-${width}-${colorScheme}.png`) });
      const overflow = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      expect(overflow, `${name} is wider than ${width} px`).toBeLessThanOrEqual(0);
    }
    if (viewport) await page.setViewportSize(viewport);
    // The theme changes colours alone: all other rules are looked at once.
    // React Aria's announcer, which screen readers hear and nobody sees, empties itself a few seconds later.
    const axe = new AxeBuilder({ page }).exclude("[data-live-announcer]");
    const { violations } = await (colorScheme === "light" ? axe : axe.withRules(["color-contrast"])).analyze();
    const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    expect(
      serious.map(
        ({ id, nodes }) =>
          `${id}: ${nodes
            .map(({ html }) => html)
            .join(" ")
            .slice(0, 600)}`,
      ),
      `${name}, ${colorScheme}`,
    ).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}
