/**
 * Database changes of one project: a replication stream as long as somebody has bindings, the bindings by table, and the
 * queue between the two. Whatever fails is told to the subscribers once and tried again; their channels stay.
 */
import { randomBytes } from "node:crypto";
import { DatabaseError } from "../../database/database.ts";
import { isServiceRoleName } from "../../rest/config.ts";
import type { Channel } from "../channel.ts";
import type { RealtimeProject } from "../project.ts";
import type { RequestedBinding } from "../protocol/join-config.ts";
import { type BindingSpec, describeBinding, parseBinding } from "./binding.ts";
import {
  type Catalogue,
  type Column,
  PUBLICATION,
  type RoleFacts,
  readCatalogue,
  readFingerprint,
  readRole,
  type Table,
} from "./catalogue.ts";
import type { Change, Values } from "./change-message.ts";
import { ChangeQueue } from "./change-queue.ts";
import { FilterError } from "./filter.ts";
import { compileFilters, type Entry, MatchIndex } from "./match-index.ts";
import {
  decodeMessage,
  type Relation,
  relationOfChange,
  type Tuple,
  type TupleValue,
  UNCHANGED,
} from "./pgoutput/decode.ts";
import { ReplicationStream } from "./replication-stream.ts";
import { SLOT_PREFIX, type SlotBudget } from "./slots.ts";
import { checkFilter } from "./visibility.ts";

interface Registration {
  readonly channel: Channel;
  readonly bindings: readonly { readonly id: number; readonly spec: BindingSpec }[];
  /** By table, once it is active. */
  entries: { readonly index: MatchIndex; readonly entry: Entry }[];
  state: "waiting" | "checking" | "active" | "refused";
  /** What it was told last, so that an outage is told once. */
  lastError: string | null;
}

interface KnownRelation {
  readonly relation: Relation;
  readonly table: Table;
  /** The relation's columns in the table, in the stream's order. */
  readonly columns: readonly (Column | undefined)[];
}

const REFRESH_MS = 3_000;
/** A backlog of this age is given up: the slot would keep everybody's WAL. */
const MAX_BACKLOG_AGE_MS = 30_000;
/** Making a slot waits for every running write transaction of the cluster; subscribers are told after a while. */
const SLOW_START_MS = 8_000;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 10_000;
/** Of a project. */
const MAX_BINDINGS = 100_000;

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

export class ChangeFeed {
  readonly #project: RealtimeProject;
  readonly #slots: SlotBudget;
  readonly #registrations = new Map<Channel, Registration>();
  readonly #indexes = new Map<number, MatchIndex>();
  readonly #relations = new Map<number, KnownRelation>();
  readonly #roles = new Map<string, RoleFacts>();
  #bindings = 0;
  #catalogue: Catalogue | null = null;
  #stream: ReplicationStream | null = null;
  #queue: ChangeQueue;
  #state: "idle" | "starting" | "streaming" | "retrying" | "closed" = "idle";
  #committedAtMs = 0;
  #xid = 0;
  #failures = 0;
  #heldSlotOf: string | null = null;
  #isActivating = false;
  /** Messages that arrive while a new catalogue is read. */
  #isReloading = false;
  /** The reading of the catalogue that has begun last. */
  #reloading: Promise<void> = Promise.resolve();
  #held: { readonly body: Buffer; readonly start: number; readonly end: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #refresh: NodeJS.Timeout | undefined;

  constructor(project: RealtimeProject, slots: SlotBudget) {
    this.#project = project;
    this.#slots = slots;
    this.#queue = this.#newQueue();
  }

  get isStreaming(): boolean {
    return this.#state === "streaming";
  }

