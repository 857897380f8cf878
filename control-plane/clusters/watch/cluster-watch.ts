/** Looks at one cluster four times a second, on a connection that is always open, and ends the sessions that endanger others. */
import type { Duplex } from "node:stream";
import type pg from "pg";
import { backoffMs } from "../../client/backoff.ts";
import type { Logger } from "../../logger.ts";
import { createClient } from "../../postgres-client.ts";
import { adminClientConfig, type ClusterAddress } from "../cluster-connections.ts";
import { DEFAULT_BOUNDS, type WatchBounds } from "./bounds.ts";
import { decideEndings, type Ending, type Reason, SharedLockHistory } from "./decide.ts";
import { endSession, holdSharedCatalogs, observe, tryToWatch } from "./observe.ts";

export interface ClusterWatchOptions {
  readonly clusterId: string;
  readonly address: ClusterAddress;
  readonly logger: Logger;
  /** Private bytes of a backend of this cluster; null where it cannot be read, as on another machine. */
  readonly memoryOf?: (pid: number) => number | null;
  /** Projects that are closed at the moment. */
  readonly closed: () => ReadonlySet<string>;
  /** Sessions that were ended in one look. Must not throw, and is not waited for. */
  readonly onEnded: (endings: readonly EndedSession[]) => void;
  /**
   * The watch itself cannot log in, because of what projects do: whoever can reach the cluster in another way ends their
   * sessions. @returns their refs, one entry a session.
   */
  readonly onLoginTrouble?: (trouble: LoginTrouble) => readonly string[];
  readonly bounds?: Partial<WatchBounds>;
  readonly intervalMs?: number;
}

export interface EndedSession {
  readonly session: { readonly ref: string };
  readonly reason: Reason;
}

export interface LoginTrouble {
  /** The login hangs, or PostgreSQL has no room in its lock table even for that. */
  readonly kind: "hangs" | "lock_table";
  readonly forMs: number;
}

/** The lock table fills within a second; a look takes some two milliseconds. */
const INTERVAL_MS = 250;
/**
 * A login that hangs goes on as soon as what it waits for has gone; each one that is given up would stay in the server, and
 * take a place, until then.
 */
const LOGIN_WITHIN_MS = 60_000;
/** A login takes some milliseconds, on a busy machine a second. */
const LOGIN_HANGS_MS = 2_000;
const LOGIN_TROUBLE_EVERY_MS = 1_000;
const OUT_OF_SHARED_MEMORY = "53200";
/** A look takes a few milliseconds; one that takes so long hangs, and a new connection is the better chance. */
const ANSWER_WITHIN_MS = 5_000;

export class ClusterWatch {
  readonly #options: ClusterWatchOptions;
  readonly #bounds: WatchBounds;
  readonly #history = new SharedLockHistory();
  readonly #stopping = new AbortController();
  readonly #finished: Promise<void>;
  #isWatching = false;

  constructor(options: ClusterWatchOptions) {
    this.#options = options;
    this.#bounds = { ...DEFAULT_BOUNDS, ...options.bounds };
    this.#finished = this.#run();
  }

  /** True while this instance looks; another one may have the cluster, or the cluster may be away. */
  get isWatching(): boolean {
    return this.#isWatching;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#finished;
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted; failures += 1) {
      const client = this.#createClient();
      const abandon = () => streamOf(client).destroy();
      this.#stopping.signal.addEventListener("abort", abandon);
      try {
        await this.#logIn(client);
        await this.#watch(client, () => {
          failures = 0;
        });
      } catch (error) {
        if (failures === 0 && !this.#stopping.signal.aborted)
          this.#options.logger.warn({ err: error, clusterId: this.#options.clusterId }, "a cluster is not watched");
        // A moment of it passes by itself: whoever fills the table often fails and lets go.
        if ((error as { code?: string }).code === OUT_OF_SHARED_MEMORY && failures >= 2)
          this.#reportTrouble("lock_table", 0);
      } finally {
        this.#isWatching = false;
        this.#stopping.signal.removeEventListener("abort", abandon);
        await end(client);
      }
      await this.#pause(Math.min(backoffMs(failures), 2_000));
    }
  }

  async #logIn(client: pg.Client): Promise<void> {
    const startedAt = performance.now();
    const timer = setInterval(() => {
      const forMs = performance.now() - startedAt;
      if (forMs > LOGIN_HANGS_MS) this.#reportTrouble("hangs", forMs);
    }, LOGIN_TROUBLE_EVERY_MS);
    try {
      await client.connect();
      await holdSharedCatalogs(client);
    } finally {
      clearInterval(timer);
    }
  }

  #reportTrouble(kind: LoginTrouble["kind"], forMs: number): void {
    const { onLoginTrouble, onEnded, logger, clusterId } = this.#options;
    const refs = onLoginTrouble?.({ kind, forMs }) ?? [];
    if (refs.length === 0) return;
    logger.warn({ clusterId, kind, refs }, "nobody could log in to a cluster: sessions of projects were ended");
    const reason = kind === "hangs" ? "shared_lock" : "lock_table";
    onEnded(refs.map((ref) => ({ session: { ref }, reason })));
  }

  async #watch(client: pg.Client, onLook: () => void): Promise<void> {
    const { clusterId, intervalMs = INTERVAL_MS } = this.#options;
    while (!this.#stopping.signal.aborted) {
      if (!this.#isWatching) {
        this.#isWatching = await tryToWatch(client, clusterId);
        if (this.#isWatching) this.#options.logger.info({ clusterId }, "the cluster is watched by this instance");
      }
      if (this.#isWatching) await this.#look(client);
      onLook();
      await this.#pause(intervalMs);
    }
  }

  async #look(client: pg.Client): Promise<void> {
    const { memoryOf = () => null, closed, onEnded } = this.#options;
    const state = await observe(client, memoryOf);
    const seen = { ...state, closed: closed(), sharedLockSightings: this.#history.add(state.sessions) };
    const ended: Ending[] = [];
    for (const ending of decideEndings(seen, this.#bounds))
      if (await endSession(client, ending.session)) ended.push(ending);
    if (ended.length > 0) onEnded(ended);
    if (state.operatorWaits) {
      await client.query("/* letOperatorPass */ commit");
      await holdSharedCatalogs(client);
    }
  }

  #createClient(): pg.Client {
    const config = adminClientConfig(this.#options.address, "postgres");
    const client = createClient({
      ...config,
      // Idle in a transaction on purpose, see observe.ts. No parallel worker and no compiler: nothing to wait for.
      options: `${config.options} -c idle_in_transaction_session_timeout=0 -c max_parallel_workers_per_gather=0 -c jit=off`,
      application_name: "supalove control plane watch",
      query_timeout: ANSWER_WITHIN_MS,
      connectionTimeoutMillis: LOGIN_WITHIN_MS,
    });
    return client;
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stopping;
    if (signal.aborted) return;
    await new Promise<void>((resume) => {
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
      function done() {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resume();
      }
    });
  }
}

/** pg says good-bye and waits for an answer; a server that hangs gives none. */
async function end(client: pg.Client): Promise<void> {
  const stream = streamOf(client);
  const impatience = setTimeout(() => stream.destroy(), 1_000);
  await client.end().catch(() => undefined);
  clearTimeout(impatience);
  stream.destroy();
}

function streamOf(client: pg.Client): Duplex {
  return (client as unknown as { connection: { stream: Duplex } }).connection.stream;
}
