import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";

let plane: TestControlPlane;
beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { provisioning: { concurrency: 0 } });
  await insertTestAccount(plane.database, "installation"); // the first one acts as owner everywhere
});
afterAll(() => plane[Symbol.asyncDispose]());

const LIST = "{ viewer { projects { totalCount edges { node { name viewerRole } } } } }";
const FOLLOW = "subscription { projects(changesOnly: true) { name } }";

async function person(name: string) {
  const account = await insertTestAccount(plane.database, name);
  const client = plane.client(account.token);
  const organize = async (organizationName: string) =>
    (await client.data(`mutation { createOrganization(name: "${organizationName}") { id } }`)).createOrganization.id;
  const create = (organizationId: string, projectName: string) =>
    client.data(
      `mutation { createProject(input: {organizationId: "${organizationId}", name: "${projectName}"}) { ref } }`,
    );
  return { account, client, organize, create };
}

test("everybody lists the projects of all organizations he belongs to and of no other, with the role he has there", async () => {
  const [ada, bob] = [await person("ada"), await person("bob")];
  for (const [name, organization] of [
    ["one", await ada.organize("A")],
    ["two", await ada.organize("B")],
  ] as const)
    await ada.create(organization, name);
  const shared = await bob.organize("C");
  await bob.create(shared, "three");
  await plane.database.query("insert into memberships (organization_id, account_id, role) values ($1, $2, 'viewer')", [
    shared,
    ada.account.id,
  ]);
  const { viewer } = await ada.client.data(LIST);
  expect(viewer.projects.totalCount).toBe(3);
  expect(viewer.projects.edges.map(({ node }: { node: object }) => node)).toEqual([
    { name: "three", viewerRole: "VIEWER" },
    { name: "two", viewerRole: "OWNER" },
    { name: "one", viewerRole: "OWNER" },
  ]);
  expect((await bob.client.data(LIST)).viewer.projects.totalCount).toBe(1);
});

test("followers of all projects hear of theirs alone, and of a membership that ends by an empty list", async () => {
  const [ada, bob, eve] = [await person("ada"), await person("bob"), await person("eve")];
  const [ofBob, ofEve] = [await bob.organize("Bob's"), await eve.organize("Eve's")];
  await plane.database.query("insert into memberships (organization_id, account_id, role) values ($1, $2, 'viewer')", [
    ofBob,
    ada.account.id,
  ]);
  const feed = ada.client.subscribe(FOLLOW);
  const next = async () => (await feed.next()).value.data.projects;
  const first = next();
  // The stream is open as soon as its first value can arrive; until then changes are made again.
  const isOpen = first.then(() => true);
  let made = 0;
  while (!(await Promise.race([isOpen, new Promise<false>((later) => setTimeout(() => later(false), 50))]))) {
    await eve.create(ofEve, "not ada's");
    await bob.create(ofBob, `shared ${++made}`);
  }
  expect((await first).map(({ name }: { name: string }) => name)).not.toContain("not ada's");
  await bob.client.data(`mutation { removeMember(organizationId: "${ofBob}", accountId: "${ada.account.id}") }`);
  let heard = await next();
  while (heard.length > 0) {
    expect(heard.map(({ name }: { name: string }) => name)).not.toContain("not ada's");
    heard = await next();
  }
  expect(heard).toEqual([]);
  await feed.return?.(undefined);
});

test("settings are listed with their defaults as the mutations take them", async () => {
  const { client, organize, create } = await person("ada");
  const { createProject } = await create(await organize("S"), "settings");
  const ref = createProject.ref;
  await client.data(
    `mutation { updateRestSettings(ref: "${ref}", settings: {openApiMode: DISABLED, maxRows: null}) { ref } }`,
  );
  const { project } = await client.data(
    `{ project(ref: "${ref}") { settings { group name type isNullable choices value default } } }`,
  );
  const find = (name: string) => project.settings.find((setting: { name: string }) => setting.name === name);
  expect(find("openApiMode")).toEqual({
    group: "REST",
    name: "openApiMode",
    type: "Enum",
    isNullable: false,
    choices: ["FOLLOW_PRIVILEGES", "IGNORE_PRIVILEGES", "DISABLED"],
    value: "DISABLED",
    default: "FOLLOW_PRIVILEGES",
  });
  expect(find("maxRows")).toMatchObject({ value: null, default: 1000, isNullable: true, type: "Int" });
  expect(new Set(project.settings.map(({ group }: { group: string }) => group))).toEqual(
    new Set(["REST", "AUTH", "STORAGE", "REALTIME", "LIMITS", "GATEWAY"]),
  );
});

test("the audit log is filtered by who, what and when", async () => {
  const { client, organize, account } = await person("auditor");
  const id = await organize("Audited");
  await client.data(`mutation { renameOrganization(id: "${id}", name: "Renamed") { id } }`);
  const actions = async (filter: string) => {
    const { organization } = await client.data(
      `{ organization(id: "${id}") { auditLog(filter: ${filter}) { totalCount edges { node { action } } } } }`,
    );
    return organization.auditLog.edges.map(({ node }: { node: { action: string } }) => node.action);
  };
  expect(await actions('{action: "rename"}')).toEqual(["organization.rename"]);
  expect(await actions(`{actor: "${account.email.slice(0, 8)}"}`)).toHaveLength(2);
  expect(await actions('{actor: "nobody"}')).toEqual([]);
  expect(await actions('{from: "2999-01-01T00:00:00Z"}')).toEqual([]);
  expect(await actions('{action: "%"}')).toEqual([]);
});

test("the owner of the installation sees how a cluster answers and whose projects it holds", async () => {
  await plane.database.query("update accounts set is_instance_owner = false");
  const owner = await person("operator");
  await plane.database.query("update accounts set is_instance_owner = true where id = $1", [owner.account.id]);
  const { clusters } = await owner.client.data(`{ clusters { status {
    problem answerMs version databaseBytes connections maxConnections replicationSlots maxReplicationSlots }
    projects { edges { node { ref } } } } }`);
  expect(clusters[0].status).toEqual({
    problem: null,
    answerMs: expect.any(Number),
    version: expect.stringMatching(/^1[5-9]/),
    databaseBytes: expect.any(Number),
    connections: expect.any(Number),
    maxConnections: expect.any(Number),
    replicationSlots: expect.any(Number),
    maxReplicationSlots: expect.any(Number),
  });
});
