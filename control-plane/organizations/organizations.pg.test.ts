import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import type { Role } from "../permissions.ts";
import { GraphqlClient } from "../testing/graphql-client.ts";
import {
  createTestControlPlane,
  insertTestAccount,
  insertTestMember,
  type TestAccount,
  type TestControlPlane,
} from "../testing/test-control-plane.ts";

let plane: TestControlPlane;
let instanceOwner: TestAccount;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { provisioning: { concurrency: 0 } });
  instanceOwner = await insertTestAccount(plane.database, "instance-owner");
});
afterAll(() => plane[Symbol.asyncDispose]());

const as = (account: TestAccount) => plane.client(account.token);

async function newOrganization(owner: TestAccount, name = "Team"): Promise<{ id: string; slug: string }> {
  const { createOrganization } = await as(owner).data(
    "mutation C($name: String!) { createOrganization(name: $name) { id slug } }",
    { name },
  );
  return createOrganization;
}

const ADD = `mutation Add($organizationId: ID!, $email: String!, $role: Role!) {
  addMember(organizationId: $organizationId, email: $email, role: $role) {
    member { accountId role } invitation { id email role } invitationToken
  }
}`;
const CHANGE = `mutation Change($organizationId: ID!, $accountId: ID!, $role: Role!) {
  changeMemberRole(organizationId: $organizationId, accountId: $accountId, role: $role) { role }
}`;
const REMOVE = `mutation Remove($organizationId: ID!, $accountId: ID!) {
  removeMember(organizationId: $organizationId, accountId: $accountId)
}`;
const ACCEPT = "mutation Accept($token: String!) { acceptInvitation(token: $token) { id viewerRole } }";

async function teamOf(...roles: ("OWNER" | "ADMIN" | "DEVELOPER" | "VIEWER")[]) {
  const owner = await insertTestAccount(plane.database, "owner");
  const organization = await newOrganization(owner);
  const accounts: TestAccount[] = [];
  for (const role of roles) {
    const account = await insertTestAccount(plane.database, role.toLowerCase());
    await insertTestMember(plane.database, organization.id, account, role.toLowerCase() as Role);
    accounts.push(account);
  }
  return { owner, organizationId: organization.id, accounts };
}

test("an account owns no more organizations than it may, however many it asks for at once", async () => {
  const { url } = await plane.startAnother({ maxOrganizationsPerAccount: 3, provisioning: { concurrency: 0 } });
  const create = 'mutation { createOrganization(name: "Many") { id } }';
  const account = await insertTestAccount(plane.database);
  const ask = ({ token }: TestAccount) => new GraphqlClient(url, token).code(create);
  const codes = await Promise.all(Array.from({ length: 6 }, () => ask(account)));
  expect(codes.filter((code) => code === null)).toHaveLength(3);
  expect(codes.filter((code) => code === "CONFLICT")).toHaveLength(3);
  expect(await Promise.all(Array.from({ length: 4 }, () => ask(instanceOwner)))).toEqual([null, null, null, null]);
});

test("two organizations of one name get two slugs", async () => {
  const one = await newOrganization(instanceOwner, "Ünïcode & Söhne");
  const two = await newOrganization(instanceOwner, "Ünïcode & Söhne");
  expect(one.slug).toBe("unicode-sohne");
  expect(two.slug).toMatch(/^unicode-sohne-[0-9a-f]{8}$/);
});

describe("invitations", () => {
  test("let one address sign up where sign-up is closed, once", async () => {
    const { owner, organizationId } = await teamOf();
    const email = `new-${organizationId}@example.com`;
    const { addMember } = await as(owner).data(ADD, { organizationId, email, role: "DEVELOPER" });
    expect(addMember).toMatchObject({ member: null, invitation: { email, role: "DEVELOPER" } });
    const signUp = (address: string) =>
      plane.client().code("mutation S($input: SignUpInput!) { signUp(input: $input) { id } }", {
        input: { email: address, password: "long enough", invitationToken: addMember.invitationToken },
      });
    expect(await signUp("thief@example.com")).toBe("FORBIDDEN");
    expect(await signUp(email.toUpperCase())).toBeNull();
    const { organization } = await as(owner).data(
      "query O($id: ID!) { organization(id: $id) { invitations { id } members { totalCount edges { node { email role } } } } }",
      { id: organizationId },
    );
    expect(organization.invitations).toEqual([]);
    expect(organization.members.totalCount).toBe(2);
    expect(organization.members.edges).toContainEqual({ node: { email, role: "DEVELOPER" } });
    expect(await signUp(email)).toBe("FORBIDDEN");
  });

  test("inviting again replaces the token, and revoking ends it", async () => {
    const { owner, organizationId } = await teamOf();
    const invite = async () =>
      (await as(owner).data(ADD, { organizationId, email: "x@example.com", role: "VIEWER" })).addMember;
    const first = await invite();
    const second = await invite();
    expect(second.invitation.id).toBe(first.invitation.id);
    const account = await insertTestAccount(plane.database);
    await plane.database.query("update accounts set email = 'x@example.com' where id = $1", [account.id]);
    expect(await as(account).code(ACCEPT, { token: first.invitationToken })).toBe("NOT_FOUND");
    await as(owner).data(
      `mutation { revokeInvitation(organizationId: "${organizationId}", id: "${first.invitation.id}") }`,
    );
    expect(await as(account).code(ACCEPT, { token: second.invitationToken })).toBe("NOT_FOUND");
    const third = await invite();
    expect(await as(account).code(ACCEPT, { token: third.invitationToken })).toBeNull();
  });
});

