import bcrypt from "bcryptjs";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { parseClusterUrl } from "../../clusters/cluster-connections.ts";
import { ProjectBusy } from "../../errors.ts";
import { createLogger } from "../../logger.ts";
import { createProvisioner } from "../provisioner.ts";
import { type ProvisioningHarness, startProvisioning } from "../testing/provisioning-harness.ts";
import { startSeverableProxy } from "../testing/severable-proxy.ts";
import { listLeftovers, recordLeftover, removeLeftovers } from "./leftovers.ts";

let harness: ProvisioningHarness;
const address = parseClusterUrl(inject("clusterUrl"));

beforeAll(async () => {
  harness = await startProvisioning(inject("clusterUrl"));
});
afterAll(() => harness[Symbol.asyncDispose]());

async function connect(ref: string, login: "POSTGRES" | "AUTHENTICATOR" = "POSTGRES"): Promise<pg.Client> {
  const secrets = await harness.vault.getAll(harness.database, ref);
  const client = new pg.Client({
    host: address.host,
    port: address.port,
    database: secrets.get("POSTGRES_DB") ?? "",
    user: secrets.get(`${login}_USER`) ?? "",
    password: secrets.get(`${login}_PASSWORD`) ?? "",
  });
  client.on("error", () => {}); // some tests end its session
  await client.connect();
  return client;
}

describe("create", () => {
  test("the project's user owns its database, and nobody's else", async () => {
    const ref = await harness.createProject();
    const client = await connect(ref);
    const { rows } = await client.query("select current_database() as database, current_user as user");
    await client.end();
    expect(rows).toEqual([{ database: `project_${ref}`, user: `project_${ref}_user` }]);
  });

  test("without a first user when none is wanted: the first to sign up finds an empty table", async () => {
    const ref = await harness.createProject(false);
    const secrets = await harness.vault.getAll(harness.database, ref);
    expect([...secrets.keys()].filter((name) => name.startsWith("ADMIN_"))).toEqual([]);
    const client = await connect(ref);
    const { rows } = await client.query("select count(*)::int as users from auth.users");
    await client.end();
    expect(rows).toEqual([{ users: 0 }]);
  });

  test("the first user has the owner's e-mail and the one-time password, and is confirmed", async () => {
    const ref = await harness.createProject();
    const secrets = await harness.vault.getAll(harness.database, ref);
    expect(secrets.get("ADMIN_TEMP_PASSWORD")).toMatch(/^[2-9a-zA-Z]{16}$/);
    expect(secrets.get("ADMIN_EMAIL")).toBe(harness.ownerEmail);
    const client = await connect(ref);
    const { rows } = await client.query(`
      select u.email, u.role, u.aud, u.encrypted_password as hash, u.raw_app_meta_data as app, i.provider,
        u.email_confirmed_at is not null as confirmed, i.provider_id = u.id::text as linked
      from auth.users u join auth.identities i on i.user_id = u.id`);
    await client.end();
    expect(rows).toEqual([
      {
        email: harness.ownerEmail,
        role: "authenticated",
        aud: "authenticated",
        hash: expect.stringMatching(/^\$2b\$04\$/),
        app: { provider: "email", providers: ["email"], role: "admin" },
        provider: "email",
        confirmed: true,
        linked: true,
      },
    ]);
    expect(bcrypt.compareSync(secrets.get("ADMIN_TEMP_PASSWORD") ?? "", rows[0].hash)).toBe(true);
  });

  test("passwords, keys and JWT secret are the project's own", async () => {
    const [one, two] = await Promise.all([harness.createProject(), harness.createProject()]);
    const [first, second] = await Promise.all([one, two].map((ref) => harness.vault.getAll(harness.database, ref)));
    const shared = [...(first ?? [])].filter(([name, value]) => second?.get(name) === value).map(([name]) => name);
    expect(shared).toEqual(["ADMIN_EMAIL"]);
  });

  test("every step may run twice", async () => {
    const ref = await harness.createProject();
    const before = await harness.vault.getAll(harness.database, ref);
    const project = {
      ref,
      organizationId: harness.organizationId,
      plan: "shared",
      clusterId: harness.clusterId,
    } as const;
    for (const step of harness.runtime.steps("create", project)) {
      await step.run(new AbortController().signal);
      await step.run(new AbortController().signal);
    }
    expect(await harness.vault.getAll(harness.database, ref)).toEqual(before);
    const client = await connect(ref);
    const { rows } = await client.query("select count(*)::int as users from auth.users");
    await client.end();
    expect(rows).toEqual([{ users: 1 }]);
  });

  test("20 at once all become ACTIVE", async () => {
    const refs = await Promise.all(Array.from({ length: 20 }, () => harness.createProject()));
    expect(new Set(refs).size).toBe(20);
    await Promise.all(refs.map((ref) => harness.begin(ref, "delete")));
    await Promise.all(refs.map((ref) => harness.untilSettled(ref, "DELETED")));
    for (const ref of refs) expect(await harness.leftovers(ref)).toEqual([]);
  });

  test("a cluster takes no more projects than its capacity, however many come at once", async () => {
    const [row] = await harness.database.query<{ projects: number }>(
      "select count(*) as projects from projects where cluster_id is not null",
    );
    await harness.database.query("update clusters set capacity = $1", [(row?.projects ?? 0) + 2]);
    try {
      const refs = await Promise.all(Array.from({ length: 5 }, () => harness.beginCreate()));
      const results = await Promise.allSettled(refs.map((ref) => harness.untilSettled(ref, "ACTIVE")));
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
      const refused = results.flatMap((result) => (result.status === "rejected" ? [String(result.reason)] : []));
      expect(refused).toHaveLength(3);
      for (const reason of refused) expect(reason).toContain("No database cluster has room for another project.");
    } finally {
      await harness.database.query("update clusters set capacity = 10000");
    }
  });
});

