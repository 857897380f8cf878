/**
 * Tells when what was loaded of a database may be out of date: at a notification where a connection to listen on can be
 * had, by the clock where not. A process has fewer connections than projects, and a database may be down at the start.
 */
import type { ChannelHandlers } from "../database/database.ts";
import type { RestLogger } from "./rest-database.ts";

export interface SchemaWatchOptions {
  /** Resolves when LISTEN is established; what is lost later it mends by itself. */
  readonly listen: (handlers: ChannelHandlers) => Promise<{ close(): Promise<void> }>;
  readonly onChange: () => void;
  /** No connection could be had. */
  readonly onRefused?: (error: unknown) => void;
  /** Milliseconds, growing steadily. */
  readonly now: () => number;
  readonly logger: RestLogger;
}

/** Without a listener a project in use is looked at anew this often. */
export const UNWATCHED_RELOAD_MS = 5000;

/** Payloads that call for a reload; nothing stands for both. */
const RELOADS: readonly string[] = ["", "reload schema", "reload config"];

export class SchemaWatch {
  readonly #options: SchemaWatchOptions;
  #listener: { close(): Promise<void> } | null = null;
  #starting: Promise<void> | null = null;
  #nextAttempt = 0;
  #isClosed = false;

  /** Begins to listen at once. */
  constructor(options: SchemaWatchOptions) {
    this.#options = options;
    this.#start();
  }

  get isListening(): boolean {
    return this.#listener !== null;
  }

  /** Resolves when the attempt under way has ended. What is loaded from then on misses no change while one listens. */
  async settled(): Promise<void> {
    await this.#starting;
  }

  /** To be called with every request. Without a listener it may call for a reload, and tries again to listen. */
  touch(): void {
    if (this.#listener || this.#starting || this.#options.now() < this.#nextAttempt) return;
    this.#start();
    // Nobody told of the changes meanwhile, and whoever reloads waits for the attempt first.
    this.#options.onChange();
  }

  /** Gives the connection to somebody else; the next request brings it back. */
  async pause(): Promise<void> {
    const listener = this.#listener;
    this.#listener = null;
    this.#nextAttempt = 0;
    await listener?.close();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#starting;
    await this.pause();
  }

  #start(): void {
    const { listen, onChange, onRefused, now, logger } = this.#options;
    this.#nextAttempt = now() + UNWATCHED_RELOAD_MS;
    const handlers = {
      onNotification: (payload: string) => {
        if (RELOADS.includes(payload)) onChange();
      },
      onReconnect: onChange,
      // Nobody was told of anything since; the next request listens and loads anew.
      onReleased: () => {
        this.#listener = null;
        this.#nextAttempt = 0;
      },
    };
    this.#starting = listen(handlers).then(
      async (listener) => {
        this.#starting = null;
        if (this.#isClosed) await listener.close();
        else this.#listener = listener;
      },
      (error: unknown) => {
        this.#starting = null;
        logger.warn({ error: String(error) }, "cannot listen for reloads; looking every few seconds instead");
        onRefused?.(error);
      },
    );
  }
}
