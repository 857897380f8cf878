/**
 * Two projects under one host, in a real browser: a page that project B serves can do nothing in the name of A, while a
 * page on a host of the project's own has an origin as any page has.
 */
import pg from "pg";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { launchBrowser } from "../harness/browser.ts";
import {
  type CreatedProject,
  createProject,
  removeDataDir,
  type Stack,
  startStack,
  temporaryDataDir,
} from "../harness/standalone.ts";

const dataDir = temporaryDataDir();
let stack: Stack;
let browser: Browser;
let quiet: CreatedProject;
let hostile: CreatedProject;

/**
 * What B tries from a page; each answers what it got, or the name of the error. The first part does without promises
 * and events, which never come in a document without scripts.
 */
const ATTACK = `
  function attempt(work) {
    try { return work(); } catch (error) { return error.name; }
  }
  function attack(victimUrl) {
    const frame = document.createElement("iframe");
    frame.src = victimUrl;
    return {
      origin: self.origin,
      storage: attempt(() => { localStorage.setItem("mark", "hostile"); return localStorage.getItem("mark"); }),
      indexedDb: attempt(() => indexedDB.open("mark").readyState),
      cookie: attempt(() => { document.cookie = "mark=hostile; path=/"; return document.cookie; }),
      caches: attempt(() => typeof caches.open),
      worker: attempt(() => typeof navigator.serviceWorker.register),
      credentials: attempt(() => {
        const request = new XMLHttpRequest();
        request.open("GET", victimUrl, false);
        request.withCredentials = true;
        request.send();
        return request.responseText;
      }),
      ancestor: attempt(() => parent === window ? "none" : parent.document.title),
    };
  }
  async function register() {
    try {
      await navigator.serviceWorker.register(location.href.replace("page", "worker"), { scope: "/" });
      return "registered";
    } catch (error) { return error.message; }
  }
  function enter(victimUrl) {
    return new Promise((give) => {
      const frame = document.createElement("iframe");
      frame.onload = () => {
        try { give(frame.contentWindow.document.title); } catch (error) { give(error.name); }
      };
      frame.src = victimUrl;
      document.body.append(frame);
    });
  }`;

const SETUP = `
  create domain "text/html" as text;
  create domain "*/*" as text;
  create function public.page() returns "text/html" language plpgsql as $$
  begin
    perform set_config('response.headers', '[{"Set-Cookie": "planted=1; Path=/"}, {"Clear-Site-Data": "\\"cache\\""}, {"Origin-Agent-Cluster": "?0"}]', true);
    return '<!doctype html><title>page</title><body>the page<script>${ATTACK.replaceAll("'", "''")}; document.title = "ran"</script>';
  end $$;
  create function public.drawing() returns "*/*" language plpgsql as $$
  begin
    perform set_config('response.headers', '[{"Content-Type": "image/svg+xml"}]', true);
    return '<svg xmlns="http://www.w3.org/2000/svg"><script>document.documentElement.setAttribute("id", "ran")</script></svg>';
  end $$;
  create function public.worker() returns "*/*" language plpgsql as $$
  begin
    perform set_config('response.headers', '[{"Service-Worker-Allowed": "/"}, {"Content-Type": "text/javascript"}]', true);
    return 'self.addEventListener("fetch", (event) => event.respondWith(new Response("of the worker")))';
  end $$;
  grant execute on all functions in schema public to anon;
  notify pgrst, 'reload schema';`;

beforeAll(async () => {
  [stack, browser] = await Promise.all([startStack(dataDir), launchBrowser()]);
  quiet = await createProject(dataDir, "quiet");
  hostile = await createProject(dataDir, "hostile");
  for (const { databaseUrl } of [quiet, hostile]) {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query(SETUP);
    await client.end();
  }
  for (const project of [quiet, hostile]) {
    await vi.waitFor(async () => expect((await fetch(urlOf(project, "page"))).status).toBe(200), { timeout: 20_000 });
  }
});
afterAll(async () => {
  await browser?.close();
  await stack?.stop();
  removeDataDir(dataDir);
});

/** Address of a function's answer under the shared origin. */
function urlOf({ url, anonKey }: CreatedProject, name: string): string {
  return `${url}/rest/v1/rpc/${name}?apikey=${anonKey}`;
}

/** The same on the project's own host, which is another origin. */
function ownUrlOf(project: CreatedProject, name: string): string {
  const { protocol, port } = new URL(project.url);
  return `${protocol}//${project.ref}.localhost:${port}/rest/v1/rpc/${name}?apikey=${project.anonKey}`;
}