test("of twenty who show one invitation at once, one is let in", async () => {
  const { owner, organizationId } = await teamOf();
  const account = await insertTestAccount(plane.database);
  const { addMember } = await as(owner).data(ADD, { organizationId, email: account.email, role: "VIEWER" });
  const token = addMember.invitationToken;
  const codes = await Promise.all(Array.from({ length: 20 }, () => as(account).code(ACCEPT, { token })));
  expect(codes.filter((code) => code === null)).toHaveLength(1);
  expect(codes.filter((code) => code === "NOT_FOUND")).toHaveLength(19);
});

describe("adding by address", () => {
  test("needs a token from strangers: an address proves nothing, and says nothing of who has an account", async () => {
    const { owner, organizationId } = await teamOf();
    const squatter = await insertTestAccount(plane.database, "squatter");
    const { addMember } = await as(owner).data(ADD, { organizationId, email: squatter.email, role: "ADMIN" });
    expect(addMember).toMatchObject({ member: null, invitation: { email: squatter.email } });
    expect(await as(squatter).code(`{ organization(id: "${organizationId}") { id } }`)).toBe("NOT_FOUND");
    expect((await as(squatter).data(ACCEPT, { token: addMember.invitationToken })).acceptInvitation).toEqual({
      id: organizationId,
      viewerRole: "ADMIN",
    });
  });

  test("is at once for whom one shares an organization with, and for the instance owner", async () => {
    const { owner, accounts } = await teamOf("DEVELOPER");
    const [colleague] = accounts as [TestAccount];
    const { id: second } = await newOrganization(owner, "Second");
    const added = (await as(owner).data(ADD, { organizationId: second, email: colleague.email, role: "VIEWER" }))
      .addMember;
    expect(added).toEqual({
      member: { accountId: colleague.id, role: "VIEWER" },
      invitation: null,
      invitationToken: null,
    });
    expect(await as(owner).code(ADD, { organizationId: second, email: colleague.email, role: "ADMIN" })).toBe(
      "CONFLICT",
    );
    const stranger = await insertTestAccount(plane.database);
    const byInstance = await as(instanceOwner).data(ADD, {
      organizationId: second,
      email: stranger.email,
      role: "VIEWER",
    });
    expect(byInstance.addMember.member.accountId).toBe(stranger.id);
  });
});

describe("roles", () => {
  test("an admin manages members but gives and takes no ownership", async () => {
    const { owner, organizationId, accounts } = await teamOf("ADMIN", "VIEWER");
    const [admin, viewer] = accounts as [TestAccount, TestAccount];
    expect(await as(admin).code(CHANGE, { organizationId, accountId: viewer.id, role: "ADMIN" })).toBeNull();
    expect(await as(admin).code(CHANGE, { organizationId, accountId: viewer.id, role: "OWNER" })).toBe("FORBIDDEN");
    expect(await as(admin).code(CHANGE, { organizationId, accountId: owner.id, role: "VIEWER" })).toBe("FORBIDDEN");
    expect(await as(admin).code(REMOVE, { organizationId, accountId: owner.id })).toBe("FORBIDDEN");
    expect(await as(admin).code(ADD, { organizationId, email: "o@example.com", role: "OWNER" })).toBe("FORBIDDEN");
    expect(await as(owner).code(CHANGE, { organizationId, accountId: viewer.id, role: "OWNER" })).toBeNull();
  });

  test("the last owner stays, even when two owners leave at the same moment", async () => {
    const { owner, organizationId, accounts } = await teamOf("OWNER");
    const [second] = accounts as [TestAccount];
    const codes = await Promise.all([
      as(owner).code(REMOVE, { organizationId, accountId: owner.id }),
      as(second).code(REMOVE, { organizationId, accountId: second.id }),
    ]);
    expect(codes.toSorted()).toEqual(["CONFLICT", null]);
    const [row] = await plane.database.query<{ account: string }>(
      "select account_id as account from memberships where organization_id = $1",
      [organizationId],
    );
    expect(row?.account).toBe(codes[0] === null ? second.id : owner.id);
  });

  test("anybody may leave, and is a stranger afterwards", async () => {
    const { organizationId, accounts } = await teamOf("VIEWER");
    const [viewer] = accounts as [TestAccount];
    expect(await as(viewer).code(REMOVE, { organizationId, accountId: viewer.id })).toBeNull();
    expect(await as(viewer).code(`{ organization(id: "${organizationId}") { id } }`)).toBe("NOT_FOUND");
  });

  test("what is not there and what is not yours look alike", async () => {
    const { organizationId } = await teamOf();
    const stranger = await insertTestAccount(plane.database);
    for (const id of [organizationId, "00000000-0000-4000-8000-000000000000", "no uuid", "'; drop table accounts"]) {
      const { errors } = await as(stranger).request("query O($id: ID!) { organization(id: $id) { id } }", { id });
      expect(errors[0]).toMatchObject({ message: "organization not found", extensions: { code: "NOT_FOUND" } });
    }
  });
});

