import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { GraphqlClient } from "../testing/graphql-client.ts";
import {
  createTestControlPlane,
  insertTestAccount,
  insertTestMember,
  type TestAccount,
  type TestControlPlane,
} from "../testing/test-control-plane.ts";

let plane: TestControlPlane;
let owner: TestAccount;
let client: GraphqlClient;
let organizationId: string;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"), { maxProjectsPerOrganization: 5 });
  await insertTestAccount(plane.database, "instance-owner");
  owner = await insertTestAccount(plane.database, "owner");
  client = plane.client(owner.token);
  organizationId = await newOrganization();
});
afterAll(async () => {
  // Databases and roles of projects live in the run's cluster, not in this file's database.
  const live = () =>
    plane.database.query<{ ref: string }>(
      "select ref from projects where deleted_at is null and cluster_id is not null",
    );
  for (const { ref } of await live()) await client.request(`mutation { deleteProject(ref: "${ref}") { ref } }`);
  await vi.waitFor(async () => expect(await live()).toEqual([]), { timeout: 20_000 });
  await plane[Symbol.asyncDispose]();
});

async function newOrganization(): Promise<string> {
  return (await client.data('mutation { createOrganization(name: "Team") { id } }')).createOrganization.id;
}

async function createProject(name = "App", organization = organizationId): Promise<string> {
  const { createProject } = await client.data(
    "mutation C($input: CreateProjectInput!) { createProject(input: $input) { ref state } }",
    { input: { organizationId: organization, name } },
  );
  expect(createProject.state).toBe("CREATING");
  return createProject.ref;
}

/** The states that are pushed until `last`, without repetitions. */
async function states(ref: string, last: string, as = client): Promise<string[]> {
  const seen: string[] = [];
  for await (const { data } of as.subscribe(`subscription { projectStatus(ref: "${ref}") { state stateReason } }`)) {
    const { state, stateReason } = data.projectStatus;
    if (state === "FAILED" && last !== "FAILED") throw new Error(stateReason);
    if (seen.at(-1) !== state) seen.push(state);
    if (state === last) break;
  }
  return seen;
}

test("a deletion by force is the owner's, and only after an ordinary one has failed", async () => {
  const force = (ref: string) => `mutation { deleteProject(ref: "${ref}", force: true) { state } }`;
  const organization = await newOrganization();
  const ref = await createProject("Gone", organization);
  await states(ref, "ACTIVE");
  const admin = await insertTestAccount(plane.database, "admin");
  await insertTestMember(plane.database, organization, admin, "admin");
  expect(await plane.client(admin.token).code(force(ref))).toBe("FORBIDDEN");
  expect(await client.code(force(ref))).toBe("CONFLICT");
  await plane.database.query("update projects set state = 'FAILED' where ref = $1", [ref]); // by its creation
  expect(await client.code(force(ref))).toBe("CONFLICT");
  await plane.database.query(
    "insert into operations (project_ref, kind, state, finished_at) values ($1, 'delete', 'failed', clock_timestamp())",
    [ref],
  );
  expect(await plane.client(admin.token).code(force(ref))).toBe("FORBIDDEN");
  expect(await client.code(force(ref))).toBeNull();
  expect((await states(ref, "DELETED")).at(-1)).toBe("DELETED");
});

