/** The shared stack by `docker compose up -d`, as an operator uses it; one stack for all tests of the file, in order. */
import { createClient } from "@supabase/supabase-js";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type ComposeOwner, cli, compose, docker, dockerOk, firstRun } from "../harness/compose-stack.ts";
import type { CreatedProject } from "../harness/standalone.ts";

const CONTAINERS = [
  "supalove_control_plane",
  "supalove_shared_api",
  "supalove_shared_auth",
  "supalove_shared_gateway_v3",
  "supalove_shared_postgres",
  "supalove_shared_realtime",
  "supalove_shared_storage",
];

let owner: ComposeOwner;
let project: CreatedProject;

beforeAll(async () => {
  await compose(["up", "-d", "--wait"]);
  owner = await firstRun();
  project = JSON.parse(await cli(owner, ["project", "create", "--name", "kept", "--json"]));
  await cli(owner, ["project", "sql", project.ref, KEPT_TABLE]);
  await untilServed();
});

afterAll(async () => {
  await compose(["down", "-v", "--remove-orphans"], ["docker-compose.scale.yml"]);
  expect(await dockerOk(["volume", "ls", "--quiet"])).toBe("");
});

const KEPT_TABLE = `
create table kept (id int primary key);
insert into kept values (1), (2), (3);
grant select on kept to anon;`;

/** Through gateway, REST and PostgreSQL: three rows. */
async function untilServed(): Promise<void> {
  const client = createClient(project.url, project.anonKey, { auth: { persistSession: false } });
  await vi.waitFor(async () => expect((await client.from("kept").select("id")).data).toHaveLength(3), {
    timeout: 60_000,
    interval: 100,
  });
}

describe("the stack as an operator meets it", () => {
  test("everything runs under its documented name and is healthy", async () => {
    const lines = (await dockerOk(["ps", "--format", "{{.Names}} {{.Status}}"])).split("\n").sort();
    expect(lines.map((line) => line.split(" ")[0])).toEqual(CONTAINERS);
    for (const line of lines) expect(line).toContain("(healthy)");
  });

  test("only the gateway is published beyond this machine", async () => {
    const ports = await dockerOk(["ps", "--format", "{{.Names}}={{.Ports}}"]);
    const published = ports
      .split("\n")
      .filter((line) => line.includes("->"))
      .sort();
    expect(published).toEqual(
      [
        "supalove_control_plane=127.0.0.1:8000->8000/tcp",
        "supalove_shared_gateway_v3=0.0.0.0:8083->8083/tcp",
        "supalove_shared_postgres=127.0.0.1:5435->5432/tcp",
      ].map((line) => expect.stringContaining(line)),
    );
  });

  test("no secret stands in what docker inspect shows, and no container runs as root or may write its own files", async () => {
    const secrets = await Promise.all([
      dockerOk(["exec", "supalove_shared_postgres", "cat", "/run/supalove/superuser-password"]),
      dockerOk(["exec", "supalove_control_plane", "cat", "/run/supalove/master-keys"]),
      dockerOk(["exec", "supalove_shared_gateway_v3", "cat", "/run/supalove/gateway-token"]),
      dockerOk(["exec", "supalove_shared_api", "cat", "/run/supalove/internal-token"]),
    ]);
    const inspected = await dockerOk(["inspect", ...CONTAINERS]);
    for (const secret of [...secrets, owner.password]) {
      expect(secret.length).toBeGreaterThan(15);
      expect(inspected).not.toContain(secret);
    }
    for (const { Config, HostConfig } of JSON.parse(inspected)) {
      expect(Config.User).toBe("1000:1000");
      expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, CapDrop: ["ALL"], Privileged: false });
      expect(HostConfig.Memory).toBeGreaterThan(0);
      expect(HostConfig.RestartPolicy.Name).toBe("always");
    }
  });

  test("a gateway has no database password, and REST no way out of its network", async () => {
    expect(await dockerOk(["exec", "supalove_shared_gateway_v3", "ls", "/run/supalove"])).toBe(
      "gateway-token\ninternal-token",
    );
    const out =
      "require('net').connect(53,'1.1.1.1').on('connect',()=>process.exit(0)).on('error',()=>process.exit(3))";
    const refused = await docker(["exec", "supalove_shared_api", "node", "-e", out]);
    expect(refused.code).toBe(3);
  });

  test("psql -U postgres in the container lists databases, enters a project's and shows the tables of auth", async () => {
    const psql = (...commands: string[]) =>
      dockerOk([
        ...["exec", "supalove_shared_postgres", "psql", "-U", "postgres"],
        ...commands.flatMap((command) => ["-c", command]),
      ]);
    expect(await psql("\\l")).toContain(`project_${project.ref}`);
    const tables = await psql(`\\c project_${project.ref}`, "\\dt auth.*");
    expect(tables).toContain(`connected to database "project_${project.ref}"`);
    for (const table of ["users", "sessions", "refresh_tokens"])
      expect(tables).toMatch(new RegExp(`auth +\\| ${table} `));
    expect(await psql(`\\c project_${project.ref}`, "select 'postgres://x' as quoted, count(*) from kept")).toContain(
      "3",
    );
  });

  test("the database URL of a project works on this machine", async () => {
    const { default: pg } = await import("pg");
    const client = new pg.Client(project.databaseUrl);
    await client.connect();
    expect((await client.query("select count(*)::int as count from kept")).rows).toEqual([{ count: 3 }]);
    await client.end();
  });

  test("docker compose logs tells of the gateway's requests, without keys", async () => {
    const logs = await compose(["logs", "--no-log-prefix", "shared-gateway-v3"]);
    expect(logs).toContain(project.ref);
    expect(logs).not.toContain(project.anonKey);
  });
});

