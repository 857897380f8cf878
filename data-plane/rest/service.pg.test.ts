/** What one process holds of many projects: schema caches, and connections to listen on. */
import pg from "pg";
import { describe, expect, inject, test } from "vitest";
import type { ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { createTestProjectDatabase } from "../../test/harness/project-database.ts";
import { projectSnapshot } from "../auth/testing/snapshot.ts";
import { createProjectDatabases } from "../database/project-databases.ts";
import { WorkerPool } from "../work/worker-pool.ts";
import { UNWATCHED_RELOAD_MS } from "./schema-watch.ts";
import { createRestService, type RestService, type RestServiceOptions } from "./service.ts";
import { signToken, toServiceRequest } from "./testing/request.ts";

const logger = { info() {}, warn() {} };

interface Project {
  readonly snapshot: ServiceSnapshot;
  readonly userUrl: string;
}

async function createProjects(count: number): Promise<readonly Project[]> {
  const created = await Promise.all(
    Array.from({ length: count }, () => createTestProjectDatabase(inject("clusterUrl"))),
  );
  return created.map(({ address, projectRef, userUrl }) => {
    const snapshot: ServiceSnapshot = { ...projectSnapshot({ database: address }), projectRef };
    return { snapshot, userUrl };
  });
}

function createService(maxConnections: number, options: Partial<RestServiceOptions> = {}) {
  const databases = createProjectDatabases({ maxConnections });
  const workers = new WorkerPool();
  const service = createRestService({ databases, workers, now: Date.now, logger, ...options });
  return {
    service,
    async [Symbol.asyncDispose]() {
      await service.close();
      await databases.close();
      await workers.close();
    },
  };
}

async function statusOf(service: RestService, snapshot: ServiceSnapshot, path: string): Promise<number> {
  const authorization = `Bearer ${signToken({ role: "service_role" }, snapshot.jwt.secret)}`;
  return (await service.handle(toServiceRequest("GET", path, { authorization }, undefined), snapshot)).status;
}

test("with fewer connections to listen on than projects, every project's new tables are seen", async () => {
  let aheadMs = 0;
  await using running = createService(4, { now: () => Date.now() + aheadMs }); // two of the four to listen
  const { service } = running;
  const projects = await createProjects(3);
  const statuses = () => Promise.all(projects.map(({ snapshot }) => statusOf(service, snapshot, "/late")));
  expect(await statuses()).toEqual([404, 404, 404]);
  for (const { userUrl } of projects) {
    const owner = new pg.Client({ connectionString: userUrl });
    await owner.connect();
    await owner.query("create table public.late (n int)");
    await owner.end();
  }
  aheadMs += UNWATCHED_RELOAD_MS;
  await expect.poll(statuses).toEqual([200, 200, 200]);
});

describe("schema caches", () => {
  test("are bounded in memory together: the longest unused goes, and comes back when it is asked for", async () => {
    const projects = await createProjects(3);
    const bytesOfOne = await measure(projects[0] as Project);
    let time = 0;
    await using running = createService(12, { maxCacheBytes: 2.5 * bytesOfOne, now: () => Date.now() + time++ });
    const { service } = running;
    for (const { snapshot } of projects) expect(await statusOf(service, snapshot, "/x")).toBe(404);
    expect(service.stats()).toEqual({ projects: 2, approximateBytes: 2 * bytesOfOne });
    for (const { snapshot } of projects) expect(await statusOf(service, snapshot, "/x")).toBe(404);
    expect(service.stats()).toEqual({ projects: 2, approximateBytes: 2 * bytesOfOne });
  });

  test("are dropped when they are not used for a while", async () => {
    const [project] = await createProjects(1);
    await using running = createService(4, { idleTimeoutMs: 20 });
    const { service } = running;
    await statusOf(service, (project as Project).snapshot, "/x");
    await expect.poll(() => service.stats()).toEqual({ projects: 0, approximateBytes: 0 });
    expect(await statusOf(service, (project as Project).snapshot, "/x")).toBe(404);
  });

  async function measure({ snapshot }: Project): Promise<number> {
    await using running = createService(4);
    await statusOf(running.service, snapshot, "/x");
    return running.service.stats().approximateBytes;
  }
});