describe("pause, resume, restart", () => {
  test("a paused project ends its sessions and lets nobody in until it is resumed", async () => {
    const ref = await harness.createProject();
    const client = await connect(ref);
    await harness.begin(ref, "pause");
    await harness.untilSettled(ref, "PAUSED");
    await expect(client.query("select 1")).rejects.toThrow();
    await expect(connect(ref)).rejects.toThrow(/not permitted to log in/);
    await expect(connect(ref, "AUTHENTICATOR")).rejects.toThrow(/not permitted to log in/);
    await harness.begin(ref, "resume");
    await harness.untilSettled(ref, "ACTIVE");
    const again = await connect(ref);
    expect((await again.query("select count(*)::int as users from auth.users")).rows).toEqual([{ users: 1 }]);
    await again.end();
  });

  test("a restart ends the sessions and takes new ones", async () => {
    const ref = await harness.createProject();
    const client = await connect(ref);
    await harness.begin(ref, "restart");
    await harness.untilSettled(ref, "ACTIVE");
    await expect(client.query("select 1")).rejects.toThrow();
    await (await connect(ref)).end();
  });
});

describe("a tenant that has changed the passwords of his logins", () => {
  async function lockOut(ref: string): Promise<void> {
    const tenant = await connect(ref);
    await tenant.query(`alter role current_user password 'his own'; set role project_${ref}_authenticator;
      alter role current_user password 'his own'; reset role`);
    await tenant.end();
    for (const login of ["POSTGRES", "AUTHENTICATOR"] as const)
      await expect(connect(ref, login)).rejects.toMatchObject({ code: "28P01" });
  }
  const untilAllEnter = async (ref: string) => {
    await harness.untilSettled(ref, "ACTIVE");
    for (const login of ["POSTGRES", "AUTHENTICATOR"] as const) await (await connect(ref, login)).end();
  };

  test("a restart sets them again", async () => {
    const ref = await harness.createProject();
    await lockOut(ref);
    await harness.begin(ref, "restart");
    await untilAllEnter(ref);
  });

  test("pause and resume set them again", async () => {
    const ref = await harness.createProject();
    await lockOut(ref);
    await harness.begin(ref, "pause");
    await harness.untilSettled(ref, "PAUSED");
    await harness.begin(ref, "resume");
    await untilAllEnter(ref);
  });

  test("a retry sets them again", async () => {
    const ref = await harness.createProject();
    await lockOut(ref);
    await harness.database.query("update projects set state = 'FAILED' where ref = $1", [ref]);
    await harness.retry(ref);
    await untilAllEnter(ref);
  });
});