test("the whole story passes with supabase-js: rows, users, files and realtime", async () => {
  const told = JSON.parse(await cli(owner, ["demo", "--json"]));
  expect(JSON.stringify(told)).toMatch(/upload/);
  expect(JSON.stringify(told)).toMatch(/broadcast/);
});

describe("what is interrupted comes back with its data", () => {
  test.each(CONTAINERS)("%s killed", async (name) => {
    const id = await dockerOk(["inspect", "--format", "{{.State.Pid}}", name]);
    // From outside, as the kernel does: `docker kill` would count as the operator's wish.
    process.kill(Number(id), "SIGKILL");
    await vi.waitFor(
      async () =>
        expect(await dockerOk(["inspect", "--format", "{{.State.Pid}} {{.State.Running}}", name])).toMatch(/ true$/),
      { timeout: 30_000, interval: 100 },
    );
    await untilServed();
  });

  test("the story passes again when each of them has been killed", async () => {
    await compose(["up", "-d", "--wait"]);
    await cli(owner, ["demo", "--json"]);
  });

  test("docker compose restart, after which the story passes again", async () => {
    await compose(["restart"]);
    await untilServed();
    await compose(["up", "-d", "--wait"]);
    await cli(owner, ["demo", "--json"]);
  });

  test("docker compose down and up: the same secrets, keys and rows", async () => {
    await compose(["down"]);
    await compose(["up", "-d", "--wait"]);
    await untilServed();
    expect((await firstRun()).password).toBe(owner.password);
    expect(await dockerOk(["logs", "supalove_init"])).toBe("every secret is there");
  });
});

test("behind HAProxy one gateway can be stopped while the other serves", async () => {
  const files = ["docker-compose.scale.yml"];
  await compose(["up", "-d", "--wait"], files);
  await untilServed();
  for (const name of ["supalove_shared_gateway_v3", "supalove_shared_gateway_v3_second"]) {
    await dockerOk(["stop", name]);
    await untilServed();
    await dockerOk(["start", name]);
    await vi.waitFor(
      async () => expect(await dockerOk(["inspect", "--format", "{{.State.Health.Status}}", name])).toBe("healthy"),
      { timeout: 60_000, interval: 200 },
    );
  }
});
