/**
 * Brings what the meter has counted to the control plane. A report is sent again until it is taken, and taken once: the
 * control plane knows the last sequence number of each process. A gateway that is killed loses what it has not reported.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Counter, type Registry } from "prom-client";
import { MAX_ENTRIES_OF_REPORT, type TrafficEntry } from "../../control-plane/client/traffic.ts";
import type { Logger } from "../logger.ts";

export interface TrafficReporterOptions {
  readonly take: () => TrafficEntry[];
  /** Rejects when the control plane did not take the report. */
  readonly send: (sequence: number, entries: readonly TrafficEntry[]) => Promise<void>;
  readonly registry: Registry;
  readonly logger: Logger;
  /** Default 10 s. */
  readonly intervalMs?: number;
}

const INTERVAL_MS = 10_000;
/** With so many entries a report costs something: it then waits until a minute is whole. */
const LARGE = 200;
const LARGE_INTERVAL_MS = 60_000;
/** What waits for a control plane that is away; the oldest is given up. About 100 MB. */
const MAX_WAITING = 200_000;

export class TrafficReporter {
  readonly #options: TrafficReporterOptions;
  readonly #intervalMs: number;
  readonly #timer: NodeJS.Timeout;
  readonly #dropped: Counter;
  #waiting: TrafficEntry[] = [];
  /** Kept with its number until it is taken, so that a report whose answer was lost is not counted twice. */
  #underWay: { readonly sequence: number; readonly entries: readonly TrafficEntry[] } | null = null;
  #sequence = 0;
  #notBefore = 0;
  #sending: Promise<void> | null = null;
  #isFailing = false;

  constructor(options: TrafficReporterOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? INTERVAL_MS;
    this.#dropped = new Counter({
      name: "supalove_gateway_traffic_entries_dropped_total",
      help: "Counts of a project's minute that were given up because the control plane took no reports.",
      registers: [options.registry],
    });
    this.#timer = setInterval(() => {
      if (performance.now() >= this.#notBefore) void this.report();
    }, this.#intervalMs);
    this.#timer.unref();
  }

  /** Sends what there is. Never rejects. */
  report(): Promise<void> {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = null;
    });
    return this.#sending;
  }

  /** Sends a last report, for which it waits a short time. */
  async close(withinMs = 2_000): Promise<void> {
    clearInterval(this.#timer);
    await this.#sending;
    await Promise.race([this.report(), delay(withinMs, undefined, { ref: false })]);
  }

  async #send(): Promise<void> {
    const { take, send, logger } = this.#options;
    const entries = take();
    if (entries.length > LARGE) this.#notBefore = performance.now() + LARGE_INTERVAL_MS - this.#intervalMs / 2;
    this.#wait(entries);
    try {
      while (this.#underWay !== null || this.#waiting.length > 0) {
        this.#underWay ??= {
          sequence: ++this.#sequence,
          entries: this.#waiting.splice(0, MAX_ENTRIES_OF_REPORT),
        };
        await send(this.#underWay.sequence, this.#underWay.entries);
        this.#underWay = null;
      }
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) logger.warn({ err: (error as Error).message }, "traffic could not be reported; it is kept");
      this.#isFailing = true;
    }
  }

  #wait(entries: readonly TrafficEntry[]): void {
    for (const entry of entries) this.#waiting.push(entry);
    const excess = this.#waiting.length - MAX_WAITING;
    if (excess <= 0) return;
    this.#waiting.splice(0, excess);
    this.#dropped.inc(excess);
  }
}
