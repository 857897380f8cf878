/** Control planes as processes on one database of their own, and a client that talks to them as automation does. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { ensureInstanceOwner } from "../../control-plane/accounts/instance-owner.ts";
import { createPasswordHashing } from "../../control-plane/accounts/password-hashing.ts";
import { projectLeftovers } from "../../control-plane/clusters/project-database.ts";
import { type ControlPlaneDatabase, createControlPlaneDatabase } from "../../control-plane/testing/fresh-database.ts";

export interface Installation extends AsyncDisposable {
  readonly database: ControlPlaneDatabase["database"];
  /** Starts one more control plane on the installation's database. @param crashAt see crashing-control-plane.ts. */
  startControlPlane(crashAt?: string): Promise<ControlPlaneProcess>;
  /** Ref of the project with this name, whoever made it. */
  refOf(name: string): Promise<string>;
  /** Everything of the project that is left in the cluster or in the control plane's tables, its tombstone apart. */
  leftovers(ref: string): Promise<string[]>;
}

export interface ControlPlaneProcess extends AsyncDisposable {
  readonly process: ChildProcess;
  /** Resolves with the signal that ended it, or null. */
  readonly exited: Promise<NodeJS.Signals | null>;
  createProject(name?: string): Promise<string>;
  /** `pauseProject`, `deleteProject` … @throws an error whose message is the GraphQL error's code. */
  operate(mutation: string, ref: string): Promise<void>;
  /** State of the project; DELETED when it is not found any more. */
  state(ref: string): Promise<string>;
  /** Asks until the project is in one of the states. */
  untilState(ref: string, ...states: string[]): Promise<string>;
  /** Ends it with SIGTERM and waits. */
  stop(): Promise<void>;
}

/**
 * @param clusterUrl Superuser URL of the run's cluster: `inject("clusterUrl")`.
 * @param leaseMs how long an operation of a dead control plane stays untouched.
 */
export async function createInstallation(clusterUrl: string, leaseMs = 1000): Promise<Installation> {
  const fresh = await createControlPlaneDatabase(clusterUrl);
  const passwords = createPasswordHashing(1);
  const owner = await ensureInstanceOwner(fresh.database, passwords, {
    email: "owner@example.com",
    password: randomBytes(12).toString("hex"),
    name: "Owner",
    organizationName: "Test",
    tokenName: "test",
  });
  await passwords.close();
  if (!owner?.accessToken) throw new Error("the installation has an owner already");
  const { accessToken, organizationId } = owner;
  const environment = {
    ...process.env,
    DATABASE_URL: fresh.url,
    MASTER_KEYS: randomBytes(32).toString("base64"),
    LEASE_MS: String(leaseMs),
  };
  const running = new Set<ControlPlaneProcess>();
  return {
    database: fresh.database,
    async startControlPlane(crashAt) {
      const started = await start({ ...environment, ...(crashAt ? { CRASH_AT: crashAt } : {}) });
      const controlPlane = clientOf(started, accessToken, organizationId);
      running.add(controlPlane);
      return controlPlane;
    },
    async refOf(name) {
      const [project] = await fresh.database.query<{ ref: string }>("select ref from projects where name = $1", [name]);
      if (!project) throw new Error(`there is no project called ${name}`);
      return project.ref;
    },
    leftovers: (ref) => findLeftovers(fresh, clusterUrl, ref),
    async [Symbol.asyncDispose]() {
      await Promise.all([...running].map((controlPlane) => controlPlane.stop()));
      await fresh.drop();
    },
  };
}

interface StartedProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<NodeJS.Signals | null>;
  readonly url: string;
}

async function start(environment: NodeJS.ProcessEnv): Promise<StartedProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "crashing-control-plane.ts")], {
    env: environment,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit").then(([, signal]) => signal as NodeJS.Signals | null);
  const lines = createInterface({ input: child.stdout });
  const [line] = (await Promise.race([
    once(lines, "line"),
    exited.then(() => Promise.reject(new Error("the control plane ended before it was ready"))),
  ])) as [string];
  return { child, exited, url: (JSON.parse(line) as { url: string }).url };
}

function clientOf({ child, exited, url }: StartedProcess, token: string, organizationId: string): ControlPlaneProcess {
  async function send<T>(query: string, variables: Record<string, unknown>): Promise<T> {
    const response = await fetch(`${url}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = (await response.json()) as { data: T; errors?: { extensions: { code: string } }[] };
    if (errors?.[0]) throw new Error(errors[0].extensions.code);
    return data;
  }

  async function state(ref: string): Promise<string> {
    try {
      const data = await send<{ project: { state: string } }>("query ($ref: ID!) { project(ref: $ref) { state } }", {
        ref,
      });
      return data.project.state;
    } catch (error) {
      if ((error as Error).message === "NOT_FOUND") return "DELETED";
      throw error;
    }
  }

  async function stop(): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await exited;
  }

  return {
    process: child,
    exited,
    state,
    stop,
    [Symbol.asyncDispose]: stop,
    async createProject(name = "test") {
      const data = await send<{ createProject: { ref: string } }>(
        "mutation ($input: CreateProjectInput!) { createProject(input: $input) { ref } }",
        { input: { organizationId, name } },
      );
      return data.createProject.ref;
    },
    async operate(mutation, ref) {
      await send(`mutation ($ref: ID!) { ${mutation}(ref: $ref) { state } }`, { ref });
    },
    async untilState(ref, ...states) {
      for (;;) {
        const present = await state(ref);
        if (states.includes(present)) return present;
        await sleep(25);
      }
    },
  };
}

async function findLeftovers({ database }: ControlPlaneDatabase, clusterUrl: string, ref: string): Promise<string[]> {
  const kept = await database.query<{ leftover: string }>(
    `select 'secret ' || name as leftover from project_secrets where project_ref = $1
     union all select 'data key' from project_data_keys where project_ref = $1
     union all select 'api key ' || name from api_keys where project_ref = $1
     union all select 'operation ' || kind from operations where project_ref = $1 and state = 'running'
     union all select 'place' from projects where ref = $1 and cluster_id is not null`,
    [ref],
  );
  const client = new pg.Client({ connectionString: clusterUrl });
  await client.connect();
  try {
    return [...kept.map(({ leftover }) => leftover), ...(await projectLeftovers(client, ref))];
  } finally {
    await client.end();
  }
}
