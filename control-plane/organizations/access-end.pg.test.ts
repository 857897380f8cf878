/** Whoever loses a role keeps nothing that it let him set or see. */
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from "vitest";
import { createRunningProject, type RunningProject } from "../testing/running-project.ts";
import {
  createTestControlPlane,
  insertTestAccount,
  insertTestMember,
  type TestAccount,
  type TestControlPlane,
} from "../testing/test-control-plane.ts";

let plane: TestControlPlane;
let project: RunningProject;
let developer: TestAccount;

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  project = await createRunningProject(plane);
});
afterAll(async () => {
  await project.remove();
  await plane[Symbol.asyncDispose]();
});
beforeEach(async () => {
  developer = await insertTestAccount(plane.database, "developer");
  await insertTestMember(plane.database, project.organizationId, developer, "developer");
});

const RUN = "mutation ($ref: ID!, $sql: String!) { runSql(input: {ref: $ref, sql: $sql}) { results { rows } } }";

function runSql(account: { token: string } | null, sql: string) {
  const client = account ? plane.client(account.token) : project.client;
  return client.request(RUN, { ref: project.ref, sql });
}

async function revealUrl(token?: string): Promise<string> {
  const client = token === undefined ? project.client : plane.client(token);
  return (await client.data(`mutation { revealDatabaseUrl(ref: "${project.ref}") }`)).revealDatabaseUrl;
}

/** The connection string with another password. */
function withPassword(url: string, password: string): string {
  const changed = new URL(url);
  changed.password = password;
  return changed.href;
}

/** An open session of the login, and whether it has been ended. */
async function openSession(connectionString: string) {
  const client = new pg.Client({ connectionString });
  const session = { client, ended: false };
  client.on("error", () => {
    session.ended = true;
  });
  client.on("end", () => {
    session.ended = true;
  });
  await client.connect();
  return session;
}

const mayLogIn = (connectionString: string) =>
  openSession(connectionString).then(
    async ({ client }) => {
      await client.end();
      return true;
    },
    () => false,
  );

/** A login that stops where the server has asked for the password, and goes on when it is told to. */
function holdBeforePassword(connectionString: string) {
  let onAsked = () => {};
  let give = (_password: string) => {};
  const asked = new Promise<void>((resolve) => {
    onAsked = resolve;
  });
  const password = new Promise<string>((resolve) => {
    give = resolve;
  });
  const { username, hostname, port, pathname } = new URL(connectionString);
  const client = new pg.Client({
    user: username,
    host: hostname,
    port: Number(port),
    database: pathname.slice(1),
    password: () => {
      onAsked();
      return password;
    },
  });
  const session = { ended: false };
  client.on("error", () => {
    session.ended = true;
  });
  client.on("end", () => {
    session.ended = true;
  });
  const connected = client.connect().catch(() => {
    session.ended = true;
  });
  return {
    asked,
    async finish() {
      give("hostile");
      await connected;
      await client.query("alter role current_user password 'hostile'").catch(() => {});
      return session;
    },
  };
}

const remove = (account: TestAccount) =>
  `mutation { removeMember(organizationId: "${project.organizationId}", accountId: "${account.id}") }`;
const setRole = (account: TestAccount, role: string) =>
  `mutation { changeMemberRole(organizationId: "${project.organizationId}", accountId: "${account.id}", role: ${role}) { role } }`;

