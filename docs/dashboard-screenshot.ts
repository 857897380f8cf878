/** Makes docs/dashboard.png, the picture that README opens with: `npm run screenshot`. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { launchBrowser } from "../test/harness/browser.ts";
import { removeDataDir, startStack, temporaryDataDir } from "../test/harness/standalone.ts";

const POLL_MS = 50;

const dataDir = temporaryDataDir();
const [stack, browser] = await Promise.all([startStack(dataDir), launchBrowser()]);
try {
  const printed = (label: string) => new RegExp(`${label}\\s+(\\S+)`).exec(stack.output())?.[1] ?? "";
  const url = printed("Dashboard");

  const api = async <Data>(query: string): Promise<Data> => {
    const response = await fetch(`${url}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${printed("Access token")}` },
      body: JSON.stringify({ query }),
    });
    return ((await response.json()) as { data: Data }).data;
  };
  const untilState = async (ref: string, state: string) => {
    type Answer = { project: { state: string } };
    while ((await api<Answer>(`{ project(ref: "${ref}") { state } }`)).project.state !== state) await delay(POLL_MS);
  };
  const create = async (organizationId: string, name: string, state = "ACTIVE") => {
    const { createProject } = await api<{ createProject: { ref: string } }>(
      `mutation { createProject(input: {organizationId: "${organizationId}", name: "${name}"}) { ref } }`,
    );
    await untilState(createProject.ref, state);
    return createProject.ref;
  };

  const { viewer, clusters } = await api<{ viewer: { organizations: { id: string }[] }; clusters: { id: string }[] }>(
    "{ viewer { organizations { id } } clusters { id } }",
  );
  const own = viewer.organizations[0]?.id ?? "";
  const { createOrganization } = await api<{ createOrganization: { id: string } }>(
    'mutation { createOrganization(name: "Acme") { id } }',
  );
  for (const name of ["billing", "newsletter"]) await create(own, name);
  const archive = await create(own, "archive");
  await api(`mutation { pauseProject(ref: "${archive}") { state } }`);
  await untilState(archive, "PAUSED");
  for (const name of ["shop-staging", "shop"]) await create(own, name);
  await create(createOrganization.id, "website");
  await api(`mutation { updateCluster(id: "${clusters[0]?.id}", input: {capacity: 0}) { id } }`);
  await create(createOrganization.id, "analytics", "FAILED");

  const page = await browser.newPage({ locale: "en-US", viewport: { width: 1200, height: 500 } });
  while (!(await (await fetch(url, { headers: { accept: "text/html" } })).text()).includes("/assets/"))
    await delay(POLL_MS);
  await page.goto(`${url}/sign-in`);
  await page.getByLabel("E-mail").fill(printed("Owner's e-mail"));
  await page.getByLabel("Password").fill(printed("Owner's password"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("analytics").waitFor();
  await page.getByText("live", { exact: true }).waitFor();
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: join(import.meta.dirname, "dashboard.png") });
} finally {
  await browser.close();
  await stack.stop();
  removeDataDir(dataDir);
}
