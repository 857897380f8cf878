/** For tests: a control plane whose answers and pushes the test hands out one by one. */

import type { ConfigChanges, GatewaySnapshot } from "../config-snapshot.ts";
import type { ConfigLookup, ConfigSource } from "../config-source.ts";

export interface AskedLookup {
  readonly refs: readonly string[];
  readonly hosts: readonly string[];
  /** Answers from these snapshots: by ref and by custom host; what is not among them does not exist. */
  answer(...snapshots: GatewaySnapshot[]): void;
  fail(error?: Error): void;
}

/** One connection of the feed, as the control plane sees it. */
export interface Feed {
  readonly after: number | null;
  push(changes: Partial<ConfigChanges<"gateway">>): void;
  break(error?: Error): void;
}

export class ScriptedSource implements ConfigSource<"gateway"> {
  readonly lookups: AskedLookup[] = [];
  readonly feeds: Feed[] = [];
  #waiting: (() => void)[] = [];

  lookUp(refs: readonly string[], hosts: readonly string[]): Promise<ConfigLookup<"gateway">> {
    const { promise, resolve, reject } = Promise.withResolvers<ConfigLookup<"gateway">>();
    this.lookups.push({
      refs,
      hosts,
      answer: (...snapshots) =>
        resolve({
          byRef: refs.map((ref) => snapshots.find(({ projectRef }) => projectRef === ref) ?? null),
          byHost: hosts.map((host) => snapshots.find(({ customHosts }) => customHosts.includes(host)) ?? null),
        }),
      fail: (error = new Error("down")) => reject(error),
    });
    this.#notify();
    return promise;
  }

  async *follow(after: number | null, signal: AbortSignal): AsyncGenerator<ConfigChanges<"gateway">> {
    const pushes: (ConfigChanges<"gateway"> | Error)[] = [];
    let wake: () => void = () => undefined;
    const add = (push: ConfigChanges<"gateway"> | Error) => {
      pushes.push(push);
      wake();
    };
    signal.addEventListener("abort", () => add(new Error("aborted")));
    this.feeds.push({
      after,
      push: (changes) => add({ cursor: 0, snapshots: [], resync: false, ...changes }),
      break: (error = new Error("broken")) => add(error),
    });
    this.#notify();
    for (;;) {
      const push = pushes.shift();
      if (push instanceof Error) throw push;
      if (push) yield push;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }

  /** The feed's connection number `count` (from 1), as soon as it is opened. */
  async feed(count = 1): Promise<Feed> {
    return this.#at(this.feeds, count);
  }

  /** Question number `count` (from 1), as soon as it is asked. */
  async lookup(count = 1): Promise<AskedLookup> {
    return this.#at(this.lookups, count);
  }

  async #at<T>(list: readonly T[], count: number): Promise<T> {
    for (;;) {
      const item = list[count - 1];
      if (item) return item;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #notify(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