describe("the life of a project", () => {
  test("is created, paused, resumed, restarted and deleted, and every state is pushed", async () => {
    const ref = await createProject("First");
    expect(ref).toMatch(/^[a-z]{20}$/);
    expect((await states(ref, "ACTIVE")).at(-1)).toBe("ACTIVE");
    for (const [mutation, during, after] of [
      ["pauseProject", "PAUSING", "PAUSED"],
      ["resumeProject", "RESUMING", "ACTIVE"],
      ["restartProject", "RESTARTING", "ACTIVE"],
      ["deleteProject", "DELETING", "DELETED"],
    ] as const) {
      const pushed = states(ref, after === "ACTIVE" && during === "RESTARTING" ? "RESTARTING" : after);
      const answer = await client.data(`mutation { ${mutation}(ref: "${ref}") { state } }`);
      expect(answer[mutation].state).toBe(during);
      expect(await pushed).toContain(during);
      if (during !== "DELETING") await states(ref, after);
    }
    expect(await client.code(`{ project(ref: "${ref}") { ref } }`)).toBe("NOT_FOUND");
  });

  test("gives its people URLs, and admins a connection string that works", async () => {
    const ref = await createProject("Second");
    await states(ref, "ACTIVE");
    const { project } = await client.data(
      `{ project(ref: "${ref}") { url hostUrl plan organization { id } database { host port name user }
         operations { kind state step completedSteps error } } }`,
    );
    expect(project).toMatchObject({
      url: `http://localhost:8083/projects/${ref}`,
      hostUrl: `http://${ref}.localhost:8083`,
      plan: "SHARED",
      organization: { id: organizationId },
      database: { name: `project_${ref}`, user: `project_${ref}_user` },
      operations: [{ kind: "CREATE", state: "SUCCEEDED", step: null, error: null }],
    });
    const { revealDatabaseUrl } = await client.data(`mutation { revealDatabaseUrl(ref: "${ref}") }`);
    const connection = new pg.Client({ connectionString: revealDatabaseUrl });
    await connection.connect();
    const { rows } = await connection.query("select current_database() as database, current_user as user");
    await connection.end();
    expect(rows).toEqual([{ database: `project_${ref}`, user: `project_${ref}_user` }]);
    const { auditLog } = (
      await client.data(`{ project(ref: "${ref}") { auditLog { edges { node { action details } } } } }`)
    ).project;
    const entries = auditLog.edges.map(({ node }: { node: unknown }) => node);
    expect(entries).toContainEqual({ action: "project.reveal_database_url", details: {} });
    expect(JSON.stringify(entries)).not.toContain(new URL(revealDatabaseUrl).password);
  });

  test("an operation that the state does not allow is a conflict, one beside another is busy", async () => {
    const ref = await createProject("Third");
    expect(await client.code(`mutation { pauseProject(ref: "${ref}") { ref } }`)).toBe("PROJECT_BUSY");
    await states(ref, "ACTIVE");
    expect(await client.code(`mutation { resumeProject(ref: "${ref}") { ref } }`)).toBe("CONFLICT");
    expect(await client.code(`mutation { retryProject(ref: "${ref}") { ref } }`)).toBe("CONFLICT");
  });

  test("a dedicated project is refused in words as long as nothing here runs them", async () => {
    const { errors } = await client.request(
      `mutation { createProject(input: {organizationId: "${organizationId}", name: "Big", plan: DEDICATED}) { ref } }`,
    );
    expect(errors[0]?.extensions?.code).toBe("UNSUPPORTED");
    const rows = await plane.database.query("select from projects where plan = 'dedicated'");
    expect(rows).toEqual([]);
  });
});

describe("lists", () => {
  test("are searched, filtered and read page by page, newest first", async () => {
    const organization = await newOrganization();
    await plane.database.query(
      `insert into projects (ref, organization_id, name, plan, state, created_at)
       select lpad(chr(96 + n), 20, 'x'), $1, 'App ' || n || case when n = 3 then ' 100%' else '' end, 'shared',
         case when n = 2 then 'PAUSED' else 'ACTIVE' end, '2026-01-01'::timestamptz + (n / 2) * interval '1 microsecond'
       from generate_series(1, 5) n`,
      [organization],
    );
    const list = async (args: string) => {
      const { projects } = await client.data(
        `{ projects(organizationId: "${organization}", ${args}) { totalCount edges { node { name } } pageInfo { endCursor hasNextPage } } }`,
      );
      return { ...projects, names: projects.edges.map(({ node }: { node: { name: string } }) => node.name) };
    };
    // Rows 2 and 3, and 4 and 5, are of the same microsecond: the ref decides.
    expect((await list("first: 10")).names).toEqual(["App 5", "App 4", "App 3 100%", "App 2", "App 1"]);
    const first = await list("first: 3");
    expect(first).toMatchObject({ totalCount: 5, pageInfo: { hasNextPage: true } });
    expect((await list(`first: 3, after: "${first.pageInfo.endCursor}"`)).names).toEqual(["App 2", "App 1"]);
    expect((await list("states: [PAUSED]")).names).toEqual(["App 2"]);
    expect((await list('search: "app 3"')).names).toEqual(["App 3 100%"]);
    expect((await list('search: "%"')).names).toEqual(["App 3 100%"]);
    expect((await list(`search: "${"x".repeat(19)}a"`)).names).toEqual(["App 1"]);
    expect((await list('after: "no such cursor"')).names).toEqual([]);
    await plane.database.query("delete from projects where organization_id = $1", [organization]);
  });

  test("are pushed: all projects first, then what has changed", async () => {
    const organization = await newOrganization();
    const stream = client.subscribe(`subscription { projects(organizationId: "${organization}") { ref name state } }`);
    expect((await stream.next()).value.data.projects).toEqual([]);
    const ref = await createProject("Listed", organization);
    const seen: { ref: string; name: string; state: string }[] = [];
    for await (const { data } of stream) {
      seen.push(...data.projects);
      if (seen.at(-1)?.state === "ACTIVE") break;
    }
    expect(seen.every((project) => project.ref === ref)).toBe(true);
    const renamed = client.subscribe(`subscription { projects(organizationId: "${organization}") { name } }`);
    await renamed.next();
    await client.data(`mutation { renameProject(ref: "${ref}", name: "Renamed") { name } }`);
    expect((await renamed.next()).value.data.projects).toEqual([{ name: "Renamed" }]);
    await renamed.return(undefined);
  });

  test("end where the organization's limit is", async () => {
    const { controlPlane, url } = await plane.startAnother({ maxProjectsPerOrganization: 0 });
    const response = await fetch(`${url}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${owner.token}` },
      body: JSON.stringify({
        query: `mutation { createProject(input: {organizationId: "${organizationId}", name: "More"}) { ref } }`,
      }),
    });
    const { errors } = (await response.json()) as { errors: { extensions: { code: string } }[] };
    expect(errors[0]?.extensions.code).toBe("CONFLICT");
    await controlPlane.close();
  });
});

