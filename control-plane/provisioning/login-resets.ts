/**
 * Resets of projects' logins, wished for in a transaction and carried out behind it by whichever instance comes first.
 * What fails is tried again until it is done: a wish outlives restarts, pauses and clusters that are away.
 */
import type { ClusterConnections } from "../clusters/cluster-connections.ts";
import { endEarlierLogins, resetLogins } from "../clusters/reset-logins.ts";
import type { Database, Queryable } from "../database.ts";
import type { Logger } from "../logger.ts";
import type { Vault } from "../secrets/vault.ts";
import { readProjectSecrets } from "./shared/project-secrets.ts";

export interface LoginResets {
  start(): void;
  stop(): Promise<void>;
  /** Carries out what has been wished for; resolves when nothing is due, or after some seconds: the rest goes on behind. */
  settle(): Promise<void>;
}

export interface LoginResetsOptions {
  readonly database: Database;
  readonly vault: Vault;
  readonly clusters: ClusterConnections;
  readonly logger: Logger;
}

const POLL_MS = 5_000;
const SETTLE_MS = 5_000;
/** Each takes a connection of the control plane's pool and one of a cluster's. */
const AT_ONCE = 2;
/** Somebody who has just logged in is seen by then. */
const FIRST_LOOK_MS = 50;
/** Until nobody can be in the middle of logging in by an old password any more. */
const LOOK_AGAIN_MS = 5_000;

interface DueReset {
  readonly ref: string;
  readonly clusterId: string;
  readonly state: string;
  readonly attempts: number;
  readonly openedAt: string | null;
}

/** Wishes for a reset of the projects' logins in the caller's transaction. */
export async function requestLoginResets(tx: Queryable, refs: readonly string[]): Promise<void> {
  await tx.query(
    `/* requestLoginResets */ insert into login_resets (project_ref) select unnest($1::text[]) order by 1
     on conflict (project_ref) do update set requested_at = now(), attempts = 0, next_attempt_at = now(), opened_at = null`,
    [refs],
  );
}

export function createLoginResets({ database, vault, clusters, logger }: LoginResetsOptions): LoginResets {
  let isStopping = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> | null = null;
  let again = false;

  /** @returns Whether there was one that is due. */
  function workOnNext(): Promise<boolean> {
    return database.transaction(async (tx) => {
      // The lock on the project keeps its state: pausing, resuming and deleting wait for the end of the reset.
      const [due] = await tx.query<DueReset>(
        `/* claimLoginReset */ select ref, cluster_id as "clusterId", state, attempts, opened_at as "openedAt"
         from login_resets join projects on ref = project_ref
         where next_attempt_at <= clock_timestamp() and state in ('ACTIVE', 'FAILED') and closed_until is null
           and cluster_id is not null
         order by next_attempt_at limit 1 for no key update skip locked`,
      );
      if (!due) return false;
      const { ref } = due;
      try {
        const next = await carryOut(tx, due);
        if (next === null)
          await tx.query("/* finishLoginReset */ delete from login_resets where project_ref = $1", [ref]);
        else await schedule(tx, ref, next.openedAt, next.inMs, 0);
      } catch (error) {
        logger.warn({ err: error, ref }, "a project's logins could not be reset; it is tried again");
        await schedule(tx, ref, due.openedAt, Math.min(60_000, 1_000 * 2 ** due.attempts), due.attempts + 1);
      }
      return true;
    });
  }

  /** @returns What is to be looked at again and when; null when all is done. */
  async function carryOut(tx: Queryable, due: DueReset): Promise<{ openedAt: string | null; inMs: number } | null> {
    const { ref, state } = due;
    const secrets = await readProjectSecrets(tx, vault, ref);
    const passwords = {
      userPassword: secrets.POSTGRES_PASSWORD,
      authenticatorPassword: secrets.AUTHENTICATOR_PASSWORD,
    };
    return clusters.withAdmin(due.clusterId, async (client) => {
      const openedAt = due.openedAt ?? (await resetLogins(client, ref, passwords, state === "ACTIVE"));
      if (state !== "ACTIVE") return null; // closed
      if (due.openedAt === null) await new Promise((resume) => setTimeout(resume, FIRST_LOOK_MS));
      const { intact, final } = await endEarlierLogins(client, ref, passwords, openedAt);
      if (!intact) return { openedAt: null, inMs: 0 };
      return final ? null : { openedAt, inMs: LOOK_AGAIN_MS };
    });
  }

  async function resetAllDue(): Promise<void> {
    while (!isStopping && (await workOnNext()));
  }

  /** Calls that come while it runs make it look once more. */
  function run(): Promise<unknown> {
    if (running) {
      again = true;
      return running;
    }
    running = Promise.all(Array.from({ length: AT_ONCE }, resetAllDue))
      .catch((error) => logger.warn({ err: error }, "could not look for logins to reset"))
      .finally(() => {
        running = null;
        if (again && !isStopping) {
          again = false;
          return run();
        }
      });
    return running;
  }

  return {
    start() {
      timer = setInterval(() => void run(), POLL_MS);
      void run();
    },
    async stop() {
      isStopping = true;
      clearInterval(timer);
      await running;
    },
    async settle() {
      let deadline: NodeJS.Timeout | undefined;
      const passed = new Promise<void>((resume) => {
        deadline = setTimeout(resume, SETTLE_MS);
      });
      await Promise.race([run(), passed]);
      clearTimeout(deadline);
    },
  };
}

async function schedule(
  tx: Queryable,
  ref: string,
  openedAt: string | null,
  inMs: number,
  attempts: number,
): Promise<void> {
  await tx.query(
    `/* scheduleLoginReset */ update login_resets
     set opened_at = $2, attempts = $4, next_attempt_at = clock_timestamp() + $3 * interval '1 millisecond'
     where project_ref = $1`,
    [ref, openedAt, inMs, attempts],
  );
}