describe("delete", () => {
  test("leaves nothing, though somebody is connected and holds a replication slot", async () => {
    const ref = await harness.createProject();
    await connect(ref);
    await harness.clusters.withProjectAdmin(harness.clusterId, `project_${ref}`, (session) =>
      session.query("select pg_create_logical_replication_slot($1, 'pgoutput')", [`slot_${ref}`]),
    );
    await harness.begin(ref, "delete");
    await harness.untilSettled(ref, "DELETED");
    expect(await harness.leftovers(ref)).toEqual([]);
    const [tombstone] = await harness.database.query(
      "select state, deleted_at, settings from projects where ref = $1",
      [ref],
    );
    expect(tombstone).toEqual({ state: "DELETED", deleted_at: expect.any(Date), settings: {} });
  });

  test("a project that was never placed is deleted too", async () => {
    await harness.database.query("update clusters set capacity = 0");
    const ref = await harness.beginCreate();
    await harness.untilSettled(ref, "FAILED");
    await harness.database.query("update clusters set capacity = 10000");
    await harness.begin(ref, "delete");
    await harness.untilSettled(ref, "DELETED");
    expect(await harness.leftovers(ref)).toEqual([]);
  });

  test("is refused while the creation runs", async () => {
    const ref = await harness.beginCreate();
    await expect(harness.begin(ref, "delete")).rejects.toThrow(ProjectBusy);
    await harness.untilSettled(ref, "ACTIVE");
  });
});

