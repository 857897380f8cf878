/**
 * Keeps one database's schema cache: loads it on first use, once for all who wait, and reloads it when told to, while
 * the old one goes on serving.
 */
import type { SchemaCache } from "./types.ts";

export interface HolderOptions {
  readonly load: () => Promise<SchemaCache>;
  /** A reload took effect. */
  readonly onLoaded: (cache: SchemaCache) => void;
  readonly onFailed: (error: unknown) => void;
  /** Milliseconds, growing steadily. */
  readonly clock: () => number;
  readonly setTimer: (callback: () => void, delayMs: number) => { cancel(): void };
}

/** At most one reload at once and one more after this time, however many are asked for. */
export const DEBOUNCE_MS = 100;
/** After a failure requests are answered with it this long before another attempt. */
const RETRY_AFTER_MS = 1000;

export class SchemaCacheHolder {
  private readonly options: HolderOptions;
  private cache: SchemaCache | null = null;
  private loading: Promise<SchemaCache> | null = null;
  private lastStart = Number.NEGATIVE_INFINITY;
  private lastFailure: { readonly at: number; readonly error: unknown } | null = null;
  private timer: { cancel(): void } | null = null;
  private closed = false;

  constructor(options: HolderOptions) {
    this.options = options;
  }

  /** What is loaded now, without waiting. */
  get current(): SchemaCache | null {
    return this.cache;
  }

  /** Throws what the first load failed with. */
  get(): SchemaCache | Promise<SchemaCache> {
    if (this.cache) return this.cache;
    if (this.loading) return this.loading;
    const failure = this.lastFailure;
    if (failure && this.options.clock() - failure.at < RETRY_AFTER_MS) return Promise.reject(failure.error);
    return this.start();
  }

  /** Resolves at once; nothing is loaded for a database nobody has asked for yet. */
  reload(): void {
    if (this.closed || this.timer || (!this.cache && !this.loading)) return;
    const wait = this.lastStart + DEBOUNCE_MS - this.options.clock();
    if (wait <= 0 && !this.loading) {
      this.start().catch(() => {}); // told through onFailed
      return;
    }
    this.timer = this.options.setTimer(
      () => {
        this.timer = null;
        if (this.loading) this.loading.finally(() => this.reload()).catch(() => {});
        else this.reload();
      },
      Math.max(wait, 1),
    );
  }

  close(): void {
    this.closed = true;
    this.timer?.cancel();
    this.cache = null;
  }

  private start(): Promise<SchemaCache> {
    this.lastStart = this.options.clock();
    const loading = this.options.load().then(
      (cache) => {
        this.loading = null;
        this.lastFailure = null;
        if (!this.closed) {
          this.cache = cache;
          this.options.onLoaded(cache);
        }
        return cache;
      },
      (error: unknown) => {
        this.loading = null;
        this.lastFailure = { at: this.options.clock(), error };
        this.options.onFailed(error);
        throw error;
      },
    );
    this.loading = loading;
    return loading;
  }
}
