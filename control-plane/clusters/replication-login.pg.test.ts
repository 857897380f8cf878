import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createTestControlPlane, type TestControlPlane } from "../testing/test-control-plane.ts";
import { insertTestProject, TEST_CLUSTER_ID } from "../testing/test-project.ts";
import type { ClusterConnections } from "./cluster-connections.ts";
import { ensureReplicationLogin, rotateReplicationPassword } from "./replication-login.ts";

let plane: TestControlPlane;
beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { provisioning: { concurrency: 0 } });
});
afterAll(() => plane[Symbol.asyncDispose]());

test("the password is set once, reaches services and no gateway, and a rotation replaces it everywhere", async () => {
  const { vault, configSnapshots } = plane.controlPlane.services;
  const { ref } = await insertTestProject(plane.database, vault);
  // In place of the cluster, which all tests share: its password is another test's affair.
  const statements: string[] = [];
  const clusters = {
    withAdmin: (_id: string, work: (client: object) => Promise<unknown>) =>
      work({ query: async (text: string) => void statements.push(text) }),
  } as unknown as ClusterConnections;
  const passwordOf = async () =>
    (await configSnapshots.findByRefs("service", [ref])).get(ref)?.replication?.password ?? null;

  expect(await passwordOf()).toBeNull();
  expect(await ensureReplicationLogin(plane.database, vault, clusters, TEST_CLUSTER_ID)).toBe(true);
  expect(await ensureReplicationLogin(plane.database, vault, clusters, TEST_CLUSTER_ID)).toBe(false);
  const first = await passwordOf();
  expect(first).toHaveLength(32);
  expect(JSON.stringify((await configSnapshots.findByRefs("gateway", [ref])).get(ref))).not.toContain(first);

  await plane.database.transaction((tx) => rotateReplicationPassword(tx, vault, clusters, TEST_CLUSTER_ID));
  const second = await passwordOf();
  expect(second).toHaveLength(32);
  expect(second).not.toBe(first);
  expect(statements).toHaveLength(2);
  expect(statements.join()).not.toContain(second);
  expect(statements[1]).toMatch(/alter role supabase_replication_admin password 'SCRAM-SHA-256\$/);
});
