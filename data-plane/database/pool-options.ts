/** What a project's pool is told, and what it needs of the process around it. */
import type { HeldBytes } from "../held-bytes.ts";
import type { Connection, ConnectionLimits } from "./connection.ts";
import type { ConnectionBudget } from "./connection-budget.ts";
import type { HandshakeOptions } from "./wire/handshake.ts";

export interface PoolOptions extends ConnectionLimits {
  readonly maxConnectionsPerProject: number;
  /** Pipelined batches spread over at most so many connections; the rest of the project's is left to transactions. */
  readonly pipelineConnections: number;
  /** Most batches under way on one connection, fewer when they are slow; further ones wait where any can take them. */
  readonly pipelineDepth: number;
  /** A batch that runs so long counts as slow: nothing more is sent behind it. */
  readonly slowAfterMs: number;
  /** Batches and transactions of one project that may wait. */
  readonly maxWaiting: number;
  readonly acquireTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxLifetimeMs: number;
  readonly connectTimeoutMs: number;
  readonly applicationName: string;
  readonly tls: HandshakeOptions["tls"];
  readonly sessionSettings: Readonly<Record<string, string>>;
}

/** What a pool needs of the process around it. */
export interface PoolSurroundings {
  readonly budget: ConnectionBudget;
  readonly now: () => number;
  /** Something was written: flush the connection at the end of this turn. */
  scheduleFlush(connection: Connection): void;
  /** Batches a project may have under way now: all while it is alone, its part of them while others are busy too. */
  readonly inFlightShare: number;
  /** Something is under way: see to it that {@link Pool.tick} is called soon. */
  wake(): void;
  readonly counters: PoolCounters;
  /** Null: nobody counts what answers hold. */
  readonly heldBytes: HeldBytes | null;
  readonly logger: DatabaseLogger;
}

export interface PoolCounters {
  opened: number;
  timeouts: number;
  connectFailures: number;
  retries: number;
}

/** As pino has it. */
export interface DatabaseLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}
