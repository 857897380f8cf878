import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import {
  createTestControlPlane,
  insertTestAccount,
  type TestAccount,
  type TestControlPlane,
} from "../testing/test-control-plane.ts";
import { parseClusterUrl } from "./cluster-connections.ts";
import { ensureCluster, getClusterAddress, listClusters } from "./cluster-table.ts";

let plane: TestControlPlane;
let owner: TestAccount;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { provisioning: { concurrency: 0 } });
  owner = await insertTestAccount(plane.database);
});
afterAll(() => plane[Symbol.asyncDispose]());

const here = () => parseClusterUrl(inject("clusterUrl"));
const cluster = (name: string, address = here()) => ({
  name,
  address,
  capacity: 3,
  publicHost: null,
  publicPort: null,
});

describe("a cluster that is ensured", () => {
  test("is registered once by instances that start together, its password sealed", async () => {
    const { vault } = plane.controlPlane.services;
    const rows = await Promise.all([1, 2, 3].map(() => ensureCluster(plane.database, vault, cluster("together"))));
    expect(new Set(rows.map(({ id }) => id)).size).toBe(1);
    const id = rows[0]?.id ?? "";
    expect(await getClusterAddress(plane.database, vault, id)).toEqual(here());
    const [kept] = await plane.database.query<{ text: string }>(
      "select convert_from(admin_password_ciphertext, 'latin1') || c::text as text from clusters c where id = $1",
      [id],
    );
    expect(kept?.text).not.toContain(here().password);
  });

  test("moves with its projects when it is somewhere else, and every instance hears of it", async () => {
    const { vault, events } = plane.controlPlane.services;
    const { id } = await ensureCluster(plane.database, vault, cluster("moving"));
    const organization = await plane
      .client(owner.token)
      .data('mutation { createOrganization(name: "On it") { id } }')
      .then((data) => data.createOrganization.id);
    const [project] = await plane.database.query<{ version: number }>(
      `insert into projects (ref, organization_id, name, plan, state, cluster_id)
       values ('clustermovesalongabc', $1, 'x', 'shared', 'ACTIVE', $2) returning config_version as version`,
      [organization, id],
    );
    const moves = events.subscribe((event) => event.topic === "cluster");
    await ensureCluster(plane.database, vault, cluster("moving"));
    await ensureCluster(plane.database, vault, cluster("moving", { ...here(), port: 1 }));
    // The first of the two changed nothing: only one move is heard.
    expect((await moves.next()).value).toEqual({ topic: "cluster", clusterId: id });
    await moves.return();
    const [moved] = await plane.database.query<{ version: number }>(
      "select config_version as version from projects where cluster_id = $1",
      [id],
    );
    expect(moved?.version).toBe((project?.version ?? 0) + 1);
    expect((await listClusters(plane.database)).find((row) => row.id === id)?.port).toBe(1);
  });
});

describe("registerCluster", () => {
  const REGISTER =
    "mutation R($input: RegisterClusterInput!) { registerCluster(input: $input) { id name state projectCount } }";
  const input = (overrides: object = {}) => {
    const { host, port, user, password } = here();
    return { name: "second", host, port, adminUser: user, adminPassword: password, ...overrides };
  };

  test("prepares a server it can be superuser of", async () => {
    const client = plane.client(owner.token);
    const { registerCluster } = await client.data(REGISTER, { input: input() });
    expect(registerCluster).toMatchObject({ name: "second", state: "ACTIVE", projectCount: 0 });
    expect(await client.code(REGISTER, { input: input() })).toBe("CONFLICT");
    const { updateCluster } = await client.data(
      `mutation { updateCluster(id: "${registerCluster.id}", input: {state: DRAINING, capacity: 7}) { state capacity } }`,
    );
    expect(updateCluster).toEqual({ state: "DRAINING", capacity: 7 });
  });

  test.each([
    ["a server that is not there", { port: 1 }, "input.host"],
    ["a wrong password", { adminPassword: "wrong" }, "input.host"],
    ["a port that is none", { port: 70_000 }, "input.port"],
    ["an empty name", { name: " " }, "input.name"],
  ])("refuses %s, and names the field", async (_what, overrides, field) => {
    const { errors } = await plane.client(owner.token).request(REGISTER, { input: input(overrides) });
    expect(errors[0]?.extensions).toMatchObject({ code: "INVALID_INPUT", field });
    expect(JSON.stringify(errors)).not.toContain(here().password);
  });
});
