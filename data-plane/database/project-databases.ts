/** All databases this process serves: a pool for each project and login, one budget, one clock. */
import type { DatabaseAddress, ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { DEFAULT_MAXIMA } from "../../control-plane/client/maxima.ts";
import type { HeldBytes } from "../held-bytes.ts";
import { Batch } from "./batch.ts";
import type { Connection } from "./connection.ts";
import { ConnectionBudget } from "./connection-budget.ts";
import {
  type ChannelHandlers,
  ConnectionLost,
  type PipelineOptions,
  PoolTimeout,
  type ProjectDatabase,
  type ProjectDatabases,
  type Statement,
  type StatementResult,
  type Transaction,
} from "./database.ts";
import { Listener } from "./listener.ts";
import { Pool } from "./pool.ts";
import type { DatabaseLogger, PoolOptions, PoolSurroundings } from "./pool-options.ts";
import { runTransaction } from "./transaction.ts";
import { SaltedPasswords } from "./wire/scram.ts";

export interface ProjectDatabasesOptions extends Partial<PoolOptions> {
  /** Connections this process may hold in all, listeners included. */
  readonly maxConnections: number;
  /** Longest statement of a {@link ProjectDatabase.withTransaction}, unless its settings say otherwise. */
  readonly transactionStatementTimeoutMs?: number;
  /** Milliseconds, growing steadily; `performance.now` unless a test brings its own. */
  readonly now?: () => number;
  readonly logger?: DatabaseLogger;
  /** What the process may hold of answers; left out, nobody counts. */
  readonly heldBytes?: HeldBytes;
}

/** For metrics. */
export interface DatabaseStats {
  readonly projects: number;
  /** Connections of the pools. */
  readonly open: number;
  readonly connecting: number;
  readonly busy: number;
  readonly leased: number;
  readonly listeners: number;
  /** Batches and transactions that wait for a connection. */
  readonly waiting: number;
  /** Since the start of the process: */
  readonly opened: number;
  readonly timeouts: number;
  readonly connectFailures: number;
  readonly retries: number;
}

const DEFAULTS: PoolOptions = {
  maxConnectionsPerProject: 5,
  pipelineConnections: 4,
  pipelineDepth: 16,
  slowAfterMs: 25,
  maxWaiting: 1000,
  acquireTimeoutMs: 10_000, // PostgREST's
  idleTimeoutMs: 30_000,
  maxLifetimeMs: 30 * 60_000,
  connectTimeoutMs: 5000,
  applicationName: "supalove",
  tls: undefined,
  sessionSettings: {
    client_min_messages: "error", // nobody reads a notice
    idle_in_transaction_session_timeout: "60000",
  },
  maxPreparedStatements: 128,
  maxResponseBytes: DEFAULT_MAXIMA.responseBytes,
  maxErrorBytes: DEFAULT_MAXIMA.errorBytes,
};
const BUSY_TICK_MS = 50;
/** Batches under way for all projects together. More do not make a few processors faster; they only queue there. */
const IN_FLIGHT = 64;
/** So many a project has always, however many are busy. */
const MIN_IN_FLIGHT = 4;
const IDLE_TICK_MS = 1000;
const SILENT: DatabaseLogger = { info: () => {}, warn: () => {} };

export interface ObservableProjectDatabases extends ProjectDatabases {
  stats(): DatabaseStats;
}

/** Opens nothing by itself. */
export function createProjectDatabases(options: ProjectDatabasesOptions): ObservableProjectDatabases {
  const { maxConnections, transactionStatementTimeoutMs = 60_000, now = () => performance.now(), ...rest } = options;
  const { logger = SILENT, heldBytes = null } = options;
  return new PooledProjectDatabases(maxConnections, transactionStatementTimeoutMs, now, logger, heldBytes, {
    ...DEFAULTS,
    ...rest,
  });
}

class PooledProjectDatabases implements ObservableProjectDatabases {
  readonly #options: PoolOptions;
  readonly #now: () => number;
  readonly #logger: DatabaseLogger;
  readonly #statementTimeout: string;
  readonly #budget: ConnectionBudget;
  readonly #surroundings: PoolSurroundings & { inFlightShare: number };
  readonly #pools = new Map<string, PooledDatabase>();
  /** Replaced, and still serving what they were given. */
  readonly #retired = new Set<Pool>();
  readonly #listeners = new Map<Listener, StartedListener>();
  /** LISTENs that are being established. */
  readonly #startingListeners = new Set<StartedListener>();
  readonly #counters = { opened: 0, timeouts: 0, connectFailures: 0, retries: 0 };
  #unflushed: Connection[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isTickingFast = false;
  #isClosed = false;

  constructor(
    maxConnections: number,
    statementTimeoutMs: number,
    now: () => number,
    logger: DatabaseLogger,
    heldBytes: HeldBytes | null,
    options: PoolOptions,
  ) {
    this.#options = options;
    this.#now = now;
    this.#logger = logger;
    this.#statementTimeout = String(statementTimeoutMs);
    this.#budget = new ConnectionBudget(maxConnections, now);
    this.#surroundings = {
      budget: this.#budget,
      now,
      logger,
      counters: this.#counters,
      scheduleFlush: (connection) => this.#scheduleFlush(connection),
      wake: () => this.#wake(),
      inFlightShare: IN_FLIGHT,
      heldBytes,
    };
  }

  get(projectRef: ProjectRef, address: DatabaseAddress): ProjectDatabase {
    const key = poolKey(projectRef, address);
    const known = this.#pools.get(key);
    if (known && isSameAddress(known.pool.address, address)) return known;
    if (known) {
      this.#retired.add(known.pool);
      known.pool.retire();
    }
    const pool = this.#openPool(projectRef, address);
    const currentPool = () => this.#currentPool(database, key);
    const database = new PooledDatabase(pool, currentPool, this.#now, this.#statementTimeout);
    this.#pools.set(key, database);
    return database;
  }

  /** For a database whose own pool was closed or replaced: the one in its place, or a new one. */
  #currentPool(database: PooledDatabase, key: string): Pool {
    const current = this.#pools.get(key);
    if (current && current !== database) return current.pool;
    this.#pools.set(key, database);
    return this.#openPool(database.projectRef, database.pool.address);
  }

  #openPool(projectRef: ProjectRef, address: DatabaseAddress): Pool {
    const pool = new Pool(projectRef, address, this.#options, this.#surroundings);
    if (this.#isClosed) void pool.close(new Error("the process is stopping"));
    return pool;
  }

  async listen(
    projectRef: ProjectRef,
    address: DatabaseAddress,
    channel: string,
    handlers: ChannelHandlers,
  ): Promise<{ close(): Promise<void> }> {
    if (this.#isClosed) throw new ConnectionLost("the process is stopping", { sent: false });
    if (!this.#budget.takeForListener()) throw new PoolTimeout("no connection is left for a listener");
    const { connectTimeoutMs, applicationName, tls, sessionSettings } = this.#options;
    const started: StartedListener = { projectRef, handlers, isReleased: false };
    this.#startingListeners.add(started);
    const listener = await Listener.start({
      address,
      channel,
      handlers,
      handshake: {
        connectTimeoutMs,
        applicationName,
        tls,
        settings: sessionSettings,
        saltedPasswords: new SaltedPasswords(),
      },
      limits: this.#options,
      now: this.#now,
      logger: this.#logger,
      onClose: () => this.#budget.releaseListener(),
    }).finally(() => this.#startingListeners.delete(started));
    if (started.isReleased) {
      await listener.close();
      throw new ConnectionLost("the project's connections have been closed", { sent: false });
    }
    this.#listeners.set(listener, started);
    return {
      close: () => {
        this.#listeners.delete(listener);
        return listener.close();
      },
    };
  }

  async release(projectRef: ProjectRef): Promise<void> {
    await this.#closeWhere((ref) => ref === projectRef, new Error("the project was paused or deleted"));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#closeWhere(() => true, new Error("the process is stopping"));
    clearTimeout(this.#timer);
  }

  stats(): DatabaseStats {
    const sums = { open: 0, connecting: 0, leased: 0, busy: 0, waiting: 0 };
    for (const pool of this.#allPools()) {
      const { usage } = pool;
      for (const name of Object.keys(sums) as (keyof typeof sums)[]) sums[name] += usage[name];
    }
    return { projects: this.#pools.size, listeners: this.#listeners.size, ...sums, ...this.#counters };
  }

  async #closeWhere(isMeant: (projectRef: ProjectRef) => boolean, reason: Error): Promise<void> {
    const closing: Promise<void>[] = [];
    for (const starting of this.#startingListeners) if (isMeant(starting.projectRef)) starting.isReleased = true;
    for (const [listener, { projectRef, handlers }] of this.#listeners) {
      if (!isMeant(projectRef)) continue;
      this.#listeners.delete(listener);
      closing.push(listener.close());
      handlers.onReleased?.();
    }
    for (const [key, { pool }] of this.#pools) {
      if (!isMeant(pool.projectRef)) continue;
      this.#pools.delete(key);
      closing.push(pool.close(reason));
    }
    for (const pool of this.#retired) {
      if (!isMeant(pool.projectRef)) continue;
      this.#retired.delete(pool);
      closing.push(pool.close(reason));
    }
    await Promise.all(closing);
  }

  /** Whatever is written in one turn of the loop goes out together: one system call a connection, not one a batch. */
  #scheduleFlush(connection: Connection): void {
    if (connection.isFlushScheduled) return;
    connection.isFlushScheduled = true;
    if (this.#unflushed.push(connection) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const connections = this.#unflushed;
    this.#unflushed = [];
    for (const connection of connections) connection.flush();
  }

  #wake(): void {
    if (this.#isTickingFast || this.#isClosed) return;
    this.#isTickingFast = true;
    this.#scheduleTick(BUSY_TICK_MS);
  }

  #scheduleTick(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), delayMs).unref();
  }

  #tick(): void {
    let isBusy = false;
    let hasPools = false;
    let active = 0;
    for (const pool of this.#allPools()) {
      if (pool.isEmpty) {
        this.#retired.delete(pool);
        continue;
      }
      hasPools = true;
      if (pool.isActive) active++;
      pool.isActive = false;
      if (pool.tick()) isBusy = true;
    }
    this.#surroundings.inFlightShare = Math.max(MIN_IN_FLIGHT, Math.floor(IN_FLIGHT / Math.max(1, active)));
    if (this.#budget.isAwaited) this.#budget.rebalance();
    this.#isTickingFast = isBusy;
    if (isBusy || hasPools) this.#scheduleTick(isBusy ? BUSY_TICK_MS : IDLE_TICK_MS);
  }

  *#allPools(): Iterable<Pool> {
    for (const { pool } of this.#pools.values()) yield pool;
    yield* this.#retired;
  }
}

interface StartedListener {
  readonly projectRef: ProjectRef;
  readonly handlers: ChannelHandlers;
  isReleased: boolean;
}

class PooledDatabase implements ProjectDatabase {
  /** The last one used; it may be closed by now. */
  pool: Pool;
  readonly #currentPool: () => Pool;
  readonly #now: () => number;
  readonly #statementTimeout: string;

  constructor(pool: Pool, currentPool: () => Pool, now: () => number, statementTimeout: string) {
    this.pool = pool;
    this.#currentPool = currentPool;
    this.#now = now;
    this.#statementTimeout = statementTimeout;
  }

  get projectRef(): ProjectRef {
    return this.pool.projectRef;
  }

  pipeline(statements: readonly Statement[], options?: PipelineOptions): Promise<readonly StatementResult[]> {
    const batch = new Batch(statements, this.#now(), options);
    this.#openPool().submit(batch);
    return batch.promise;
  }

  #openPool(): Pool {
    if (!this.pool.isOpen) this.pool = this.#currentPool();
    return this.pool;
  }

  async withTransaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<T> {
    const pool = this.#openPool();
    const connection = await pool.lease();
    try {
      const local = { statement_timeout: this.#statementTimeout, ...settings };
      return await runTransaction(this.projectRef, connection, this.#now, local, work);
    } finally {
      pool.giveBack(connection);
    }
  }
}

/** A project may be reached by several logins at once; each has a pool of its own. */
function poolKey(projectRef: ProjectRef, { database, user }: DatabaseAddress): string {
  return `${projectRef} ${user} ${database}`;
}

function isSameAddress(a: DatabaseAddress, b: DatabaseAddress): boolean {
  return a === b || (a.host === b.host && a.port === b.port && a.password === b.password && a.ssl === b.ssl);
}
