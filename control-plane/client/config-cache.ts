/**
 * What a process knows of projects: the snapshots it has used lately, kept up to date by the control plane's feed.
 *
 * - A hit is synchronous. A miss is one question a project, however many requests wait for it; questions of one moment
 *   travel together.
 * - The feed pushes every change. It goes on from a cursor after a break; where that is not possible, entries of before
 *   (an older generation) are asked for again on their next use.
 * - While the control plane is away, what is known is served as it is.
 * - Memory is bounded: used snapshots, and apart from them refs and hosts that do not exist, so that somebody who makes
 *   names up cannot push real projects out.
 */
import { LRUCache } from "lru-cache";
import { backoffMs } from "./backoff.ts";
import {
  type Audience,
  type ConfigChanges,
  type DeletedProject,
  isProjectRef,
  type ProjectRef,
  type SnapshotOf,
} from "./config-snapshot.ts";
import { type ConfigSource, type ConfigSourceOptions, createConfigSource } from "./config-source.ts";
import { createLookupQueue, type LookupQueue } from "./lookup-queue.ts";
import { ConfigUnavailable } from "./operation-requests.ts";

export interface ConfigCacheOptions<A extends Audience> extends ConfigSourceOptions {
  readonly audience: A;
  /** Most snapshots held; some kilobytes each. Default 20,000. */
  readonly maxEntries?: number;
  /** How long "no such project" is believed, unless a push says otherwise. Default 5,000. */
  readonly negativeTtlMs?: number;
  /** Milliseconds since the epoch; default Date.now. */
  readonly now?: () => number;
  readonly logger?: ConfigCacheLogger;
}

/** The part of pino's logger that is used. */
export interface ConfigCacheLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

export interface ConfigChange<A extends Audience> {
  readonly projectRef: ProjectRef;
  /** Null: the project was deleted. */
  readonly snapshot: SnapshotOf<A> | null;
}

export interface ConfigCacheStatus {
  /** Whether the feed is there; while it is not, changes do not arrive. */
  readonly connected: boolean;
  /** When the feed was lost, in milliseconds since the epoch; null while it is there, or was never. */
  readonly disconnectedSince: number | null;
  /** The feed's last cursor; null before the first connection. */
  readonly cursor: number | null;
  readonly entries: number;
  readonly absentEntries: number;
  readonly lookupsUnderWay: number;
}

export interface ConfigCache<A extends Audience> {
  /** For hot paths: undefined when not known (then {@link get}), null when there is no such project. */
  peek(ref: string): SnapshotOf<A> | null | undefined;
  /** Null when there is no such project. @throws {ConfigUnavailable} unknown, and the control plane cannot be asked. */
  get(ref: string): Promise<SnapshotOf<A> | null>;
  /** As {@link peek}, for a custom host in lower case and without a port. Gateways only. */
  peekByHost(host: string): SnapshotOf<A> | null | undefined;
  getByHost(host: string): Promise<SnapshotOf<A> | null>;
  /** Called after each change that the feed tells of, whether the project was in use here or not. @returns an undo. */
  onChange(listener: (change: ConfigChange<A>) => void): () => void;
  /** Resolves when the feed is there for the first time; rejects only by {@link close}. */
  readonly ready: Promise<void>;
  status(): ConfigCacheStatus;
  /** Ends the feed and refuses what still waits. */
  close(): void;
}

/** Opens the feed at once and keeps trying until {@link ConfigCache.close}. */
export function createConfigCache<A extends Audience>(options: ConfigCacheOptions<A>): ConfigCache<A> {
  return new FedConfigCache(options, createConfigSource<A>(options));
}

interface Entry<A extends Audience> {
  readonly snapshot: SnapshotOf<A>;
  readonly generation: number;
}

interface Absence {
  /** Of the tombstone; 0 when there never was such a project. */
  readonly version: number;
  readonly until: number;
}

/** A feed that was there this long has proved itself: the next reconnect begins with the short delay again. */
const STEADY_MS = 5_000;

/** Exported for tests, which give it a source of their own. */
export class FedConfigCache<A extends Audience> implements ConfigCache<A> {
  readonly ready: Promise<void>;
  readonly #source: ConfigSource<A>;
  readonly #audience: A;
  readonly #negativeTtlMs: number;
  readonly #now: () => number;
  readonly #logger: ConfigCacheLogger | undefined;
  readonly #entries: LRUCache<string, Entry<A>>;
  readonly #refOfHost = new Map<string, string>();
  readonly #absentRefs: LRUCache<string, Absence>;
  readonly #absentHosts: LRUCache<string, Absence>;
  readonly #lookups: LookupQueue<A>;
  readonly #listeners = new Set<(change: ConfigChange<A>) => void>();
  readonly #closing = new AbortController();
  #resolveReady: () => void = () => undefined;
  #rejectReady: (error: Error) => void = () => undefined;
  #generation = 0;
  #cursor: number | null = null;
  #connected = false;
  #disconnectedSince: number | null = null;

