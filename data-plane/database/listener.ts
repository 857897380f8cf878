/** LISTEN on a connection of its own that comes back by itself. */
import type { DatabaseAddress } from "../../control-plane/client/config-snapshot.ts";
import { Batch } from "./batch.ts";
import { Connection, type ConnectionLimits, type ConnectionOwner, lostError } from "./connection.ts";
import { type ChannelHandlers, ConnectionLost } from "./database.ts";
import type { DatabaseLogger } from "./pool-options.ts";
import { type HandshakeOptions, openConnection } from "./wire/handshake.ts";

export interface ListenerOptions {
  readonly address: DatabaseAddress;
  readonly channel: string;
  readonly handlers: ChannelHandlers;
  readonly handshake: Omit<HandshakeOptions, "address">;
  readonly limits: ConnectionLimits;
  readonly now: () => number;
  readonly logger: DatabaseLogger;
  /** Called once when the listener is closed for good. */
  readonly onClose: () => void;
}

const RECONNECT_FIRST_MS = 250;
const RECONNECT_MAX_MS = 32_000;
/** A quiet connection is asked for a sign of life, because a lost route shows no error. */
const PING_EVERY_MS = 30_000;
const PING_TIMEOUT_MS = 10_000;

export class Listener {
  readonly #options: ListenerOptions;
  #connection: Connection | null = null;
  #timer: NodeJS.Timeout | undefined;
  #attempts = 0;
  #isClosed = false;
  #onDisconnected: (() => void) | null = null;

  private constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Resolves when LISTEN is established. Rejects when the first attempt fails; later ones are repeated for ever. */
  static async start(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    try {
      await listener.#connect();
    } catch (error) {
      await listener.close();
      throw error;
    }
    return listener;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const connection = this.#connection;
    if (connection && !connection.isClosed) {
      await new Promise<void>((resolve) => {
        this.#onDisconnected = resolve;
        connection.end();
      });
    }
    this.#options.onClose();
  }

  async #connect(): Promise<void> {
    const { address, channel, handlers, handshake, limits, now } = this.#options;
    const opened = await openConnection({ ...handshake, address });
    const owner: ConnectionOwner = {
      onWritten: (connection) => connection.flush(),
      onAnswered: () => {},
      onRefused: () => {},
      onBatchEnd: () => {},
      onRetry: (_connection, batch) => batch.fail(new ConnectionLost("not repeated", { sent: true })),
      onClosed: (_connection, reason, unanswered) => {
        for (const batch of unanswered) batch.fail(lostError(reason, true));
        this.#onLost(reason);
      },
    };
    const connection = new Connection(opened, address, owner, limits, now, null);
    this.#connection = connection;
    connection.notificationHandler = (notified, payload) => {
      if (notified === channel && !this.#isClosed) handlers.onNotification(payload);
    };
    await this.#run(`/* listen */ listen "${channel.replaceAll('"', '""')}"`);
    this.#attempts = 0;
    if (this.#isClosed) connection.end();
    else this.#schedulePing();
  }

  async #run(text: string): Promise<void> {
    const batch = new Batch([{ text, values: [], prepare: false }], this.#options.now());
    this.#connection?.send(batch);
    await batch.promise;
  }

  #schedulePing(): void {
    this.#timer = setTimeout(() => {
      const deadline = setTimeout(
        () => this.#connection?.destroy(new Error("the server gave no sign of life")),
        PING_TIMEOUT_MS,
      );
      this.#run("/* listen */ select 1").then(
        () => {
          clearTimeout(deadline);
          if (!this.#isClosed) this.#schedulePing();
        },
        () => clearTimeout(deadline), // onClosed takes it from here
      );
    }, PING_EVERY_MS).unref();
  }

  #onLost(reason: Error): void {
    clearTimeout(this.#timer);
    this.#connection = null;
    this.#onDisconnected?.();
    if (this.#isClosed) return;
    this.#options.logger.warn({ error: reason.message }, "the listening connection was lost");
    this.#scheduleReconnect();
  }

  #scheduleReconnect(): void {
    const pause = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** this.#attempts++);
    this.#timer = setTimeout(() => {
      this.#connect().then(
        () => {
          if (!this.#isClosed) this.#options.handlers.onReconnect();
        },
        () => {
          // When the connection had been opened, its loss has set the next attempt already.
          if (!this.#isClosed && !this.#connection) this.#scheduleReconnect();
        },
      );
    }, pause).unref();
  }
}