  get isIdle(): boolean {
    return this.#registrations.size === 0 && this.#stream === null;
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
    let bindings: Registration["bindings"];
    try {
      bindings = requested.map((binding, index) => ({ id: ids[index] ?? 0, spec: parseBinding(binding) }));
    } catch (error) {
      if (!(error instanceof FilterError)) throw error;
      channel.system("postgres_changes", "error", error.message);
      return;
    }
    if (this.#bindings + bindings.length > MAX_BINDINGS) {
      channel.system("postgres_changes", "error", "Too many subscriptions to database changes of this project");
      return;
    }
    this.#bindings += bindings.length;
    this.#registrations.set(channel, { channel, bindings, entries: [], state: "waiting", lastError: null });
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#state === "retrying") this.#scheduleRetry();
    else this.#wake();
  }

  unregister(channel: Channel): void {
    const registration = this.#registrations.get(channel);
    if (!registration) return;
    this.#deactivate(registration);
    this.#registrations.delete(channel);
    this.#bindings -= registration.bindings.length;
    if (this.#registrations.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#stop("idle"), this.#project.around.slotLingerMs);
    this.#timer.unref();
  }

  /** The claims of the channel have changed: what it may see is asked with the new ones. */
  reregister(channel: Channel): void {
    const registration = this.#registrations.get(channel);
    if (!registration) return;
    if (registration.state === "active") void this.#confirmToken(registration).catch(() => this.#wake());
    else if (registration.state === "refused") {
      registration.state = "waiting";
      this.#wake();
    }
  }

  /** What a channel may see is judged by its token of the moment: nothing is missed while the new one is looked at. */
  async #confirmToken(registration: Registration): Promise<void> {
    await this.#loadRoles();
    const { channel } = registration;
    if (channel.isClosed || registration.state !== "active") return;
    if (this.#roles.get(channel.token.role)?.exists) {
      channel.system("postgres_changes", "ok", "Subscribed to PostgreSQL");
    } else {
      this.#deactivate(registration);
      registration.state = "waiting";
      this.#wake();
    }
  }

  /** For good: the slot is gone when this returns, as far as it is ours to say. */
  close(): void {
    this.#registrations.clear();
    this.#indexes.clear();
    this.#stop("closed");
  }

