/**
 * Database changes of one project: a replication stream as long as somebody has bindings, the bindings by table, and the
 * queue between the two. Whatever fails is told to the subscribers once and tried again; their channels stay.
 */
import { randomBytes } from "node:crypto";
import { DatabaseError } from "../../database/database.ts";
import { Pauses } from "../../work/pauses.ts";
import { Slices } from "../../work/slices.ts";
import type { Channel } from "../channel.ts";
import type { RealtimeProject } from "../project.ts";
import type { RequestedBinding } from "../protocol/join-config.ts";
import { PUBLICATION, readCatalogue, readFingerprint } from "./catalogue.ts";
import { ChangeQueue } from "./change-queue.ts";
import type { Candidate } from "./match-index.ts";
import { decodeMessage, type Relation, relationOfChange } from "./pgoutput/decode.ts";
import { changeOf, isAsInCatalogue, type KnownRelation, knownRelation, valueForFilter } from "./relations.ts";
import { ReplicationStream } from "./replication-stream.ts";
import { SLOT_PREFIX, type SlotBudget } from "./slots.ts";
import { Subscriptions } from "./subscriptions.ts";

const REFRESH_MS = 3_000;
/** A backlog of this age is given up: the slot would keep everybody's WAL. */
const MAX_BACKLOG_AGE_MS = 30_000;
/** Making a slot waits for every running write transaction of the cluster; subscribers are told after a while. */
const SLOW_START_MS = 8_000;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 10_000;
/** Work on messages of the stream after which others get their turn. */
const SLICE_MS = 3;

const PROBLEMS = {
  noLogin: "Realtime has no replication login for the database server of this project yet",
  noLogical: "Database changes need wal_level=logical on the database server of this project",
  noSlot: "Too many projects of this database server follow database changes at the moment, trying again",
  slow: "Database changes wait for transactions that run on the database server",
  lost: "The stream of database changes was interrupted, trying again",
  behind: "The stream of database changes has fallen too far behind and begins anew",
} as const;

/** A reason that subscribers may read. */
class FeedProblem extends Error {}

/** Why messages of the stream are held back for the moment. */
type Hold = "catalogue" | "turn" | "backlog";

interface HeldMessage {
  readonly body: Buffer;
  readonly start: number;
  readonly end: number;
}

export class ChangeFeed {
  readonly #project: RealtimeProject;
  readonly #slots: SlotBudget;
  readonly #subscriptions: Subscriptions;
  readonly #relations = new Map<number, KnownRelation>();
  readonly #pauses = new Pauses(() => performance.now());
  #stream: ReplicationStream | null = null;
  #queue: ChangeQueue;
  #state: "idle" | "starting" | "streaming" | "retrying" | "closed" = "idle";
  #committedAtMs = 0;
  #xid = 0;
  #failures = 0;
  #heldSlotOf: string | null = null;
  #isActivating = false;
  readonly #holds = new Set<Hold>();
  /** What has come while something was held back; the stream is paused, so it is a piece of one read at most. */
  #held: HeldMessage[] = [];
  /** Work on messages since others had their turn. */
  #workedMs = 0;
  /** The reading of the catalogue that goes on; null when none does. */
  #reloading: Promise<void> | null = null;
  #laterReload: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #refresh: NodeJS.Timeout | undefined;

  constructor(project: RealtimeProject, slots: SlotBudget) {
    this.#project = project;
    this.#slots = slots;
    this.#subscriptions = new Subscriptions(project);
    this.#queue = this.#newQueue();
  }

  get isStreaming(): boolean {
    return this.#state === "streaming";
  }

  get isIdle(): boolean {
    return this.#subscriptions.size === 0 && this.#stream === null;
  }

  get lagBytes(): number {
    return this.#stream?.lagBytes ?? 0;
  }

  get backlog(): number {
    return this.#queue.length;
  }

  // ---- bindings -------------------------------------------------------------------------------------------------