describe("a subscription ends", () => {
  async function watcher() {
    const organization = await newOrganization();
    const member = await insertTestAccount(plane.database, "member");
    await insertTestMember(plane.database, organization, member, "viewer");
    const stream = plane
      .client(member.token)
      .subscribe(`subscription { projects(organizationId: "${organization}") { ref } }`);
    await stream.next();
    return { organization, member, stream };
  }

  test("when its member is removed", async () => {
    const { organization, member, stream } = await watcher();
    await client.data(`mutation { removeMember(organizationId: "${organization}", accountId: "${member.id}") }`);
    expect((await stream.next()).done).toBe(true);
  });

  test("when its access token is revoked", async () => {
    const { member, stream } = await watcher();
    const { viewer } = await plane.client(member.token).data("{ viewer { accessTokens { id } } }");
    await plane.client(member.token).data(`mutation { revokeAccessToken(id: "${viewer.accessTokens[0].id}") }`);
    expect((await stream.next()).done).toBe(true);
  });

  test("when its session is signed out", async () => {
    const organization = await newOrganization();
    const browser = plane.client(owner.session);
    const stream = browser.subscribe(`subscription { projects(organizationId: "${organization}") { ref } }`);
    await stream.next();
    await browser.data("mutation { signOut }");
    expect((await stream.next()).done).toBe(true);
  });

  test("when its reader goes away, and lets go of the events", async () => {
    const { stream } = await watcher();
    await stream.return(undefined);
    const openNow = async () => {
      const metrics = await (await fetch(`${plane.url}/metrics`)).text();
      return /graphql_subscriptions\{field="projects"\} (\d+)/.exec(metrics)?.[1];
    };
    await expect.poll(openNow).toBe("0");
  });
});

describe("two instances on one database", () => {
  test("push what the other one did, and share the work of provisioning", async () => {
    const other = await plane.startAnother();
    const organization = await newOrganization();
    const elsewhere = new GraphqlClient(other.url, owner.token);
    const stream = elsewhere.subscribe(`subscription { projects(organizationId: "${organization}") { ref state } }`);
    await stream.next();
    const refs = await Promise.all([1, 2, 3, 4].map((n) => createProject(`Shared ${n}`, organization)));
    const active = new Set<string>();
    for await (const { data } of stream) {
      for (const { ref, state } of data.projects) {
        expect(state).not.toBe("FAILED");
        if (state === "ACTIVE") active.add(ref);
      }
      if (active.size === refs.length) break;
    }
    expect([...active].sort()).toEqual(refs.sort());
    const runs = await plane.database.query<{ runs: number }>(
      "select count(*) as runs from operations where project_ref = any ($1) group by project_ref",
      [refs],
    );
    expect(runs).toEqual(refs.map(() => ({ runs: 1 })));
    await other.controlPlane.close();
    expect(await client.code(`{ project(ref: "${refs[0]}") { state } }`)).toBeNull();
  });
});