  constructor(options: Omit<ConfigCacheOptions<A>, keyof ConfigSourceOptions>, source: ConfigSource<A>) {
    const { maxEntries = 20_000 } = options;
    this.#source = source;
    this.#audience = options.audience;
    this.#negativeTtlMs = options.negativeTtlMs ?? 5_000;
    this.#now = options.now ?? Date.now;
    this.#logger = options.logger;
    this.#entries = new LRUCache({ max: maxEntries, dispose: (entry, ref) => this.#forgetHosts(entry, ref) });
    this.#absentRefs = new LRUCache({ max: maxEntries });
    this.#absentHosts = new LRUCache({ max: maxEntries });
    this.#lookups = createLookupQueue(source, this.#closing.signal);
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => undefined); // who does not wait for it must not crash by it
    void this.#follow();
  }

  peek(ref: string): SnapshotOf<A> | null | undefined {
    const entry = this.#entries.get(ref);
    if (entry !== undefined) return this.#isUsable(entry) ? entry.snapshot : undefined;
    return this.#isAbsent(this.#absentRefs, ref) ? null : undefined;
  }

  peekByHost(host: string): SnapshotOf<A> | null | undefined {
    const ref = this.#refOfHost.get(host);
    if (ref !== undefined) return this.peek(ref);
    return this.#isAbsent(this.#absentHosts, host) ? null : undefined;
  }

  async get(ref: string): Promise<SnapshotOf<A> | null> {
    if (!isProjectRef(ref)) return null;
    const known = this.peek(ref);
    if (known !== undefined) return known;
    try {
      return await this.#lookups.byRef(ref, this.#generation, (found, load) => {
        if (found) return this.#keepLookedUp(found, load);
        if (load.pushedVersion === null) this.#keepAbsent(this.#absentRefs, ref, 0);
        return this.#entries.peek(ref)?.snapshot ?? null;
      });
    } catch (error) {
      return this.#staleOr(error, ref);
    }
  }

  async getByHost(host: string): Promise<SnapshotOf<A> | null> {
    const known = this.peekByHost(host);
    if (known !== undefined) return known;
    try {
      return await this.#lookups.byHost(host, this.#generation, (found, load) => {
        if (found) this.#keepLookedUp(found, load);
        else if (load.pushedVersion === null) this.#keepAbsent(this.#absentHosts, host, 0);
        // A push during the lookup may have moved the host: what counts is what is known now.
        const ref = this.#refOfHost.get(host);
        return (ref !== undefined && this.#entries.peek(ref)?.snapshot) || null;
      });
    } catch (error) {
      return this.#staleOr(error, this.#refOfHost.get(host));
    }
  }

  onChange(listener: (change: ConfigChange<A>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  status(): ConfigCacheStatus {
    return {
      connected: this.#connected,
      disconnectedSince: this.#disconnectedSince,
      cursor: this.#cursor,
      entries: this.#entries.size,
      absentEntries: this.#absentRefs.size + this.#absentHosts.size,
      lookupsUnderWay: this.#lookups.size,
    };
  }

  close(): void {
    const closed = new ConfigUnavailable("the config cache is closed");
    this.#closing.abort(closed);
    this.#rejectReady(closed);
  }

  /** An entry of an older generation may have missed a change; it only serves while there is nobody to ask. */
  #isUsable(entry: Entry<A>): boolean {
    return entry.generation === this.#generation || !this.#connected;
  }

  #isAbsent(absences: LRUCache<string, Absence>, name: string): boolean {
    const absence = absences.get(name);
    return absence !== undefined && absence.until > this.#now();
  }

  #staleOr(error: unknown, ref: string | undefined): SnapshotOf<A> {
    const entry = ref === undefined ? undefined : this.#entries.peek(ref);
    if (entry) return entry.snapshot;
    throw error;
  }

  #keepAbsent(absences: LRUCache<string, Absence>, name: string, version: number): void {
    absences.set(name, { version, until: this.#now() + this.#negativeTtlMs });
  }

  /** @returns what counts now: a push that came while the question was under way may be newer than its answer. */
  #keepLookedUp(
    snapshot: SnapshotOf<A>,
    load: { readonly generation: number; readonly pushedVersion: number | null },
  ): SnapshotOf<A> | null {
    this.#checkAudience(snapshot);
    if (snapshot.version >= (load.pushedVersion ?? 0)) this.#keep(snapshot, load.generation);
    return this.#entries.peek(snapshot.projectRef)?.snapshot ?? null;
  }

  /** Older than what is known of the same generation: dropped. */
  #keep(snapshot: SnapshotOf<A>, generation: number): void {
    const ref = snapshot.projectRef;
    const known = this.#entries.peek(ref);
    const knownVersion =
      known?.generation === this.#generation ? known.snapshot.version : (this.#absentRefs.peek(ref)?.version ?? 0);
    if (snapshot.version < knownVersion) return;
    this.#absentRefs.delete(ref);
    this.#entries.set(ref, { snapshot, generation });
    for (const host of hostsOf(snapshot)) {
      this.#refOfHost.set(host, ref);
      this.#absentHosts.delete(host);
    }
  }

  #forgetHosts({ snapshot }: Entry<A>, ref: string): void {
    for (const host of hostsOf(snapshot)) if (this.#refOfHost.get(host) === ref) this.#refOfHost.delete(host);
  }

  #receive(changes: ConfigChanges<A>): void {
    if (changes.resync) {
      this.#generation++;
      this.#absentRefs.clear();
      this.#absentHosts.clear();
    }
    for (const change of changes.snapshots) {
      if ("deleted" in change) this.#receiveEnd(change);
      else this.#receiveSnapshot(change);
    }
    this.#cursor = changes.cursor;
    this.#connected = true;
    this.#disconnectedSince = null;
    this.#resolveReady();
  }

  /** Only what is in use here is kept, otherwise every process would in the end hold every project. */
  #receiveSnapshot(snapshot: SnapshotOf<A>): void {
    this.#checkAudience(snapshot);
    const ref = snapshot.projectRef;
    const hosts = hostsOf(snapshot);
    const isAwaited = this.#lookups.pushed(ref, hosts, snapshot.version);
    const isAsked = this.#absentRefs.has(ref) || hosts.some((host) => this.#absentHosts.has(host));
    if (isAwaited || isAsked || this.#entries.has(ref)) this.#keep(snapshot, this.#generation);
    this.#tell({ projectRef: ref, snapshot });
  }

  #receiveEnd({ projectRef, version }: DeletedProject): void {
    this.#lookups.pushed(projectRef, [], version);
    this.#entries.delete(projectRef);
    this.#keepAbsent(this.#absentRefs, projectRef, version);
    this.#tell({ projectRef, snapshot: null });
  }

  #tell(change: ConfigChange<A>): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        this.#logger?.warn({ err: error, projectRef: change.projectRef }, "a listener of config changes failed");
      }
    }
  }

  #checkAudience(snapshot: SnapshotOf<A>): void {
    if (snapshot.audience !== this.#audience)
      throw new ConfigUnavailable(
        `the service token is one of a ${snapshot.audience}, this process is a ${this.#audience}`,
      );
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    for (let attempt = 0; !signal.aborted; attempt++) {
      let connectedAt: number | null = null;
      let reason: unknown = "the control plane ended the feed";
      try {
        for await (const changes of this.#source.follow(this.#cursor, signal)) {
          if (connectedAt === null) this.#logger?.info({ cursor: changes.cursor }, "the config feed is there");
          connectedAt ??= this.#now();
          this.#receive(changes);
        }
      } catch (error) {
        reason = error;
      }
      if (signal.aborted) return;
      if (connectedAt !== null && this.#now() - connectedAt >= STEADY_MS) attempt = 0;
      if (this.#connected) this.#disconnectedSince = this.#now();
      this.#connected = false;
      const delayMs = backoffMs(attempt);
      // Once for each time it is gone, and not when it is back at once or this process ends with the control plane.
      const level = attempt === 1 ? "warn" : "info";
      this.#logger?.[level](
        { audience: this.#audience, reason: describe(reason), attempt, delayMs },
        "the config feed was lost; known projects are served as they are",
      );
      await sleep(delayMs, signal);
    }
  }
}

/** One line: `fetch failed` alone says nothing, its cause does. */
function describe(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason);
  const { code, message } = (reason.cause ?? {}) as { code?: string; message?: string };
  return [reason.message, code ?? message].filter(Boolean).join(": ");
}

/** Only gateways know hosts; every other snapshot has none. */
function hostsOf(snapshot: SnapshotOf<Audience>): readonly string[] {
  return snapshot.audience === "gateway" ? snapshot.customHosts : [];
}

function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener("abort", done, { once: true });
  });
}
