/**
 * What happened, told to every control-plane instance: an event is a NOTIFY in the transaction of the change itself, so
 * nobody hears of what was rolled back, and PostgreSQL is the only coordination between instances. One LISTEN
 * connection an instance; after it was lost and is back, every subscriber gets `resync` and re-reads what it shows.
 */
import type { Duplex } from "node:stream";
import type pg from "pg";
import { clientConfig, type Queryable } from "./database.ts";
import type { Logger } from "./logger.ts";
import { createClient } from "./postgres-client.ts";
import type { ProjectState } from "./provisioning/lifecycle.ts";
import type { OperationKind } from "./provisioning/operation.ts";

export type ControlPlaneEvent =
  | { readonly topic: "project-state"; ref: string; organizationId: string; state: ProjectState }
  | { readonly topic: "project-config"; ref: string; version: number }
  | { readonly topic: "operation"; ref: string; operationId?: string; kind?: OperationKind; step?: string | null }
  /** An account's rights changed (membership, role, a revoked credential): its open subscriptions authorize again. */
  | { readonly topic: "access"; accountId: string }
  /** A cluster's address changed: pools to it are made anew. */
  | { readonly topic: "cluster"; clusterId: string }
  /** Events may have been missed: read again. Never published, only delivered; every filter lets it through. */
  | { readonly topic: "resync" };

export type PublishedEvent = Exclude<ControlPlaneEvent, { topic: "resync" }>;

/** Ends when `return()` is called (a `for await` does so by itself) or the instance closes. */
export interface EventStream extends AsyncIterableIterator<ControlPlaneEvent> {
  return(): Promise<IteratorResult<ControlPlaneEvent>>;
}

export interface Events {
  /** Delivered when the caller's transaction commits, in commit order. */
  publish(tx: Queryable, event: PublishedEvent): Promise<void>;
  /** Begins to collect at once, not at the first `next()`: subscribe first, then read, and nothing is missed. */
  subscribe(filter: (event: PublishedEvent) => boolean): EventStream;
}

const CHANNEL = "supalove_events";
/** Beyond this many unread events a subscriber has fallen behind: they are replaced by one `resync`. */
const MAX_QUEUED_EVENTS = 1000;
/** A peer that has gone without a FIN is found out by asking; TCP's own keepalive takes more than two hours. */
const HEARTBEAT_MS = 5_000;
const ANSWER_WITHIN_MS = 5_000;
const FIRST_RECONNECT_MS = 100;
const LAST_RECONNECT_MS = 10_000;

/** {@link Events.publish} for code that has only the transaction: publishing needs no connection of its own. */
export async function publishEvent(tx: Queryable, event: PublishedEvent): Promise<void> {
  const { channel, payload } = encodeEvent(event);
  await tx.query("/* publishEvent */ select pg_notify($1, $2)", [channel, payload]);
}

/** The arguments of `pg_notify`, for a statement that changes something and announces it in one round trip. */
export function encodeEvent(event: PublishedEvent): { channel: string; payload: string } {
  return { channel: CHANNEL, payload: JSON.stringify(event) };
}

export interface PostgresEvents extends Events {
  /** Resolves once LISTEN is established. */
  start(): Promise<void>;
  /** False while the LISTEN connection is away: such an instance is not ready. */
  readonly connected: boolean;
  /** Ends every subscription. */
  close(): Promise<void>;
}

export interface EventsOptions {
  readonly databaseUrl: string;
  readonly logger: Logger;
  /** How often the LISTEN connection is asked whether it is still there, and how long it may take to answer. */
  readonly heartbeatMs?: number;
  readonly answerWithinMs?: number;
}

export function createEvents(options: EventsOptions): PostgresEvents {
  return new ListeningEvents({ heartbeatMs: HEARTBEAT_MS, answerWithinMs: ANSWER_WITHIN_MS, ...options });
}