async function withPage<T>(work: (page: Page, context: BrowserContext) => Promise<T>): Promise<T> {
  const context = await browser.newContext();
  try {
    return await work(await context.newPage(), context);
  } finally {
    await context.close();
  }
}

/** Runs the attack by the browser's own tools where the page itself may run no script. */
function attackFrom(page: Page, victimUrl: string): Promise<Record<string, string>> {
  return page.evaluate(attackScript(victimUrl));
}

function attackScript(victimUrl: string): string {
  return `(() => { ${ATTACK}; return attack(${JSON.stringify(victimUrl)}); })()`;
}

describe("a page of a project under the shared origin", () => {
  test.each(["page", "drawing"])("runs no script (%s)", async (name) => {
    await withPage(async (page) => {
      await page.goto(urlOf(hostile, name));
      expect(await page.evaluate("document.documentElement.id + document.title")).not.toContain("ran");
    });
  });

  test("has an origin that is nobody else's: no storage, cookie, worker, frame or answer of a neighbour is its own", async () => {
    await withPage(async (page, context) => {
      await page.goto(urlOf(hostile, "page"));
      const got = await attackFrom(page, urlOf(quiet, "page"));
      expect(got).toEqual({
        origin: "null",
        storage: "SecurityError",
        indexedDb: "SecurityError",
        cookie: "SecurityError",
        caches: "SecurityError",
        worker: "SecurityError",
        credentials: "NetworkError",
        ancestor: "none",
      });
      expect(await context.cookies()).toEqual([]);
      expect(context.serviceWorkers()).toEqual([]);
    });
  });

  test("is closed to a page that frames it or is framed by it, and opens no window", async () => {
    await withPage(async (page) => {
      await page.goto(urlOf(quiet, "page"));
      const opened = `window.open(${JSON.stringify(urlOf(hostile, "page"))}) === null`;
      expect(await page.evaluate(opened)).toBe(true);
      // The only page under this host that may run scripts is one that somebody else has put there, a dashboard say.
      await page.route("**/of-the-operator", (route) =>
        route.fulfill({ contentType: "text/html", body: `<title>operator</title><body><script>${ATTACK}</script>` }),
      );
      await page.goto(new URL("/of-the-operator", quiet.url).href);
      await page.evaluate(`localStorage.setItem("mark", "operator")`);
      expect(await page.evaluate(`enter(${JSON.stringify(urlOf(hostile, "page"))})`)).toBe("SecurityError");
      const frame = page.frames().find((candidate) => candidate.url().startsWith(hostile.url));
      const got = await frame?.evaluate(attackScript(urlOf(quiet, "page")));
      expect(got).toMatchObject({ origin: "null", storage: "SecurityError", ancestor: "SecurityError" });
    });
  });

  test("cannot hand a service worker to the origin, whoever registers it", async () => {
    const response = await fetch(urlOf(hostile, "worker"), { headers: { "service-worker": "script" } });
    expect([response.status, response.headers.get("service-worker-allowed")]).toEqual([403, null]);
    const plain = await fetch(urlOf(hostile, "worker"));
    expect([plain.status, plain.headers.get("service-worker-allowed")]).toEqual([200, null]);
  });
});

describe("a page on the project's own host", () => {
  test("is an ordinary page with an origin of its own, and still a stranger to its neighbour", async () => {
    await withPage(async (page, context) => {
      await page.goto(ownUrlOf(quiet, "page"));
      await page.evaluate(`localStorage.setItem("mark", "quiet"); document.cookie = "mark=quiet; path=/"`);
      await page.goto(ownUrlOf(hostile, "page"));
      expect(await page.title()).toBe("ran");
      expect(await page.evaluate(`localStorage.getItem("mark")`)).toBe(null);
      expect(await attackFrom(page, ownUrlOf(quiet, "page"))).toMatchObject({
        origin: new URL(ownUrlOf(hostile, "page")).origin,
        storage: "hostile",
        cookie: expect.stringContaining("mark=hostile"),
        credentials: "NetworkError",
      });
      expect(await page.evaluate(`enter(${JSON.stringify(ownUrlOf(quiet, "page"))})`)).toBe("SecurityError");
      expect(await page.evaluate("register()")).toBe("registered");
      const quietCookies = await context.cookies(ownUrlOf(quiet, "page"));
      expect(quietCookies.filter(({ name }) => name === "mark").map(({ value }) => value)).toEqual(["quiet"]);
    });
  });
});
