/**
 * Questions for projects that are not known: one under way for each name, many names in one request, few requests at a
 * time. Somebody who makes up refs or hosts therefore costs the control plane a handful of statements, not a flood.
 */

import type { Audience, SnapshotOf } from "./config-snapshot.ts";
import type { ConfigSource } from "./config-source.ts";
import { ConfigUnavailable } from "./operation-requests.ts";

export interface Lookup {
  /** The cache's generation when the question was asked. */
  readonly generation: number;
  /** Version of the newest push for this name since then: an answer that is older is out of date. Null without one. */
  pushedVersion: number | null;
}

/** Takes the control plane's answer in and says what counts. Called once for each question. */
export type TakeAnswer<A extends Audience> = (found: SnapshotOf<A> | null, lookup: Lookup) => SnapshotOf<A> | null;

export interface LookupQueue<A extends Audience> {
  /** @throws {ConfigUnavailable} the control plane cannot be asked, or too many questions wait already. */
  byRef(ref: string, generation: number, take: TakeAnswer<A>): Promise<SnapshotOf<A> | null>;
  byHost(host: string, generation: number, take: TakeAnswer<A>): Promise<SnapshotOf<A> | null>;
  /**
   * Notes a push on the questions that it concerns.
   * @returns whether some answer under way could be older than the push, which is then to be kept: also when any host is
   * asked for, because the answer may be this project as it was before it gave that host up.
   */
  pushed(ref: string, hosts: readonly string[], version: number): boolean;
  readonly size: number;
}

interface PendingLookup<A extends Audience> extends Lookup {
  readonly name: string;
  readonly answer: Promise<SnapshotOf<A> | null>;
  readonly take: TakeAnswer<A>;
  resolve(snapshot: SnapshotOf<A> | null): void;
  reject(error: unknown): void;
}

const MAX_NAMES_IN_REQUEST = 100;
const MAX_REQUESTS = 4;
const MAX_PENDING = 10_000;

export function createLookupQueue<A extends Audience>(source: ConfigSource<A>, signal: AbortSignal): LookupQueue<A> {
  const byRef = new Map<string, PendingLookup<A>>();
  const byHost = new Map<string, PendingLookup<A>>();
  let waitingRefs: PendingLookup<A>[] = [];
  let waitingHosts: PendingLookup<A>[] = [];
  let requests = 0;
  let isScheduled = false;

  function ask(
    pending: Map<string, PendingLookup<A>>,
    waiting: PendingLookup<A>[],
    name: string,
    generation: number,
    take: TakeAnswer<A>,
  ): Promise<SnapshotOf<A> | null> {
    const running = pending.get(name);
    if (running) return running.answer;
    if (byRef.size + byHost.size >= MAX_PENDING) return Promise.reject(new ConfigUnavailable("too many lookups wait"));
    const { promise, resolve, reject } = Promise.withResolvers<SnapshotOf<A> | null>();
    const lookup = { name, generation, pushedVersion: null, answer: promise, take, resolve, reject };
    pending.set(name, lookup);
    waiting.push(lookup);
    schedule();
    return promise;
  }

  /** On the next turn of the event loop, so that the questions of this one travel together. */
  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      while (requests < MAX_REQUESTS && waitingRefs.length + waitingHosts.length > 0) void send();
    });
  }

  async function send(): Promise<void> {
    const refs = waitingRefs.slice(0, MAX_NAMES_IN_REQUEST);
    const hosts = waitingHosts.slice(0, MAX_NAMES_IN_REQUEST);
    waitingRefs = waitingRefs.slice(refs.length);
    waitingHosts = waitingHosts.slice(hosts.length);
    requests++;
    try {
      signal.throwIfAborted();
      const found = await source.lookUp(refs.map(nameOf), hosts.map(nameOf), signal);
      settle(byRef, refs, found.byRef);
      settle(byHost, hosts, found.byHost);
    } catch (error) {
      for (const lookup of refs) fail(byRef, lookup, error);
      for (const lookup of hosts) fail(byHost, lookup, error);
    } finally {
      requests--;
      schedule();
    }
  }

  return {
    byRef: (ref, generation, take) => ask(byRef, waitingRefs, ref, generation, take),
    byHost: (host, generation, take) => ask(byHost, waitingHosts, host, generation, take),
    pushed(ref, hosts, version) {
      const concerned = [byRef.get(ref), ...hosts.map((host) => byHost.get(host))].filter(
        (found) => found !== undefined,
      );
      for (const lookup of concerned) lookup.pushedVersion = Math.max(lookup.pushedVersion ?? 0, version);
      return concerned.length > 0 || byHost.size > 0;
    },
    get size() {
      return byRef.size + byHost.size;
    },
  };
}

function settle<A extends Audience>(
  pending: Map<string, PendingLookup<A>>,
  lookups: readonly PendingLookup<A>[],
  found: readonly (SnapshotOf<A> | null)[],
): void {
  lookups.forEach((lookup, index) => {
    pending.delete(lookup.name);
    try {
      lookup.resolve(lookup.take(found[index] ?? null, lookup));
    } catch (error) {
      lookup.reject(error);
    }
  });
}

function fail<A extends Audience>(
  pending: Map<string, PendingLookup<A>>,
  lookup: PendingLookup<A>,
  error: unknown,
): void {
  pending.delete(lookup.name);
  lookup.reject(error);
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}