describe("a developer who has given the database logins passwords of his own", () => {
  test.each([
    ["is removed", () => project.client.data(remove(developer))],
    ["becomes a viewer", () => project.client.data(setRole(developer, "VIEWER"))],
    ["leaves", () => plane.client(developer.token).data(remove(developer))],
    [
      "has his account deleted",
      async () => {
        const { instanceOwner } = await ownerSession();
        await plane.client(instanceOwner).data(`mutation { deleteAccount(accountId: "${developer.id}") }`);
      },
    ],
  ])("%s: his passwords and his sessions end with the role", async (_how, loseRole) => {
    const url = await revealUrl();
    const authenticatorUrl = withPassword(url, "hostile").replace("_user:", "_authenticator:");
    await runSql(
      developer,
      `alter role current_user password 'hostile';
       set role project_${project.ref}_authenticator;
       alter role project_${project.ref}_authenticator password 'hostile'`,
    );
    expect([await mayLogIn(withPassword(url, "hostile")), await mayLogIn(authenticatorUrl)]).toEqual([true, true]);
    const sessions = [await openSession(withPassword(url, "hostile")), await openSession(authenticatorUrl)];

    await loseRole();
    expect([await mayLogIn(withPassword(url, "hostile")), await mayLogIn(authenticatorUrl)]).toEqual([false, false]);
    expect(sessions.map(({ ended }) => ended)).toEqual([true, true]);
    expect(await mayLogIn(url)).toBe(true);
    expect((await runSql(null, "select 1 as one")).errors).toEqual([]);
    expect((await runSql(developer, "select 1 as one")).errors[0]?.extensions?.code).toMatch(
      /NOT_FOUND|FORBIDDEN|UNAUTHENTICATED/,
    );
  });

  test("cannot keep his password by sessions that set it again and again", async () => {
    const url = await revealUrl();
    await runSql(developer, "alter role current_user password 'hostile'");
    let going = true;
    const loops = Array.from({ length: 4 }, async () => {
      while (going) {
        const session = await openSession(withPassword(url, "hostile")).catch(() => null);
        while (going && session && !session.ended) {
          await session.client.query("alter role current_user password 'hostile'").catch(() => {});
          await new Promise((resume) => setImmediate(resume));
        }
        await session?.client.end().catch(() => {});
        await new Promise((resume) => setTimeout(resume, 1));
      }
    });
    await project.client.data(remove(developer));
    const kept = await mayLogIn(withPassword(url, "hostile"));
    going = false;
    await Promise.all(loops);
    expect([kept, await mayLogIn(url)]).toEqual([false, true]);
  });

  test("cannot come in later by an exchange that has begun with his password", async () => {
    const url = await revealUrl();
    await runSql(developer, "alter role current_user password 'hostile'");
    const held = holdBeforePassword(withPassword(url, "hostile"));
    await held.asked;
    await project.client.data(remove(developer));
    const session = await held.finish();
    expect(session.ended).toBe(false); // PostgreSQL still takes the password that held when the exchange began
    await plane.database.query("update login_resets set next_attempt_at = now()");
    await plane.controlPlane.services.loginResets.settle();
    await expect.poll(() => session.ended).toBe(true);
    expect([await mayLogIn(withPassword(url, "hostile")), await mayLogIn(url)]).toEqual([false, true]);
  });

  test("does not lock the owner's SQL runner out: it sets the stored password again where it meets another one", async () => {
    await runSql(developer, "alter role current_user password 'hostile'");
    expect((await runSql(null, "select 1 as one")).data.runSql.results[0].rows).toEqual([[1]]);
    await project.client.data(remove(developer));
  });

  test("has the script ended that he runs at that moment", async () => {
    const running = runSql(developer, "select pg_sleep(60)");
    await expect
      .poll(async () => {
        const rows = await plane.database.query("select from pg_stat_activity where query = 'select pg_sleep(60)'");
        return rows.length;
      })
      .toBe(1);
    await project.client.data(remove(developer));
    expect((await running).errors).toHaveLength(1);
  });
});

test("a reset that cannot be made at once is made when the project runs again", async () => {
  await plane.database.query("update projects set state = 'PAUSED' where ref = $1", [project.ref]);
  await project.client.data(remove(developer));
  const wishes = () =>
    plane.database.query("select from login_resets where project_ref = $1 and opened_at is null", [project.ref]);
  expect(await wishes()).toHaveLength(1);
  await plane.database.query("update projects set state = 'ACTIVE' where ref = $1", [project.ref]);
  await plane.controlPlane.services.loginResets.settle();
  expect(await wishes()).toHaveLength(0);
});

describe("an admin", () => {
  let admin: TestAccount;
  beforeEach(async () => {
    admin = await insertTestAccount(plane.database, "admin");
    await insertTestMember(plane.database, project.organizationId, admin, "admin");
  });

  test.each(["DEVELOPER", "VIEWER"])(
    "who has revealed the connection string and becomes %s does not know the password any more",
    async (role) => {
      const known = await revealUrl(admin.token);
      const reveal = `mutation { revealSecret(ref: "${project.ref}", name: "JWT_SECRET") }`;
      await plane.client(admin.token).data(reveal);
      await project.client.data(setRole(admin, role));
      expect(await mayLogIn(known)).toBe(false);
      expect(await mayLogIn(await revealUrl())).toBe(true);
      const [entry] = await plane.database.query(
        "select details from audit_log where action = 'member.access_end' and details ->> 'email' = $1",
        [admin.email],
      );
      expect(entry).toMatchObject({
        details: { newPasswords: [project.ref], stillKnown: [{ ref: project.ref, names: ["JWT_SECRET"] }] },
      });
    },
  );

  test("who has revealed nothing leaves the password as it is, so that applications go on", async () => {
    const before = await revealUrl();
    await project.client.data(remove(admin));
    expect(await revealUrl()).toBe(before);
  });

  test("who becomes an owner loses nothing, and nobody's sessions end", async () => {
    const session = await openSession(await revealUrl());
    await project.client.data(setRole(admin, "OWNER"));
    await session.client.query("select 1");
    expect(session.ended).toBe(false);
    await session.client.end();
  });
});

async function ownerSession() {
  const [row] = await plane.database.query<{ id: string }>("select id from accounts where is_instance_owner");
  const { createSession } = await import("../accounts/sessions.ts");
  const { token } = await plane.database.transaction((tx) => createSession(tx, row?.id ?? "", Date.now()));
  return { instanceOwner: { cookie: `supalove_session=${token}`, "x-supalove-client": "test" } };
}