class ListeningEvents implements PostgresEvents {
  readonly #options: Required<EventsOptions>;
  readonly #logger: Logger;
  readonly #queues = new Set<EventQueue>();
  #client: pg.Client | null = null;
  #reconnect: NodeJS.Timeout | null = null;
  #heartbeat: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: Required<EventsOptions>) {
    this.#options = options;
    this.#logger = options.logger;
  }

  get connected(): boolean {
    return this.#client !== null;
  }

  async publish(tx: Queryable, event: PublishedEvent): Promise<void> {
    await publishEvent(tx, event);
  }

  subscribe(filter: (event: PublishedEvent) => boolean): EventStream {
    const queue = new EventQueue(filter, () => this.#queues.delete(queue));
    if (this.#closed) queue.end();
    else this.#queues.add(queue);
    return queue;
  }

  async start(): Promise<void> {
    await this.#connect();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#reconnect) clearTimeout(this.#reconnect);
    if (this.#heartbeat) clearTimeout(this.#heartbeat);
    for (const queue of [...this.#queues]) queue.end();
    const client = this.#client;
    this.#client = null;
    if (client) await this.#end(client);
  }

  async #connect(): Promise<void> {
    const client = createClient({
      ...clientConfig(this.#options.databaseUrl),
      application_name: "supalove control plane events",
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
      query_timeout: this.#options.answerWithinMs,
    });
    client.on("error", (error) => this.#logger.warn({ err: error }, "the event connection failed"));
    client.on("end", () => {
      if (this.#client !== client) return;
      this.#client = null;
      this.#scheduleReconnect(FIRST_RECONNECT_MS);
    });
    client.on("notification", ({ payload }) => this.#receive(payload));
    try {
      await client.connect();
      await client.query(`/* listenToEvents */ listen ${CHANNEL}`);
    } catch (error) {
      await this.#end(client);
      throw error;
    }
    if (this.#closed) return this.#end(client);
    this.#client = client;
    this.#beatLater(client);
  }

  #beatLater(client: pg.Client): void {
    this.#heartbeat = setTimeout(async () => {
      try {
        await client.query("/* heartbeat */ select 1");
        if (this.#client === client) this.#beatLater(client);
      } catch (error) {
        if (this.#client !== client) return;
        this.#logger.warn({ err: error }, "the event connection does not answer");
        destroy(client); // its end begins the reconnect
      }
    }, this.#options.heartbeatMs);
  }

  async #end(client: pg.Client): Promise<void> {
    const impatience = setTimeout(() => destroy(client), this.#options.answerWithinMs);
    await client.end().catch(() => undefined);
    clearTimeout(impatience);
  }

  #scheduleReconnect(delayMs: number): void {
    if (this.#closed) return;
    this.#reconnect = setTimeout(async () => {
      try {
        await this.#connect();
        for (const queue of this.#queues) queue.resync();
      } catch (error) {
        this.#logger.warn({ err: error, delayMs }, "the event connection is not back yet");
        this.#scheduleReconnect(Math.min(delayMs * 2, LAST_RECONNECT_MS));
      }
    }, delayMs);
  }

  #receive(payload: string | undefined): void {
    let event: PublishedEvent;
    try {
      event = JSON.parse(payload ?? "") as PublishedEvent;
    } catch {
      this.#logger.warn({ payload }, "an event that is not JSON was ignored");
      return;
    }
    for (const queue of this.#queues) queue.push(event);
  }
}

/** pg says good-bye and waits for an answer; a peer that is gone gives none. */
function destroy(client: pg.Client): void {
  (client as unknown as { connection: { stream: Duplex } }).connection.stream.destroy();
}

/** Hands events from the one connection to one reader, with a bounded memory. */
class EventQueue implements EventStream {
  readonly #filter: (event: PublishedEvent) => boolean;
  readonly #onEnd: () => void;
  #events: ControlPlaneEvent[] = [];
  #waiting: ((result: IteratorResult<ControlPlaneEvent>) => void)[] = [];
  #ended = false;

  constructor(filter: (event: PublishedEvent) => boolean, onEnd: () => void) {
    this.#filter = filter;
    this.#onEnd = onEnd;
  }

  push(event: PublishedEvent): void {
    if (this.#filter(event)) this.#deliver(event);
  }

  /** What is queued is older than the re-read that this event asks for. */
  resync(): void {
    this.#events = [];
    this.#deliver({ topic: "resync" });
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    for (const resolve of this.#waiting.splice(0)) resolve({ done: true, value: undefined });
  }

  next(): Promise<IteratorResult<ControlPlaneEvent>> {
    const event = this.#events.shift();
    if (event) return Promise.resolve({ done: false, value: event });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<ControlPlaneEvent>> {
    this.#events = [];
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #deliver(event: ControlPlaneEvent): void {
    if (this.#ended) return;
    const resolve = this.#waiting.shift();
    if (resolve) resolve({ done: false, value: event });
    else if (this.#events.length >= MAX_QUEUED_EVENTS) this.resync();
    else this.#events.push(event);
  }
}
