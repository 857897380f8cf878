import pg from "pg";
import { expect, inject, test } from "vitest";
import { createTestProjectDatabase } from "../../test/harness/project-database.ts";
import { projectSnapshot } from "../auth/testing/snapshot.ts";
import { createProjectDatabases } from "../database/project-databases.ts";
import { UNWATCHED_RELOAD_MS } from "./schema-watch.ts";
import { createRestService } from "./service.ts";
import { signToken, toServiceRequest } from "./testing/request.ts";

test("with fewer connections to listen on than projects, every project's new tables are seen", async () => {
  const databases = createProjectDatabases({ maxConnections: 4 }); // two to listen
  let aheadMs = 0;
  const rest = createRestService({ databases, now: () => Date.now() + aheadMs, logger: { info() {}, warn() {} } });
  const projects = await Promise.all([1, 2, 3].map(() => createTestProjectDatabase(inject("clusterUrl"))));
  const snapshots = projects.map(({ address, projectRef }) => ({
    ...projectSnapshot({ database: address }),
    projectRef,
  }));
  const statusOf = async (table: string) =>
    Promise.all(
      snapshots.map(async (snapshot) => {
        const authorization = `Bearer ${signToken({ role: "service_role" }, snapshot.jwt.secret)}`;
        return (await rest.handle(toServiceRequest("GET", `/${table}`, { authorization }), snapshot)).status;
      }),
    );
  expect(await statusOf("late")).toEqual([404, 404, 404]);
  for (const { userUrl } of projects) {
    const owner = new pg.Client({ connectionString: userUrl });
    await owner.connect();
    await owner.query("create table public.late (n int)");
    await owner.end();
  }
  aheadMs += UNWATCHED_RELOAD_MS;
  await expect.poll(() => statusOf("late")).toEqual([200, 200, 200]);
  await rest.close();
  await databases.close();
});
