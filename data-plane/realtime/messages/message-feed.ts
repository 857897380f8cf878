/**
 * Broadcasts from the database: a trigger on `realtime.messages` notifies the keys of new rows, which are then read and
 * sent. Open while the project has channels. Where the process has no connection left to listen with, the table is looked
 * at every few seconds instead.
 */
import { PoolTimeout } from "../../database/database.ts";
import type { RealtimeProject } from "../project.ts";
import {
  type MessageKey,
  maintainPartitions,
  readMessages,
  readMessagesSince,
  type StoredMessage,
} from "./stored-messages.ts";

const CHANNEL = "supalove_realtime_messages";
const STOP_AFTER_MS = 60_000;
const POLL_MS = 2_000;
const RETRY_MS = 5_000;
const MAINTENANCE_MS = 4 * 3_600_000;
/** Rows read at a time: each may have a few megabytes. */
const BATCH = 20;
/** Keys that wait to be read; a project that stores faster loses the newest. */
const MAX_PENDING = 10_000;
/** Ids remembered, so that a row is never sent twice. */
const MAX_RECENT = 5_000;
/** How far back a lost connection is made up for, and by how many rows. */
const OVERLAP_MICROS = 5_000_000n;
const MAX_CATCH_UP = 1_000;
const KEY = /^([0-9a-f-]{36})\/(\d{1,19})$/;

export class MessageFeed {
  readonly #project: RealtimeProject;
  #state: "closed" | "opening" | "listening" | "polling" = "closed";
  #listener: { close(): Promise<void> } | null = null;
  #pending: MessageKey[] = [];
  #isReading = false;
  readonly #recent = new Set<string>();
  /** The newest row seen, in microseconds since 1970. */
  #seen = 0n;
  #timer: NodeJS.Timeout | undefined;
  #stopTimer: NodeJS.Timeout | undefined;
  #maintenance: NodeJS.Timeout | undefined;
  #waiting = new Set<() => void>();

  constructor(project: RealtimeProject) {
    this.#project = project;
  }

  get isReady(): boolean {
    return this.#state === "listening" || this.#state === "polling";
  }

  get isIdle(): boolean {
    return this.#state === "closed";
  }

  /** Somebody has joined a channel, or nobody is left. */
  channelsChanged(count: number): void {
    if (count > 0) {
      clearTimeout(this.#stopTimer);
      this.#stopTimer = undefined;
      if (this.#state === "closed") void this.#open();
    } else if (!this.#stopTimer) {
      this.#stopTimer = setTimeout(() => this.close(), STOP_AFTER_MS);
      this.#stopTimer.unref();
    }
  }

  /** Called back once, as soon as every row stored from then on is sent. @returns An undo. */
  whenReady(callback: () => void): () => void {
    if (this.isReady) callback();
    else this.#waiting.add(callback);
    return () => this.#waiting.delete(callback);
  }

  close(): void {
    this.#state = "closed";
    clearTimeout(this.#timer);
    clearTimeout(this.#stopTimer);
    clearInterval(this.#maintenance);
    this.#stopTimer = undefined;
    this.#maintenance = undefined;
    const listener = this.#listener;
    this.#listener = null;
    this.#pending = [];
    listener?.close().catch(() => {});
  }

  async #open(): Promise<void> {
    this.#state = "opening";
    const { ref, snapshot, around } = this.#project;
    this.#seen = BigInt(around.now()) * 1000n;
    this.#maintain();
    try {
      const listener = await around.databases.listen(ref, snapshot.database, CHANNEL, {
        onNotification: (payload) => this.#notified(payload),
        onReconnect: () => void this.#catchUp(),
        onReleased: () => this.#lost(),
      });
      if (this.#is("closed")) await listener.close();
      else {
        this.#listener = listener;
        this.#ready("listening");
      }
    } catch (error) {
      if (this.#is("closed")) return;
      if (error instanceof PoolTimeout) {
        this.#ready("polling");
        this.#schedulePoll();
      } else this.#lost();
    }
  }

  /** The listener is gone for good (the project was paused, its address changed): a new one is opened. */
  #lost(): void {
    if (this.#is("closed")) return;
    this.#listener = null;
    this.#state = "opening";
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (!this.#is("closed")) void this.#open();
    }, RETRY_MS);
    this.#timer.unref();
  }

  #is(state: string): boolean {
    return this.#state === state;
  }

  #ready(state: "listening" | "polling"): void {
    this.#state = state;
    for (const callback of this.#waiting) callback();
    this.#waiting.clear();
  }

  #maintain(): void {
    const run = () =>
      maintainPartitions(this.#project.database()).catch((error: Error) => {
        const { ref, around } = this.#project;
        around.logger.warn({ projectRef: ref, error: error.message }, "partitions of realtime.messages were not made");
      });
    void run();
    clearInterval(this.#maintenance);
    this.#maintenance = setInterval(() => void run(), MAINTENANCE_MS);
    this.#maintenance.unref();
  }

  // ---- rows -----------------------------------------------------------------------------------------------------

  /** Anybody of the project may notify anything: what is no key is ignored, and a made-up key finds no row. */
  #notified(payload: string): void {
    for (const part of payload.split(",", 200)) {
      const [, id, insertedAt] = KEY.exec(part) ?? [];
      if (id === undefined || insertedAt === undefined) continue;
      if (this.#pending.length >= MAX_PENDING) this.#project.around.counters.droppedMessages += 1;
      else this.#pending.push({ id, insertedAt });
    }
    void this.#readPending();
  }

  async #readPending(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#pending.length > 0 && !this.#is("closed")) {
        const keys = this.#pending.splice(0, BATCH);
        const { maxPayloadBytes } = this.#project;
        for (const message of await readMessages(this.#project.database(), keys, maxPayloadBytes)) this.#send(message);
      }
    } catch (error) {
      this.#warn(error as Error);
    } finally {
      this.#isReading = false;
    }
  }

  async #catchUp(): Promise<void> {
    try {
      const since = String(this.#seen - OVERLAP_MICROS);
      const { maxPayloadBytes } = this.#project;
      for (const message of await readMessagesSince(this.#project.database(), since, maxPayloadBytes, MAX_CATCH_UP)) {
        this.#send(message);
      }
    } catch (error) {
      this.#warn(error as Error);
    }
  }

  #schedulePoll(): void {
    this.#timer = setTimeout(async () => {
      await this.#catchUp();
      if (this.#is("polling")) this.#schedulePoll();
    }, POLL_MS);
    this.#timer.unref();
  }

  #send(message: StoredMessage): void {
    const { id, topic, event, isPrivate, encoding, payload } = message;
    const insertedAt = BigInt(message.insertedAt);
    if (insertedAt > this.#seen) this.#seen = insertedAt;
    if (this.#recent.has(id)) return;
    this.#recent.add(id);
    if (this.#recent.size > MAX_RECENT) this.#recent.delete(this.#recent.values().next().value ?? "");
    if (payload === null || this.#project.hasTooManyEvents) {
      this.#project.around.counters.droppedMessages += 1;
      return;
    }
    const metadata = `{"id":"${id}"}`;
    this.#project.broadcast(topic, isPrivate, { kind: "user", id, event, encoding, payload, metadata }, null);
  }

  #warn(error: Error): void {
    const { ref, around } = this.#project;
    around.logger.warn({ projectRef: ref, error: error.message }, "stored broadcasts could not be read");
  }
}
