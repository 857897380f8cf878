/** What an attack is: somebody with a project of his own, or only its public key, does his worst for a while. */
import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { GraphqlClient } from "../../../compose/cli/graphql-client.ts";
import type { CreatedProject } from "../../harness/standalone.ts";

export interface World {
  /** Of a tenant who wishes nobody well, in an organization of his own. */
  readonly hostile: CreatedProject;
  /** Further projects of his. */
  readonly others: readonly CreatedProject[];
  /** The control plane, as their owner. */
  readonly client: GraphqlClient;
  readonly gatewayPort: number;
}

export interface Attack {
  readonly name: string;
  /** Part of `npm test` too: quick, and light on the machine. */
  readonly short?: boolean;
  /** Outcomes that show that it got to what it attacks; one that is turned away earlier shows nothing. */
  readonly reaches?: RegExp;
  /** Made ready before the neighbour is measured. */
  prepare?(world: World): Promise<void>;
  /** Goes on until the signal, and cleans up. @returns what was refused or ended. */
  run(world: World, until: AbortSignal): Promise<Outcomes>;
}

/** How often what happened to the attacker: SQLSTATEs, HTTP statuses, broken connections. */
export class Outcomes {
  readonly #counts = new Map<string, number>();

  add(outcome: string): void {
    this.#counts.set(outcome, (this.#counts.get(outcome) ?? 0) + 1);
  }

  toString(): string {
    return [...this.#counts].map(([outcome, count]) => `${outcome} ×${count}`).join(", ") || "nothing";
  }
}

/** A session of a project's user; its errors are the attacker's business. */
export async function session(project: CreatedProject): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: project.databaseUrl, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  await client.connect();
  await client.query("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0").catch(() => {});
  return client;
}

/** Repeats an attempt until the signal, in so many places at once, and writes down how each one ended. */
export async function repeat(
  until: AbortSignal,
  places: number,
  attempt: (until: AbortSignal) => Promise<string>,
): Promise<Outcomes> {
  const outcomes = new Outcomes();
  setMaxListeners(0, until); // one for each place
  const place = async () => {
    while (!until.aborted) {
      // Of its own: whoever is given the signal of all keeps a listener on it.
      const attempted = new AbortController();
      const end = () => attempted.abort();
      until.addEventListener("abort", end, { once: true });
      outcomes.add(await attempt(attempted.signal).catch(describe));
      until.removeEventListener("abort", end);
      await pause(20, until); // a refusal that costs nothing must not become the attacker's own busy loop
    }
  };
  await Promise.all(Array.from({ length: places }, place));
  return outcomes;
}

export function describe(error: unknown): string {
  const { name, code, message, cause } = error as Error & { code?: string; cause?: { code?: string } };
  if (name === "AbortError" || name === "TimeoutError") return "went on to the end";
  return code ?? cause?.code ?? message.slice(0, 60);
}

/** Runs statements in sessions of their own and keeps what they hold until the signal, or until one has been ended. */
export async function hold(
  project: CreatedProject,
  until: AbortSignal,
  ...scripts: readonly (readonly string[])[]
): Promise<string> {
  const clients: pg.Client[] = [];
  try {
    const held = scripts.map(async (statements) => {
      const client = await session(project);
      clients.push(client);
      const ended = new Promise<string>((gone) => client.once("end", () => gone("session ended")));
      const run = (async () => {
        for (const statement of statements) await client.query(statement);
        await new Promise(() => undefined); // holds what it has
      })();
      return Promise.race([run.catch(describe), ended]);
    });
    return (await Promise.race([...held, aborted(until)])) as string;
  } finally {
    await Promise.all(clients.map((client) => endSession(client)));
  }
}

/** Also when its statement goes on: closing the socket alone leaves a lock until the server looks for its client. */
async function endSession(client: pg.Client): Promise<void> {
  (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
}

export function aborted(signal: AbortSignal): Promise<string> {
  return new Promise((done) => {
    if (signal.aborted) done("went on to the end");
    signal.addEventListener("abort", () => done("went on to the end"), { once: true });
  });
}

export async function pause(ms: number, until: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: until }).catch(() => {});
}
