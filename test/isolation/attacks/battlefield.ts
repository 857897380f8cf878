/** A fresh stack with a quiet project and a hostile tenant, and one attack at a time on it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { createGraphqlClient } from "../../../compose/cli/graphql-client.ts";
import { findLocalInstance, findOwnerToken } from "../../../compose/local-instance.ts";
import { processTree, proportionalSetBytes } from "../../harness/process-memory.ts";
import {
  type CreatedProject,
  removeDataDir,
  type Stack,
  startStack,
  supalove,
  temporaryDataDir,
} from "../../harness/standalone.ts";
import type { Attack, World } from "./attack.ts";
import { type NeighbourNotes, type Summary, startNeighbour, summarize } from "./neighbour.ts";

export interface Result {
  readonly name: string;
  readonly before: Summary;
  readonly during: Summary;
  readonly logins: Summary;
  readonly changes: Summary;
  /** The most that the whole stack took meanwhile. */
  readonly peakBytes: number;
  /** What was refused or ended. */
  readonly outcomes: string;
  /** It got to what it attacks. */
  readonly reached: boolean;
  /** Rows of the neighbour that are gone. */
  readonly lost: number;
}

export interface Battlefield extends AsyncDisposable {
  /** @param attackMs How long the attack lasts. */
  suffer(attack: Attack, beforeMs: number, attackMs: number): Promise<Result>;
}

const ROWS = 1_000;
/** After an attack whatever it held must be given back before the next one is measured. */
const CALM_MS = 1_500;
const SAMPLE_MEMORY_MS = 500;

export async function prepareBattlefield(environment: NodeJS.ProcessEnv = {}): Promise<Battlefield> {
  const dataDir = temporaryDataDir();
  let stack: Stack | undefined;
  try {
    stack = await startStack(dataDir, { SUPALOVE_LOG_LEVEL: "warn", ...environment });
    return await furnishField(dataDir, stack);
  } catch (error) {
    await stack?.stop();
    removeDataDir(dataDir);
    throw error;
  }
}

async function furnishField(dataDir: string, stack: Stack): Promise<Battlefield> {
  const { controlPlaneUrl, gatewayUrl } = findLocalInstance(dataDir) ?? { controlPlaneUrl: "", gatewayUrl: "" };
  const token = findOwnerToken(dataDir) ?? "";
  const client = createGraphqlClient(controlPlaneUrl, token);
  const create = async (organization: string, name: string): Promise<CreatedProject> => {
    const result = await supalove(dataDir, [
      "project",
      "create",
      "--organization",
      organization,
      "--name",
      name,
      "--json",
    ]);
    if (result.code !== 0) throw new Error(result.stderr);
    return JSON.parse(result.stdout) as CreatedProject;
  };
  const organization = async (name: string) =>
    (
      await client.request<{ createOrganization: { slug: string } }>(
        "mutation ($name: String!) { createOrganization(name: $name) { slug } }",
        { name },
      )
    ).createOrganization.slug;
  const quiet = await create(await organization("Quiet"), "quiet");
  const hostileOrganization = await organization("Hostile");
  const createHostile = () => create(hostileOrganization, "hostile");
  const hostiles = [await createHostile(), await createHostile(), await createHostile()];

  // One session that was there before: during some attacks there would be no new one.
  const admin = new pg.Client({ connectionString: superuserUrl(dataDir, quiet.databaseUrl) });
  admin.on("error", () => {});
  await admin.connect();
  const isClosed = async ({ ref }: CreatedProject) => {
    const { rows } = await admin.query("select rolcanlogin from pg_roles where rolname = $1", [`project_${ref}_user`]);
    return !rows[0]?.rolcanlogin;
  };
  /** The watch of the cluster may have closed a project for what it did before: the next attack comes from another. */
  const openWorld = async (): Promise<World> => {
    for (const [index, project] of hostiles.entries()) {
      if (await isClosed(project)) hostiles[index] = await createHostile();
    }
    const [hostile, ...others] = hostiles as [CreatedProject, ...CreatedProject[]];
    return { hostile, others, client, gatewayPort: Number(new URL(gatewayUrl).port) };
  };
  const endSessions = ({ hostile, others }: World) =>
    admin.query(
      `select pg_terminate_backend(pid) from pg_stat_get_activity(null)
       where usesysid in (select oid from pg_roles where rolname = any($1))`,
      [[hostile, ...others].flatMap(({ ref }) => [`project_${ref}_user`, `project_${ref}_authenticator`])],
    );
  await furnish(quiet);
  const neighbour = await startNeighbour({
    ...quiet,
    expected: '[{"text":"quiet row 1"}]',
    controlPlaneUrl,
    token,
  });

  return {
    async suffer(attack, beforeMs, attackMs) {
      const world = await openWorld();
      await attack.prepare?.(world);
      await wait(CALM_MS);
      const before = await neighbour.during(() => wait(beforeMs));
      const memory = watchMemory(stack.process.pid ?? 0);
      const { notes, result } = await neighbour.during(async () => {
        const outcomes = await attack.run(world, AbortSignal.timeout(attackMs));
        return String(outcomes);
      });
      const peakBytes = memory.stop();
      // Backends of sessions that were left in the middle of a statement look for their client every ten seconds.
      await endSessions(world);
      await wait(CALM_MS);
      return resultOf(attack, before.notes, notes, result, peakBytes, ROWS - (await countRows(quiet)));
    },
    async [Symbol.asyncDispose]() {
      await neighbour.close();
      await admin.end().catch(() => {});
      await stack.stop();
      removeDataDir(dataDir);
    },
  };
}

function resultOf(
  attack: Attack,
  before: NeighbourNotes,
  during: NeighbourNotes,
  outcomes: string,
  peakBytes: number,
  lost: number,
): Result {
  return {
    name: attack.name,
    reached: attack.reaches?.test(outcomes) ?? true,
    before: summarize(before.rest),
    during: summarize(during.rest),
    logins: summarize(during.logins),
    changes: summarize(during.changes),
    peakBytes,
    outcomes,
    lost,
  };
}

async function furnish({ databaseUrl, url, anonKey }: CreatedProject): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(
    `create table quiet (id int primary key, text text not null);
     insert into quiet select i, 'quiet row ' || i from generate_series(1, ${ROWS}) i;
     grant select on quiet to anon; notify pgrst, 'reload schema'`,
  );
  await client.end();
  for (let turn = 0; turn < 100; turn++) {
    const answer = await fetch(`${url}/rest/v1/quiet?id=eq.1&select=text`, { headers: { apikey: anonKey } });
    if (answer.status === 200) return;
    await wait(100);
  }
  throw new Error("the quiet project does not serve its table");
}

async function countRows({ databaseUrl }: CreatedProject): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 20_000 });
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query("select count(*)::int as count from quiet");
  await client.end();
  return rows[0].count;
}

function superuserUrl(dataDir: string, databaseUrl: string): string {
  const { host } = new URL(databaseUrl);
  const password = readFileSync(join(dataDir, "postgres/superuser-password"), "utf8").trim();
  return `postgresql://supabase_admin:${password}@${host}/postgres`;
}

function watchMemory(pid: number): { stop(): number } {
  let peak = 0;
  const look = () => {
    peak = Math.max(peak, proportionalSetBytes(processTree(pid)));
  };
  const timer = setInterval(look, SAMPLE_MEMORY_MS);
  return {
    stop() {
      clearInterval(timer);
      look();
      return peak;
    },
  };
}

function wait(ms: number): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms));
}
