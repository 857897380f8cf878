/**
 * A value that is loaded on first use, once for all who wait, and loaded anew when told to, while the old one goes on
 * serving. Here: what a database is served by.
 */

import { Pauses } from "../work/pauses.ts";

export interface ReloadingOptions<T> {
  readonly load: () => Promise<T>;
  readonly onLoaded: (value: T) => void;
  readonly onFailed: (error: unknown) => void;
  /** Milliseconds, growing steadily. */
  readonly clock: () => number;
  readonly setTimer: (callback: () => void, delayMs: number) => { cancel(): void };
}

/** At most one reload at once and one more after this time, however many are asked for. */
export const DEBOUNCE_MS = 100;
/** After a failure requests are answered with it this long before another attempt. */
const RETRY_AFTER_MS = 1000;

export class Reloading<T> {
  readonly #options: ReloadingOptions<T>;
  #value: T | null = null;
  #loading: Promise<T> | null = null;
  #lastStart = Number.NEGATIVE_INFINITY;
  readonly #pauses: Pauses;
  #lastFailure: { readonly until: number; readonly error: unknown } | null = null;
  #timer: { cancel(): void } | null = null;
  #closed = false;

  constructor(options: ReloadingOptions<T>) {
    this.#options = options;
    this.#pauses = new Pauses(options.clock);
  }

  /** What there is now, without waiting. */
  get current(): T | null {
    return this.#value;
  }

  /** Rejects with what the first load failed with. */
  get(): T | Promise<T> {
    if (this.#value !== null) return this.#value;
    if (this.#loading) return this.#loading;
    const failure = this.#lastFailure;
    if (failure && this.#options.clock() < failure.until) return Promise.reject(failure.error);
    return this.#start();
  }

  /** Until the next load. */
  replace(value: T): void {
    if (!this.#closed) this.#value = value;
  }

  /** Resolves at once; nothing is loaded that nobody has asked for yet. */
  reload(): void {
    if (this.#closed || this.#timer || (this.#value === null && !this.#loading)) return;
    const wait = Math.max(this.#lastStart + DEBOUNCE_MS, this.#pauses.next) - this.#options.clock();
    if (wait <= 0 && !this.#loading) {
      this.#start().catch(() => {}); // told through onFailed
      return;
    }
    this.#timer = this.#options.setTimer(
      () => {
        this.#timer = null;
        if (this.#loading) this.#loading.catch(() => {}).finally(() => this.reload());
        else this.reload();
      },
      Math.max(wait, 1),
    );
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#value = null;
  }

  #start(): Promise<T> {
    this.#lastStart = this.#options.clock();
    const ended = () => {
      this.#loading = null;
      this.#pauses.ended(this.#lastStart);
    };
    const loading = this.#options.load().then(
      (value) => {
        ended();
        this.#lastFailure = null;
        if (!this.#closed) {
          this.#value = value;
          this.#options.onLoaded(value);
        }
        return value;
      },
      (error: unknown) => {
        ended();
        // A load that failed fast, as on a server that is down, is tried again soon; one that took long is not.
        const retry = this.#options.clock() + RETRY_AFTER_MS;
        this.#lastFailure = { until: Math.max(retry, this.#pauses.next), error };
        this.#options.onFailed(error);
        throw error;
      },
    );
    this.#loading = loading;
    return loading;
  }
}