describe("deleting", () => {
  test("waits for the projects, and leaves their tombstones for gateways", async () => {
    const { owner, organizationId } = await teamOf();
    const remove = `mutation { deleteOrganization(id: "${organizationId}") }`;
    const { createProject } = await as(owner).data(
      `mutation { createProject(input: {organizationId: "${organizationId}", name: "App"}) { ref } }`,
    );
    expect(await as(owner).code(remove)).toBe("CONFLICT");
    await plane.database.query("update projects set state = 'DELETED', deleted_at = now() where ref = $1", [
      createProject.ref,
    ]);
    expect(await as(owner).code(remove)).toBeNull();
    const tombstones = await plane.database.query("select from projects where ref = $1 and organization_id is null", [
      createProject.ref,
    ]);
    expect(tombstones).toHaveLength(1);
    expect(await as(owner).code(`{ organization(id: "${organizationId}") { id } }`)).toBe("NOT_FOUND");
  });
});

test("pages of members follow one another in both directions", async () => {
  const { owner, organizationId } = await teamOf("VIEWER", "VIEWER", "VIEWER", "VIEWER");
  const page = (args: string) =>
    as(owner)
      .data(`{ organization(id: "${organizationId}") { members(${args}) {
        edges { cursor node { email } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }`)
      .then((data) => data.organization.members);
  const all = (await page("first: 10")).edges.map(({ node }: { node: { email: string } }) => node.email);
  expect(all).toEqual([...all].sort());
  const first = await page("first: 2");
  expect(first.pageInfo).toMatchObject({ hasNextPage: true, hasPreviousPage: false });
  const second = await page(`first: 2, after: "${first.pageInfo.endCursor}"`);
  const back = await page(`last: 2, before: "${second.pageInfo.startCursor}"`);
  expect([...first.edges, ...second.edges].map((edge) => edge.node.email)).toEqual(all.slice(0, 4));
  expect(back.edges).toEqual(first.edges);
  expect(
    await as(owner).code(`{ organization(id: "${organizationId}") { members(first: 1000) { totalCount } } }`),
  ).toBe("INVALID_INPUT");
});

test("the audit log tells who did what to whom, without tokens", async () => {
  const { owner, organizationId } = await teamOf();
  const person = await insertTestAccount(plane.database);
  const { addMember } = await as(owner).data(ADD, { organizationId, email: person.email, role: "DEVELOPER" });
  await as(person).data(ACCEPT, { token: addMember.invitationToken });
  await as(owner).data(ADD, { organizationId, email: "later@example.com", role: "ADMIN" });
  const { organization } = await as(owner).data(
    `{ organization(id: "${organizationId}") { auditLog(first: 10) { totalCount edges { node { actor action details ipAddress } } } } }`,
  );
  const entries = organization.auditLog.edges.map(({ node }: { node: Record<string, unknown> }) => node);
  expect(entries.map(({ action }: { action: string }) => action)).toEqual([
    "invitation.create",
    "invitation.accept",
    "invitation.create",
    "organization.create",
  ]);
  expect(entries[0]).toMatchObject({
    actor: owner.email,
    details: { email: "later@example.com", role: "admin" },
    ipAddress: "127.0.0.1",
  });
  expect(JSON.stringify(entries)).not.toMatch(/sbinv_|sbp_/);
});