  #deactivate(registration: Registration): void {
    for (const { index, entry } of registration.entries) index.remove(entry);
    registration.entries = [];
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
    const slow = setTimeout(() => this.#tellAll(PROBLEMS.slow), SLOW_START_MS);
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
    this.#adopt(catalogue);
    if (catalogue.tables.size === 0) {
      // Nothing is published: whoever asks is told so, and no slot is held for it.
      for (const registration of this.#registrations.values()) this.#refuse(registration, null);
      this.#state = "idle";
      this.#watch();
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
    for (const registration of this.#registrations.values()) {
      if (registration.state !== "refused") registration.state = "waiting";
    }
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
    this.#tellAll(problem);
    this.#failures += 1;
    this.#scheduleRetry();
  }

  #scheduleRetry(): void {
    clearTimeout(this.#timer);
    const pause = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(10, this.#failures - 1));
    // Spread, so that all projects of a server that was away do not come back at once.
    this.#timer = setTimeout(
      () => {
        if (this.#registrations.size === 0) this.#stop("idle");
        else void this.#start();
      },
      pause * (0.75 + Math.random() / 2),
    );
    this.#timer.unref();
  }

  #stop(state: "idle" | "closed"): void {
    if (this.#state === "closed") return;
    clearTimeout(this.#timer);
    clearInterval(this.#refresh);
    this.#timer = undefined;
    this.#refresh = undefined;
    this.#closeStream();
    this.#catalogue = null;
    this.#relations.clear();
    this.#roles.clear();
    this.#failures = 0;
    this.#state = state;
  }

  #closeStream(): void {
    this.#stream?.close();
    this.#stream = null;
    this.#held = [];
    this.#queue.close();
    this.#queue = this.#newQueue();
    this.#relations.clear();
    for (const registration of this.#registrations.values()) {
      this.#deactivate(registration);
      if (registration.state !== "refused") registration.state = "waiting";
    }
    if (this.#heldSlotOf !== null) this.#slots.giveBack(this.#heldSlotOf);
    this.#heldSlotOf = null;
  }

  #newQueue(): ChangeQueue {
    return new ChangeQueue({
      project: this.#project,
      roleFacts: (role) => this.#roles.get(role),
      onPressure: (isHigh) => {
        if (isHigh) this.#stream?.pause();
        else this.#stream?.resume();
      },
      onFailure: (error) => this.#failed(error),
    });
  }

  // ---- what may change meanwhile --------------------------------------------------------------------------------

  #watch(): void {
    if (this.#refresh) return;
    this.#refresh = setInterval(() => void this.#look(), REFRESH_MS);
    this.#refresh.unref();
  }

  async #look(): Promise<void> {
    if (this.#state === "closed" || this.#registrations.size === 0) return;
    if (this.#queue.ageMs(this.#project.around.now()) > MAX_BACKLOG_AGE_MS) {
      this.#failed(new FeedProblem(PROBLEMS.behind));
      return;
    }
    if (this.#state !== "streaming" && this.#state !== "idle") return;
    try {
      const fingerprint = await readFingerprint(this.#project.database());
      this.#roles.clear();
      await this.#loadRoles();
      if (fingerprint === this.#catalogue?.fingerprint) return;
      await this.#reload();
    } catch {
      // The stream itself tells when the database is away.
    }
  }

  /**
   * Takes over a new catalogue: what is published, or what it looks like, has changed. What arrives meanwhile waits, and
   * whoever was subscribed goes from the old tables to the new ones in one step, so nothing is missed.
   */
  #reload(): Promise<void> {
    if (this.#isReloading) return this.#reloading;
    this.#isReloading = true;
    this.#reloading = this.#readAnew();
    return this.#reloading;
  }

  /** As {@link #reload}, but never content with a reading that began before the call: it may have seen less. */
  async #reloadFromNowOn(): Promise<void> {
    while (this.#isReloading) await this.#reloading.catch(() => {}); // its failure is told to who began it
    await this.#reload();
  }

  async #readAnew(): Promise<void> {
    this.#stream?.pause();
    try {
      const catalogue = await readCatalogue(this.#project.database());
      if (this.#state === "streaming" || this.#state === "idle") this.#takeOver(catalogue);
    } finally {
      this.#isReloading = false;
      const held = this.#held;
      this.#held = [];
      for (const { body, start, end } of held) this.#message(body, start, end);
      this.#stream?.resume();
    }
  }

  #takeOver(catalogue: Catalogue): void {
    const isEmpty = catalogue.tables.size === 0;
    this.#adopt(catalogue);
    for (const registration of this.#registrations.values()) {
      const wasActive = registration.state === "active";
      this.#deactivate(registration);
      registration.state = "waiting";
      registration.lastError = null;
      if (!wasActive || isEmpty) continue;
      const compiled = this.#compile(registration);
      if (compiled) this.#confirm(registration, compiled.found);
    }
    if (isEmpty) {
      if (this.#state === "streaming") this.#closeStream();
      this.#state = "idle";
      for (const registration of this.#registrations.values()) this.#refuse(registration, null);
    } else this.#wake();
  }

  #adopt(catalogue: Catalogue): void {
    this.#catalogue = catalogue;
    this.#indexes.clear();
    this.#queue.forgetRights();
    const relations = [...this.#relations.values()];
    this.#relations.clear();
    for (const { relation } of relations) this.#know(relation);
  }

  async #loadRoles(): Promise<void> {
    const wanted = new Set([...this.#registrations.keys()].map(({ token }) => token.role));
    for (const role of wanted) {
      if (this.#roles.has(role)) continue;
      const facts = isServiceRoleName(role)
        ? { exists: false, bypassesRowSecurity: false }
        : await readRole(this.#project.database(), role);
      this.#roles.set(role, facts);
    }
  }

  // ---- registering ----------------------------------------------------------------------------------------------

  async #activate(): Promise<void> {
    // Somebody who has just published a table, and subscribes to it, is not told of how it was before: only who waits
    // before the catalogue is looked at is judged by it. Who comes meanwhile has the next turn.
    const waiting = [...this.#registrations.values()].filter(({ state }) => state === "waiting");
    try {
      const fingerprint = await readFingerprint(this.#project.database());
      if (fingerprint !== this.#catalogue?.fingerprint) await this.#reloadFromNowOn();
      await this.#loadRoles();
      for (const registration of waiting) {
        if (registration.state !== "waiting" || this.#state !== "streaming") continue;
        if (this.#registrations.get(registration.channel) !== registration) continue; // it has left meanwhile
        const isDone = this.#register(registration);
        if (isDone instanceof Promise) await isDone;
      }
    } catch (error) {
      // The database could not be asked. The registrations still wait; they are looked at again.
      this.#project.around.logger.warn(
        { projectRef: this.#project.ref, err: error },
        "subscriptions could not be checked",
      );
      setTimeout(() => this.#wake(), RETRY_MIN_MS).unref();
    } finally {
      this.#isActivating = false;
    }
    if ([...this.#registrations.values()].some(({ state }) => state === "waiting") && this.#state === "streaming") {
      setTimeout(() => this.#wake(), 50).unref();
    }
  }

  /** At once when nothing has to be asked of the database. */
  #register(registration: Registration): Promise<void> | undefined {
    const compiled = this.#compile(registration);
    if (!compiled) return undefined;
    const { found, checks } = compiled;
    if (checks.length === 0) {
      this.#confirm(registration, found);
      return undefined;
    }
    registration.state = "checking";
    return this.#confirmChecked(registration, found, checks);
  }

  /** @returns Null when the bindings do not fit what is published: the registration is refused. */
  #compile(
    registration: Registration,
  ): { readonly found: Registration["entries"]; readonly checks: (() => Promise<void>)[] } | null {
    const found: Registration["entries"] = [];
    const checks: (() => Promise<void>)[] = [];
    for (const { id, spec } of registration.bindings) {
      try {
        for (const table of this.#tablesOf(registration, spec)) {
          const tests = compileFilters(spec.filters, table);
          if (tests.length < spec.filters.length) {
            if (spec.table === "*") continue; // a filter on a column that this one of many tables does not have
            const missing = spec.filters.find(({ column }) => !table.columnsByName.has(column));
            throw new FilterError(`ERROR P0001 (raise_exception) invalid column for filter ${missing?.column}`);
          }
          for (const compiled of tests) {
            if (compiled.test === null) checks.push(() => checkFilter(this.#project.database(), compiled));
          }
          const select = spec.select === null ? "*" : JSON.stringify(spec.select);
          const entry: Entry = { channel: registration.channel, id, spec, tests, select };
          found.push({ index: this.#indexOf(table), entry });
        }
      } catch (error) {
        if (!(error instanceof FilterError)) throw error;
        this.#refuse(registration, { spec, exception: error.message });
        return null;
      }
    }
    return { found, checks };
  }

  async #confirmChecked(
    registration: Registration,
    found: Registration["entries"],
    checks: readonly (() => Promise<void>)[],
  ): Promise<void> {
    try {
      for (const check of checks) await check();
    } catch (error) {
      if (!(error instanceof DatabaseError)) {
        registration.state = "waiting";
        throw error;
      }
      const spec = registration.bindings.find(({ spec: { filters } }) => filters.length > 0)?.spec;
      if (spec) this.#refuse(registration, { spec, exception: `ERROR ${error.code} ${error.message}` });
      return;
    }
    if (registration.state === "checking" && this.#registrations.get(registration.channel) === registration) {
      this.#confirm(registration, found);
    }
  }

  #confirm(registration: Registration, found: Registration["entries"]): void {
    for (const { index, entry } of found) index.add(entry);
    registration.entries = found;
    registration.state = "active";
    registration.lastError = null;
    registration.channel.system("postgres_changes", "ok", "Subscribed to PostgreSQL");
  }

  /** @throws {FilterError} */
  #tablesOf({ channel }: Registration, spec: BindingSpec): readonly Table[] {
    if (!this.#roles.get(channel.token.role)?.exists) {
      throw new FilterError(`ERROR 42704 (undefined_object) role "${channel.token.role}" does not exist`);
    }
    const tables = [...(this.#catalogue?.tables.values() ?? [])].filter(
      ({ schema, name }) =>
        (spec.schema === "*" || spec.schema === schema) && (spec.table === "*" || spec.table === name),
    );
    if (tables.length === 0) throw new FilterError("");
    const [table] = tables;
    const missing = spec.select?.find((name) => !table?.columnsByName.has(name));
    if (missing !== undefined)
      throw new FilterError(`ERROR P0001 (raise_exception) invalid column for select ${missing}`);
    return tables;
  }

  /** @param fault Null: nothing at all is published. */
  #refuse(registration: Registration, fault: { spec: BindingSpec; exception: string } | null): void {
    registration.state = "refused";
    const spec = fault?.spec ?? registration.bindings[0]?.spec;
    if (!spec) return;
    const message =
      fault === null || fault.exception === ""
        ? `Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: ${describeBinding(spec)}`
        : `Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: ${describeBinding(spec)}. Exception: ${fault.exception}`;
    this.#tell(registration, message);
  }

  #tellAll(message: string): void {
    for (const registration of this.#registrations.values()) {
      if (registration.state !== "refused") this.#tell(registration, message);
    }
  }

  #tell(registration: Registration, message: string): void {
    if (registration.lastError === message || registration.channel.isClosed) return;
    registration.lastError = message;
    registration.channel.system("postgres_changes", "error", message);
  }

  #indexOf(table: Table): MatchIndex {
    let index = this.#indexes.get(table.oid);
    if (!index) {
      index = new MatchIndex();
      this.#indexes.set(table.oid, index);
    }
    return index;
  }

  // ---- changes --------------------------------------------------------------------------------------------------

  #message(body: Buffer, start: number, end: number): void {
    if (this.#isReloading) {
      this.#held.push({ body, start, end });
      return;
    }
    const relationOid = relationOfChange(body, start);
    if (relationOid !== null) {
      const known = this.#relations.get(relationOid);
      const index = known && this.#indexes.get(known.table.oid);
      // Nobody listens to the table: the row is not even taken apart.
      if (known && index && index.size > 0) this.#change(body, start, end, known, index);
      return;
    }
    const message = decodeMessage(body, start, end);
    if (message.tag === "begin") {
      this.#committedAtMs = message.committedAtMs;
      this.#xid = message.xid;
    } else if (message.tag === "relation") this.#relation(message.relation);
  }

  /** Comes before the first change of a table and again after its shape has changed. */
  #relation(relation: Relation): void {
    if (this.#know(relation)) this.#queue.forgetRights();
    else void this.#reload().catch(() => {});
  }

  /** @returns False when the catalogue does not say the same of the table. */
  #know(relation: Relation): boolean {
    const table = this.#catalogue?.tables.get(relation.oid);
    if (!table) return false;
    const columns = columnsOf(relation, table);
    this.#relations.set(relation.oid, { relation, table, columns });
    const isSame = relation.columns.every(({ name }) => table.columnsByName.has(name));
    return isSame && sameIdentity(relation, table) && table.name === relation.table;
  }

  #change(body: Buffer, start: number, end: number, known: KnownRelation, index: MatchIndex): void {
    const message = decodeMessage(body, start, end);
    const { table, relation } = known;
    let change: Change;
    const common = { table, committedAtMs: this.#committedAtMs, xid: this.#xid };
    switch (message.tag) {
      case "insert":
        change = { ...common, type: "INSERT", row: valuesOf(known, message.row), old: null };
        break;
      case "update": {
        const old = message.old && valuesOf(known, message.old);
        const row = filled(valuesOf(known, message.row), relation.replicaIdentity === "f" ? old : null);
        change = { ...common, type: "UPDATE", row, old: identityOf(known, old, message.oldIsKey, row) };
        break;
      }
      case "delete": {
        const old = valuesOf(known, message.old);
        change = { ...common, type: "DELETE", row: null, old: identityOf(known, old, message.oldIsKey, old) };
        break;
      }
      default:
        return;
    }
    const source = change.row ?? change.old;
    const hasNoKey = change.type !== "DELETE" && table.primaryKey.length === 0;
    const candidates = hasNoKey
      ? index.all(change.type).map((entry) => ({ entry, undecided: [] }))
      : index.match(change.type, (column) => valueForFilter(source?.get(column)));
    if (candidates.length === 0) return;
    const receivedAtMs = this.#project.around.now();
    this.#queue.add({ change, candidates, bytes: end - start + 100 * candidates.length, receivedAtMs });
  }
}

/** The table's columns in the relation's order; one that was renamed since then is known by its place. */
function columnsOf(relation: Relation, table: Table): (Column | undefined)[] {
  const names = new Set(relation.columns.map(({ name }) => name));
  const stored = table.columns.filter(({ isGenerated, name }) => !isGenerated || names.has(name));
  return relation.columns.map(({ name }, index) => {
    const column = table.columnsByName.get(name);
    if (column) return column;
    const inPlace = stored[index];
    return inPlace && !names.has(inPlace.name) ? { ...inPlace, name } : undefined;
  });
}

function valuesOf({ columns }: KnownRelation, tuple: Tuple): Map<Column, TupleValue> {
  const values = new Map<Column, TupleValue>();
  tuple.forEach((value, index) => {
    const column = columns[index];
    if (column) values.set(column, value);
  });
  return values;
}

/** A large value that was left alone is in the old row, when that was sent whole. */
function filled(row: Map<Column, TupleValue>, old: Values | null): Map<Column, TupleValue> {
  if (!old) return row;
  for (const [column, value] of row) {
    const before = old.get(column);
    if (value === UNCHANGED && before !== undefined) row.set(column, before);
  }
  return row;
}

/** Without an old row its key is the new one's: PostgreSQL sends the old one only when it was another. */
function identityOf(
  { relation, columns }: KnownRelation,
  old: Values | null,
  oldIsKey: boolean,
  row: Values,
): Map<Column, TupleValue> {
  const keys = columns.filter(
    (column, index): column is Column => column !== undefined && relation.columns[index]?.isKey === true,
  );
  const isWhole = old !== null && !oldIsKey;
  const source = old ?? row;
  const wanted = isWhole ? columns.filter((column) => column !== undefined) : keys;
  return new Map(wanted.flatMap((column) => (source.has(column) ? [[column, source.get(column) as TupleValue]] : [])));
}

function valueForFilter(value: TupleValue | undefined): string | null | undefined {
  return typeof value === "symbol" ? undefined : value;
}

/** The stream names the identity's columns; for the primary key they are the catalogue's. */
function sameIdentity(relation: Relation, table: Table): boolean {
  if (relation.replicaIdentity !== "d") return true;
  const keys = relation.columns.filter(({ isKey }) => isKey).map(({ name }) => name);
  return keys.length === table.primaryKey.length && table.primaryKey.every(({ name }) => keys.includes(name));
}

/** What of a failure subscribers may read. */
function describeFailure(error: Error): string {
  if (!(error instanceof DatabaseError)) return PROBLEMS.lost;
  if (error.code === "53400" || error.code.startsWith("53")) return PROBLEMS.noSlot;
  if (error.code === "55000" && /wal_level/.test(error.message)) return PROBLEMS.noLogical;
  return PROBLEMS.lost;
}