  /** Tells the channel by a `system` message when the bindings hold, or why they do not. */
  register(channel: Channel, requested: readonly RequestedBinding[], ids: readonly number[]): void {
    this.unregister(channel);
    if (!this.#subscriptions.add(channel, requested, ids)) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#state === "retrying") this.#scheduleRetry();
    else this.#wake();
  }

  unregister(channel: Channel): void {
    const before = this.#subscriptions.size;
    this.#subscriptions.remove(channel);
    if (this.#subscriptions.size === before || this.#subscriptions.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#stop("idle"), this.#project.around.slotLingerMs);
    this.#timer.unref();
  }

  /** The claims of the channel have changed: what it may see is asked with the new ones. */
  reregister(channel: Channel): void {
    this.#subscriptions.renew(channel).then(
      (hasToBeJudged) => {
        if (hasToBeJudged) this.#wake();
      },
      () => this.#wake(),
    );
  }

  /** For good: the slot is gone when this returns, as far as it is ours to say. */
  close(): void {
    this.#subscriptions.clear();
    this.#stop("closed");
  }

  #wake(): void {
    if (this.#state === "idle") void this.#start();
    else if (this.#state === "streaming" && !this.#isActivating) {
      this.#isActivating = true;
      // Joins of one moment are looked at together.
      setTimeout(() => void this.#activate(), 5);
    }
  }

  // ---- the stream -----------------------------------------------------------------------------------------------

  async #start(): Promise<void> {
    this.#state = "starting";
    const slow = setTimeout(() => void this.#subscriptions.tellAll(PROBLEMS.slow), SLOW_START_MS);
    try {
      await this.#open();
      clearTimeout(slow);
    } catch (error) {
      clearTimeout(slow);
      this.#failed(error as Error);
    }
  }

  async #open(): Promise<void> {
    const { snapshot, ref } = this.#project;
    const catalogue = await readCatalogue(this.#project.database());
    if ((this.#state as string) === "closed") return;
    this.#relations.clear();
    await this.#subscriptions.takeOver(catalogue);
    if ((this.#state as string) === "closed") return;
    if (catalogue.tables.size === 0) {
      // Nothing is published: whoever asks is told so, and no slot is held for it.
      this.#state = "idle";
      this.#watch();
      await this.#subscriptions.refuseAll();
      return;
    }
    const login = snapshot.replication;
    if (!login) throw new FeedProblem(PROBLEMS.noLogin);
    if (!this.#slots.take(login.cluster)) throw new FeedProblem(PROBLEMS.noSlot);
    this.#heldSlotOf = login.cluster;
    const stream = await ReplicationStream.connect({
      address: snapshot.database,
      login,
      slot: `${SLOT_PREFIX}${ref}_${randomBytes(4).toString("hex")}`,
      publication: PUBLICATION,
      handlers: {
        onMessage: (body, start, end) => this.#message(body, start, end),
        onEnd: (error) => this.#failed(error),
      },
    });
    if ((this.#state as string) === "closed") {
      stream.close();
      return;
    }
    this.#stream = stream;
    await this.#checkServer(stream);
    await stream.start();
    this.#state = "streaming";
    this.#failures = 0;
    this.#watch();
    this.#wake();
  }

  async #checkServer(stream: ReplicationStream): Promise<void> {
    const [level] = await stream.query("SHOW wal_level");
    if (level?.[0] !== "logical") throw new FeedProblem(`${PROBLEMS.noLogical} (it is ${level?.[0]})`);
    const [slots] = await stream.query(
      `SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE slot_name LIKE '${SLOT_PREFIX.replaceAll("_", "\\_")}%'`,
    );
    if (Number(slots?.[0] ?? 0) >= this.#slots.max) throw new FeedProblem(PROBLEMS.noSlot);
  }

  #failed(error: Error): void {
    if (this.#state === "closed") return;
    const problem = error instanceof FeedProblem ? error.message : describeFailure(error);
    this.#project.around.logger.warn(
      { projectRef: this.#project.ref, error: error.message, code: (error as { code?: string }).code },
      "the stream of database changes is not there",
    );
    this.#closeStream();
    this.#state = "retrying";
    void this.#subscriptions.tellAll(problem);
    this.#failures += 1;
    this.#scheduleRetry();
  }

  #scheduleRetry(): void {
    clearTimeout(this.#timer);
    const pause = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(10, this.#failures - 1));
    // Spread, so that all projects of a server that was away do not come back at once.
    this.#timer = setTimeout(
      () => {
        if (this.#subscriptions.size === 0) this.#stop("idle");
        else void this.#start();
      },
      pause * (0.75 + Math.random() / 2),
    );
    this.#timer.unref();
  }

  #stop(state: "idle" | "closed"): void {
    if (this.#state === "closed") return;
    clearTimeout(this.#timer);
    clearTimeout(this.#laterReload);
    clearInterval(this.#refresh);
    this.#laterReload = undefined;
    this.#timer = undefined;
    this.#refresh = undefined;
    this.#closeStream();
    this.#subscriptions.forgetCatalogue();
    this.#failures = 0;
    this.#state = state;
  }

  #closeStream(): void {
    this.#stream?.close();
    this.#stream = null;
    this.#held = [];
    this.#holds.clear();
    this.#queue.close();
    this.#queue = this.#newQueue();
    this.#relations.clear();
    this.#subscriptions.suspend();
    if (this.#heldSlotOf !== null) this.#slots.giveBack(this.#heldSlotOf);
    this.#heldSlotOf = null;
  }

  #newQueue(): ChangeQueue {
    const queue: ChangeQueue = new ChangeQueue({
      project: this.#project,
      roleFacts: (role) => this.#subscriptions.roleFacts(role),
      onPressure: (isHigh) => {
        if (queue !== this.#queue) return;
        if (isHigh) this.#hold("backlog");
        else this.#release("backlog");
      },
      onFailure: (error) => this.#failed(error),
    });
    return queue;
  }

  // ---- what may change meanwhile --------------------------------------------------------------------------------

  #watch(): void {
    if (this.#refresh) return;
    this.#refresh = setInterval(() => void this.#look(), REFRESH_MS);
    this.#refresh.unref();
  }

  async #look(): Promise<void> {
    if (this.#state === "closed" || this.#subscriptions.size === 0) return;
    if (this.#queue.ageMs(this.#project.around.now()) > MAX_BACKLOG_AGE_MS) {
      this.#failed(new FeedProblem(PROBLEMS.behind));
      return;
    }
    if ((this.#state !== "streaming" && this.#state !== "idle") || this.#pauses.waitMs > 0) return;
    try {
      const fingerprint = await readFingerprint(this.#project.database());
      await this.#subscriptions.reloadRoles();
      if (fingerprint !== this.#subscriptions.catalogue?.fingerprint) await this.#reload();
    } catch {
      // The stream itself tells when the database is away.
    }
  }

  /**
   * Takes over a new catalogue: what is published, or what it looks like, has changed. What arrives meanwhile waits, and
   * whoever was subscribed goes from the old tables to the new ones in one step, so nothing is missed.
   */
  #reload(): Promise<void> {
    this.#reloading ??= this.#readAnew().finally(() => {
      this.#reloading = null;
    });
    return this.#reloading;
  }

  /** As {@link #reload}, but never content with a reading that began before the call: it may have seen less. */
  async #reloadFromNowOn(): Promise<void> {
    while (this.#reloading) await this.#reloading.catch(() => {}); // its failure is told to who began it
    await this.#reload();
  }

  /** The stream has told of a table that the catalogue does not know like this. */
  #reloadSoon(): void {
    const { waitMs } = this.#pauses;
    if (waitMs === 0) void this.#reload().catch(() => {});
    // Whoever changes tables all the time goes by the old catalogue meanwhile; holding the stream back would keep
    // everybody's WAL.
    else
      this.#laterReload ??= setTimeout(() => {
        this.#laterReload = undefined;
        if (this.#state === "streaming") void this.#reload().catch(() => {});
      }, waitMs).unref();
  }

  async #readAnew(): Promise<void> {
    const startedAt = performance.now();
    this.#hold("catalogue");
    try {
      const catalogue = await readCatalogue(this.#project.database());
      if (this.#state !== "streaming" && this.#state !== "idle") return;
      this.#queue.forgetRights();
      await this.#subscriptions.takeOver(catalogue);
      const relations = [...this.#relations.values()];
      this.#relations.clear();
      const slices = new Slices(this.#project.ref);
      for (const { relation } of relations) {
        this.#know(relation);
        if (slices.isDue) await slices.pause();
      }
      if (catalogue.tables.size > 0) this.#wake();
      else {
        if ((this.#state as string) === "streaming") this.#closeStream();
        if ((this.#state as string) !== "closed") this.#state = "idle";
        await this.#subscriptions.refuseAll();
      }
    } finally {
      this.#pauses.ended(startedAt);
      this.#release("catalogue");
    }
  }

  async #activate(): Promise<void> {
    // Somebody who has just published a table, and subscribes to it, is not told of how it was before: only who waits
    // before the catalogue is looked at is judged by it. Who comes meanwhile has the next turn.
    const waiting = this.#subscriptions.waiting;
    let pauseMs = 50;
    try {
      const fingerprint = await readFingerprint(this.#project.database());
      const isNew = fingerprint !== this.#subscriptions.catalogue?.fingerprint;
      if (isNew && this.#pauses.waitMs > 0) pauseMs = Math.max(pauseMs, this.#pauses.waitMs);
      else {
        if (isNew) await this.#reloadFromNowOn();
        await this.#subscriptions.loadRoles(waiting);
        await this.#subscriptions.judge(waiting, () => this.#state === "streaming");
      }
    } catch (error) {
      // The database could not be asked. The subscriptions still wait; they are looked at again.
      this.#project.around.logger.warn(
        { projectRef: this.#project.ref, err: error },
        "subscriptions could not be checked",
      );
      pauseMs = RETRY_MIN_MS;
    } finally {
      this.#isActivating = false;
    }
    if (this.#subscriptions.hasWaiting && this.#state === "streaming") {
      setTimeout(() => this.#wake(), pauseMs).unref();
    }
  }

  // ---- messages of the stream -----------------------------------------------------------------------------------

  #hold(reason: Hold): void {
    this.#holds.add(reason);
    this.#stream?.pause();
  }

  #release(reason: Hold): void {
    if (!this.#holds.delete(reason) || this.#holds.size > 0) return;
    if (this.#held.length > 0) this.#goOn();
    else this.#stream?.resume();
  }

  /** Works off what was held back, in order; what comes meanwhile is behind it. */
  #goOn(): void {
    const held = this.#held;
    this.#held = [];
    for (const [index, { body, start, end }] of held.entries()) {
      if (this.#holds.size > 0) {
        this.#held = held.slice(index);
        return;
      }
      this.#work(body, start, end);
    }
    if (this.#holds.size === 0) this.#stream?.resume();
  }

  #message(body: Buffer, start: number, end: number): void {
    if (this.#holds.size > 0 || this.#held.length > 0) this.#held.push({ body, start, end });
    else this.#work(body, start, end);
  }

  /** One read of the stream holds hundreds of messages, each for as many bindings as the tenant likes. */
  #work(body: Buffer, start: number, end: number): void {
    const startedAt = performance.now();
    const matching = this.#read(body, start, end);
    this.#workedMs += performance.now() - startedAt;
    if (matching === undefined && this.#workedMs < SLICE_MS) return;
    this.#hold("turn");
    const stream = this.#stream;
    Promise.resolve(matching)
      .then(() => new Slices(this.#project.ref).pause())
      .catch((error: Error) => this.#failed(error))
      .finally(() => {
        this.#workedMs = 0;
        if (stream === this.#stream) this.#release("turn");
      });
  }

  /** @returns A promise when it takes several turns of the loop. */
  #read(body: Buffer, start: number, end: number): Promise<void> | undefined {
    const relationOid = relationOfChange(body, start);
    if (relationOid !== null) {
      const known = this.#relations.get(relationOid);
      // Nobody listens to the table: the row is not even taken apart.
      if (!known || !this.#subscriptions.index.hasListeners(known.table)) return undefined;
      return this.#change(body, start, end, known);
    }
    const message = decodeMessage(body, start, end);
    if (message.tag === "begin") {
      this.#committedAtMs = message.committedAtMs;
      this.#xid = message.xid;
    } else if (message.tag === "relation") {
      // Comes before the first change of a table and again after its shape has changed.
      if (this.#know(message.relation)) this.#queue.forgetRights();
      else this.#reloadSoon();
    }
    return undefined;
  }

  /** @returns False when the catalogue does not say the same of the table. */
  #know(relation: Relation): boolean {
    const table = this.#subscriptions.catalogue?.tables.get(relation.oid);
    if (!table) return false;
    const known = knownRelation(relation, table);
    this.#relations.set(relation.oid, known);
    return isAsInCatalogue(known);
  }

  #change(body: Buffer, start: number, end: number, known: KnownRelation): Promise<void> | undefined {
    const { table } = known;
    const message = decodeMessage(body, start, end);
    const change = changeOf(message, known, { committedAtMs: this.#committedAtMs, xid: this.#xid });
    if (!change) return undefined;
    const source = change.row ?? change.old;
    const hasNoKey = change.type !== "DELETE" && table.primaryKey.length === 0;
    const matched = this.#subscriptions.index.match(
      table,
      change.type,
      hasNoKey ? null : (column) => valueForFilter(source?.get(column)),
    );
    const queue = this.#queue;
    const receivedAtMs = this.#project.around.now();
    const enqueue = (candidates: readonly Candidate[]) => {
      if (candidates.length === 0) return;
      queue.add({ change, candidates, bytes: end - start + 100 * candidates.length, receivedAtMs });
    };
    if (matched instanceof Promise) return matched.then(enqueue);
    enqueue(matched);
    return undefined;
  }
}

/** What of a failure subscribers may read. */
function describeFailure(error: Error): string {
  if (!(error instanceof DatabaseError)) return PROBLEMS.lost;
  if (error.code === "53400" || error.code.startsWith("53")) return PROBLEMS.noSlot;
  if (error.code === "55000" && /wal_level/.test(error.message)) return PROBLEMS.noLogical;
  return PROBLEMS.lost;
}