describe("a cluster that is away", () => {
  const IMPATIENT = { maxAttempts: 2, baseDelayMs: 5, maxDelayMs: 10 };

  test("a creation fails with a reason for people, and its retry completes it when the cluster is back", async () => {
    await using proxy = await startSeverableProxy(address);
    await using faraway = await startProvisioning(
      inject("clusterUrl"),
      { retry: IMPATIENT },
      { ...address, host: "127.0.0.1", port: proxy.port },
    );
    proxy.sever();
    const ref = await faraway.beginCreate();
    const project = await faraway.untilSettled(ref, "FAILED");
    expect(project?.stateReason).toBe("The database cluster could not be reached. Retry when it is back.");
    proxy.mend();
    await faraway.retry(ref);
    await faraway.untilSettled(ref, "ACTIVE");
  });

  test("a deletion that could not reach it is done again later, and leaves nothing", async () => {
    await using proxy = await startSeverableProxy(address);
    await using faraway = await startProvisioning(
      inject("clusterUrl"),
      { retry: IMPATIENT },
      { ...address, host: "127.0.0.1", port: proxy.port },
    );
    const ref = await faraway.createProject();
    proxy.sever();
    await faraway.begin(ref, "delete");
    await faraway.untilSettled(ref, "FAILED");
    proxy.mend();
    await faraway.begin(ref, "delete");
    await faraway.untilSettled(ref, "DELETED");
    expect(await faraway.leftovers(ref)).toEqual([]);
  });

  test("a deletion by force leaves behind what it cannot reach, and removes it when the cluster is back", async () => {
    await using proxy = await startSeverableProxy(address);
    await using faraway = await startProvisioning(
      inject("clusterUrl"),
      { retry: IMPATIENT, tidyMs: 20 },
      { ...address, host: "127.0.0.1", port: proxy.port },
    );
    const ref = await faraway.createProject();
    await expect(faraway.begin(ref, "abandon")).rejects.toThrow("whose deletion has failed");
    proxy.sever();
    await faraway.begin(ref, "delete");
    await faraway.untilSettled(ref, "FAILED");
    await faraway.begin(ref, "abandon");
    await faraway.untilSettled(ref, "DELETED");
    expect(await listLeftovers(faraway.database, faraway.clusterId)).toEqual([ref]);
    const secrets = await faraway.database.query("select from project_secrets where project_ref = $1", [ref]);
    expect(secrets).toEqual([]);
    proxy.mend();
    await vi.waitFor(async () => expect(await listLeftovers(faraway.database, faraway.clusterId)).toEqual([]), {
      timeout: 20_000,
    });
    expect(await faraway.leftovers(ref)).toEqual([]);
  });

  test("a deletion by force that reaches the cluster leaves nothing behind", async () => {
    const ref = await harness.createProject();
    await harness.database.query(
      "insert into operations (project_ref, kind, state, finished_at) values ($1, 'delete', 'failed', clock_timestamp())",
      [ref],
    );
    await harness.database.query("update projects set state = 'FAILED' where ref = $1", [ref]);
    await harness.begin(ref, "abandon");
    await harness.untilSettled(ref, "DELETED");
    expect(await harness.leftovers(ref)).toEqual([]);
    expect(await listLeftovers(harness.database, harness.clusterId)).toEqual([]);
  });

  test("a project that lives is never taken for a leftover", async () => {
    const ref = await harness.createProject();
    await recordLeftover(harness.database, ref, harness.clusterId);
    await removeLeftovers(harness.database, harness.clusters, createLogger("silent"));
    await (await connect(ref)).end();
    await harness.database.query("delete from leftovers");
  });

  test("a cluster that is back in time is not noticed", async () => {
    await using proxy = await startSeverableProxy(address);
    await using faraway = await startProvisioning(
      inject("clusterUrl"),
      {},
      {
        ...address,
        host: "127.0.0.1",
        port: proxy.port,
      },
    );
    await faraway.createProject();
    proxy.sever();
    const ref = await faraway.beginCreate();
    const retried = faraway.events.subscribe((event) => event.topic === "operation" && event.ref === ref);
    for (let begun = 0; begun < 4; begun++) await retried.next(); // place, secrets, roles, roles again
    await retried.return();
    proxy.mend();
    await faraway.untilSettled(ref, "ACTIVE");
  });
});

test("the retry of a half-made project runs none of the tenant's code as superuser", async () => {
  const ref = await harness.createProject();
  const tenant = await connect(ref);
  await tenant.query(`
    create function public.spy() returns trigger language plpgsql as $$ begin
      reset role;
      insert into public.seen values (current_user, session_user);
      return new;
    end $$;
    create table public.seen (who text, login text);
    grant all on public.seen to public;
    grant usage on schema public to public;
    delete from auth.users;
    create trigger spy before insert on auth.users for each row execute function public.spy();`);
  await harness.database.query("update projects set state = 'FAILED' where ref = $1", [ref]);
  await harness.retry(ref);
  await harness.untilSettled(ref, "ACTIVE");
  const { rows } = await tenant.query("select * from public.seen");
  await tenant.end();
  expect(rows).toEqual([{ who: expect.not.stringMatching(/supabase_admin/), login: `project_${ref}_authenticator` }]);
});

test("an instance that starts brings the projects of another version of sql/project to its own", async () => {
  const ref = await harness.createProject();
  const current = (await harness.untilSettled(ref, "ACTIVE"))?.templateVersion;
  await harness.database.query("update projects set template_version = 1 where ref = $1", [ref]);
  const { database, events, runtime } = harness;
  const another = createProvisioner({
    database,
    events,
    runtimes: { shared: runtime },
    logger: createLogger("silent"),
  });
  const ended = events.subscribe((event) => event.topic === "operation" && event.ref === ref && event.step === null);
  await another.start();
  await ended.next();
  await another.stop();
  expect((await harness.untilSettled(ref, "ACTIVE"))?.templateVersion).toBe(current);
});
