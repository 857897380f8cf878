/**
 * Changes on their way from the stream to the subscribers, in commit order. A batch is looked up in the database as far
 * as it has to be (row-level security, filters that only SQL can decide), then delivered; the next one gathers meanwhile.
 */
import type { DatabaseError, ProjectDatabase } from "../../database/database.ts";
import { Slices } from "../../work/slices.ts";
import type { Channel } from "../channel.ts";
import type { RealtimeProject } from "../project.ts";
import { type Frame, fanOutFrame } from "../protocol/server-frame.ts";
import type { VerifiedToken } from "../tokens/token-verifier.ts";
import { type Column, type RoleFacts, readReadableColumns, type Table } from "./catalogue.ts";
import { type Change, type Conversions, changeData, changeError, type Values } from "./change-message.ts";
import type { Candidate, CompiledFilter, Entry } from "./match-index.ts";
import { UNCHANGED } from "./pgoutput/decode.ts";
import {
  convertValues,
  readGenerated,
  readVisible,
  testFilters,
  untilVisible,
  type VisibilityQuestion,
} from "./visibility.ts";

export interface QueuedChange {
  readonly change: Change;
  readonly candidates: readonly Candidate[];
  /** Roughly what it takes in memory. */
  readonly bytes: number;
  readonly receivedAtMs: number;
}

export interface ChangeQueueOptions {
  readonly project: RealtimeProject;
  readonly roleFacts: (role: string) => RoleFacts | undefined;
  /** The backlog is too large, or small again. */
  readonly onPressure: (isHigh: boolean) => void;
  readonly onFailure: (error: Error) => void;
}

const MAX_BATCH = 100;
/** Of a batch: (change, subscriber) pairs. */
const MAX_BATCH_CANDIDATES = 20_000;
const HIGH_BYTES = 8 * 1024 * 1024;
const HIGH_CANDIDATES = 200_000;
const HIGH_CHANGES = 5_000;
/** What a role may read is believed for so long. */
const READABLE_TTL_MS = 5_000;
/** Pairs of a table and a role that are remembered. */
const MAX_READABLE = 1_000;
const MAX_ATTEMPTS = 5;
const RETRY_MS = 300;

export class ChangeQueue {
  readonly #options: ChangeQueueOptions;
  #queue: QueuedChange[] = [];
  #bytes = 0;
  #candidates = 0;
  #isHigh = false;
  #isWorking = false;
  #isClosed = false;
  readonly #readable = new Map<string, { readonly columns: ReadonlySet<number>; readonly untilMs: number }>();

  constructor(options: ChangeQueueOptions) {
    this.#options = options;
  }

  get length(): number {
    return this.#queue.length;
  }

  /** How long the first change has waited, in milliseconds. */
  ageMs(nowMs: number): number {
    const [first] = this.#queue;
    return first ? nowMs - first.receivedAtMs : 0;
  }

  add(queued: QueuedChange): void {
    this.#queue.push(queued);
    this.#bytes += queued.bytes;
    this.#candidates += queued.candidates.length;
    this.#judgePressure();
    if (this.#isWorking) return;
    this.#isWorking = true;
    // What arrived together is looked up together.
    setImmediate(() => void this.#work());
  }

  /** What the catalogue said has changed. */
  forgetRights(): void {
    this.#readable.clear();
  }

  close(): void {
    this.#isClosed = true;
    this.#queue = [];
    this.#bytes = 0;
    this.#candidates = 0;
  }

  #judgePressure(): void {
    const isAbove = (share: number) =>
      this.#bytes > HIGH_BYTES * share ||
      this.#candidates > HIGH_CANDIDATES * share ||
      this.#queue.length > HIGH_CHANGES * share;
    if (!this.#isHigh && isAbove(1)) {
      this.#isHigh = true;
      this.#options.onPressure(true);
    } else if (this.#isHigh && !isAbove(0.5)) {
      this.#isHigh = false;
      this.#options.onPressure(false);
    }
  }

  async #work(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#isClosed) {
        const batch = this.#takeBatch();
        await this.#deliverWithRetries(batch);
        this.#judgePressure();
        // Others of the process get their turn between two batches.
        if (this.#queue.length > 0) await new Promise((resolve) => setImmediate(resolve));
      }
    } catch (error) {
      if (!this.#isClosed) this.#options.onFailure(error as Error);
    } finally {
      this.#isWorking = false;
    }
  }

  #takeBatch(): QueuedChange[] {
    let count = 0;
    let candidates = 0;
    while (count < this.#queue.length && count < MAX_BATCH) {
      candidates += (this.#queue[count] as QueuedChange).candidates.length;
      if (count > 0 && candidates > MAX_BATCH_CANDIDATES) break;
      count += 1;
    }
    const batch = this.#queue.splice(0, count);
    for (const queued of batch) {
      this.#bytes -= queued.bytes;
      this.#candidates -= queued.candidates.length;
    }
    return batch;
  }

  /** A database that is away for a moment loses nobody a change. */
  async #deliverWithRetries(batch: readonly QueuedChange[]): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const delivery = new BatchDelivery(this.#options, batch, this.#readable);
        await delivery.prepare();
        await delivery.send(() => this.#isClosed);
        return;
      } catch (error) {
        if (this.#isClosed) return;
        if (attempt === MAX_ATTEMPTS) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS * attempt));
      }
    }
  }
}

/** What is known of one batch by the time it is sent. */
class BatchDelivery {
  readonly #options: ChangeQueueOptions;
  /** A change may be for as many subscribers as the tenant likes. */
  readonly #slices: Slices;
  readonly #batch: readonly QueuedChange[];
  readonly #readable: Map<string, { readonly columns: ReadonlySet<number>; readonly untilMs: number }>;
  readonly #isDenied = new Map<Candidate, true>();
  /** For each change: by role and claims, whether the row is visible. */
  readonly #visible = new Map<QueuedChange, Map<string, boolean>>();
  readonly #rows = new Map<QueuedChange, Values>();
  #conversions: Conversions = new Map();
  #failures = 0;

  constructor(
    options: ChangeQueueOptions,
    batch: readonly QueuedChange[],
    readable: Map<string, { readonly columns: ReadonlySet<number>; readonly untilMs: number }>,
  ) {
    this.#options = options;
    this.#slices = new Slices(options.project.ref);
    this.#batch = batch;
    this.#readable = readable;
  }

  async prepare(): Promise<void> {
    await this.#loadRights();
    const looksUpRows = ({ change: { table, row }, candidates }: QueuedChange) =>
      row !== null &&
      candidates.length > 0 &&
      (table.hasRowSecurity || table.columns.some((column) => column.isGenerated));
    const xids = new Set(this.#batch.filter(looksUpRows).map(({ change }) => change.xid));
    if (xids.size > 0) await untilVisible(this.#database, xids);
    await this.#loadGenerated();
    await this.#testUndecided();
    await this.#loadConversions();
    await this.#loadVisible();
  }

  get #database(): ProjectDatabase {
    return this.#options.project.database();
  }

  // ---- asking the database --------------------------------------------------------------------------------------

  async #loadRights(): Promise<void> {
    const now = this.#options.project.around.now();
    const wanted = new Map<string, { table: number; role: string }>();
    for (const { change, candidates } of this.#batch) {
      for (const { entry } of candidates) {
        if (this.#slices.isDue) await this.#slices.pause();
        const key = rightsKey(change.table, entry.channel.token.role);
        const known = this.#readable.get(key);
        if (!known || known.untilMs < now) wanted.set(key, { table: change.table.oid, role: entry.channel.token.role });
      }
    }
    if (wanted.size === 0) return;
    if (this.#readable.size + wanted.size > MAX_READABLE) this.#readable.clear();
    const answers = await readReadableColumns(this.#database, [...wanted.values()]);
    [...wanted.keys()].forEach((key, index) => {
      this.#readable.set(key, { columns: answers[index] ?? new Set(), untilMs: now + READABLE_TTL_MS });
    });
  }

  /** Stored generated columns are not in the stream. */
  async #loadGenerated(): Promise<void> {
    for (const [table, changes] of byTable(this.#batch)) {
      const missing = table.columns.filter(({ isGenerated }) => isGenerated);
      const rows = changes.filter(({ change, candidates }) => change.row !== null && candidates.length > 0);
      if (missing.length === 0 || table.primaryKey.length === 0 || rows.length === 0) continue;
      if (missing.every((column) => rows.every(({ change }) => change.row?.has(column)))) continue;
      const answers = await readGenerated(this.#database, { table, keys: keysOf(table, rows) }, missing);
      rows.forEach((queued, index) => {
        const values = answers[index];
        if (!values || !queued.change.row) return;
        this.#rows.set(
          queued,
          new Map([...queued.change.row, ...missing.map((column, at) => [column, values[at] ?? null] as const)]),
        );
      });
    }
  }

  async #testUndecided(): Promise<void> {
    const questions: { candidate: Candidate; compiled: CompiledFilter; value: string | null }[] = [];
    for (const queued of this.#batch) {
      const values = queued.change.row ? this.#rowOf(queued) : queued.change.old;
      for (const candidate of queued.candidates) {
        if (this.#slices.isDue) await this.#slices.pause();
        for (const compiled of candidate.undecided) {
          const value = values?.get(compiled.column);
          questions.push({ candidate, compiled, value: typeof value === "string" ? value : null });
        }
      }
    }
    if (questions.length === 0) return;
    const answers = await testFilters(this.#database, questions);
    questions.forEach(({ candidate }, index) => {
      if (!answers[index]) this.#isDenied.set(candidate, true);
    });
  }

  async #loadConversions(): Promise<void> {
    const wanted = new Map<Column, Set<string>>();
    for (const queued of this.#batch) {
      if (queued.candidates.length === 0) continue;
      for (const values of [this.#rowOf(queued), queued.change.old]) {
        for (const [column, value] of values ?? []) {
          if (column.conversion.kind !== "sql" || typeof value !== "string") continue;
          const texts = wanted.get(column) ?? new Set();
          texts.add(value);
          wanted.set(column, texts);
        }
      }
    }
    if (wanted.size === 0) return;
    const conversions = new Map<Column, ReadonlyMap<string, string>>();
    for (const [column, texts] of wanted) {
      const list = [...texts];
      const json = await convertValues(this.#database, column, list).catch((error) => {
        if (!(error instanceof Error) || !("code" in error)) throw error;
        return list.map((text) => JSON.stringify(text)); // a cast of the tenant's own that raises
      });
      conversions.set(column, new Map(list.map((text, index) => [text, json[index] ?? "null"])));
    }
    this.#conversions = conversions;
  }

  async #loadVisible(): Promise<void> {
    const questions = new Map<string, { question: VisibilityQuestion; changes: QueuedChange[] }>();
    for (const [table, changes] of byTable(this.#batch)) {
      if (!table.hasRowSecurity) continue;
      const byClaims = new Map<string, { token: VerifiedToken; changes: Set<QueuedChange> }>();
      for (const queued of changes) {
        if (queued.change.type === "DELETE" || errorOf(queued.change) !== null) continue;
        for (const candidate of queued.candidates) {
          if (this.#slices.isDue) await this.#slices.pause();
          const { token } = candidate.entry.channel;
          if (this.#isDenied.has(candidate) || this.#options.roleFacts(token.role)?.bypassesRowSecurity) continue;
          const key = claimsKey(token);
          const asked = byClaims.get(key) ?? { token, changes: new Set() };
          asked.changes.add(queued);
          byClaims.set(key, asked);
        }
      }
      for (const [key, { token, changes: asked }] of byClaims) {
        const list = [...asked];
        questions.set(`${table.oid} ${key}`, { question: { table, keys: keysOf(table, list), token }, changes: list });
      }
    }
    if (questions.size === 0) return;
    // Role by role: a change of role costs a statement, and with it a new plan.
    const ordered = [...questions.values()].sort((one, other) =>
      one.question.token.role < other.question.token.role ? -1 : 1,
    );
    this.#options.project.around.counters.rowChecks += ordered.reduce((sum, { changes }) => sum + changes.length, 0);
    const answers = await readVisible(
      this.#database,
      ordered.map(({ question }) => question),
      (error) => this.#noteFailure(error),
    );
    ordered.forEach(({ question, changes }, index) => {
      const key = claimsKey(question.token);
      changes.forEach((queued, position) => {
        const known = this.#visible.get(queued) ?? new Map<string, boolean>();
        known.set(key, answers[index]?.has(position) ?? false);
        this.#visible.set(queued, known);
      });
    });
  }

  #noteFailure(error: DatabaseError): void {
    this.#failures += 1;
    if (this.#failures > 1) return;
    const { project } = this.#options;
    project.around.logger.warn(
      { projectRef: project.ref, code: error.code, error: error.message },
      "a policy raised or took too long: its rows are not announced",
    );
  }

  // ---- sending ---------------------------------------------------------------------------------------------------

  async send(isOver: () => boolean): Promise<void> {
    const { project } = this.#options;
    for (const queued of this.#batch) {
      if (isOver()) return;
      if (project.changes.isOver(project.settings.maxEventsPerSecond, project.seconds)) return; // as upstream: silently
      await this.#sendChange(queued);
    }
  }

  async #sendChange(queued: QueuedChange): Promise<void> {
    const { project } = this.#options;
    const error = errorOf(queued.change);
    const byChannel = new Map<Channel, Map<string, { ids: number[]; data: string }>>();
    const dataByView = new Map<string, string>();
    for (const candidate of queued.candidates) {
      if (this.#slices.isDue) await this.#slices.pause();
      const { entry } = candidate;
      if (entry.channel.isClosed || this.#isDenied.has(candidate)) continue;
      const data = error === null ? this.#dataFor(queued, entry, dataByView) : changeError(queued.change, error);
      if (data === null) continue;
      const views = byChannel.get(entry.channel) ?? new Map();
      const view = views.get(data) ?? { ids: [], data };
      view.ids.push(entry.id);
      views.set(data, view);
      byChannel.set(entry.channel, views);
      project.changes.add(1, project.seconds);
    }
    const frames = new Map<string, Frame>();
    for (const [channel, views] of byChannel) {
      if (this.#slices.isDue) await this.#slices.pause();
      if (channel.isClosed) continue;
      for (const { ids, data } of views.values()) {
        const key = `${channel.version} ${ids} ${channel.topicJson}${views.size > 1 ? data : ""}${channel.token.role}`;
        let frame = frames.get(key);
        if (!frame || views.size > 1) {
          frame = fanOutFrame(
            channel.version,
            channel.topicJson,
            "postgres_changes",
            `{"ids":[${ids}],"data":${data}}`,
          );
          frames.set(key, frame);
        }
        channel.deliver(frame);
        project.around.counters.changesDelivered += 1;
      }
    }
    project.around.counters.lastChangeLagMs = project.around.now() - queued.change.committedAtMs;
  }

  /** @returns Null when the entry's user may not see the row. */
  #dataFor(queued: QueuedChange, entry: Entry, dataByView: Map<string, string>): string | null {
    const { change } = queued;
    const { table } = change;
    const { token } = entry.channel;
    const readable = this.#readable.get(rightsKey(table, token.role))?.columns ?? new Set<number>();
    if (change.type !== "DELETE" && !table.primaryKey.every(({ number }) => readable.has(number))) {
      return changeError(change, "Error 401: Unauthorized");
    }
    const isSecured = table.hasRowSecurity && !this.#options.roleFacts(token.role)?.bypassesRowSecurity;
    if (isSecured && change.type !== "DELETE" && !this.#visible.get(queued)?.get(claimsKey(token))) return null;
    const view = `${token.role} ${entry.select}`;
    const known = dataByView.get(view);
    if (known !== undefined) return known;
    const selected = entry.spec.select;
    const isShown = (column: Column) =>
      readable.has(column.number) &&
      (selected === null || selected.includes(column.name) || table.primaryKey.includes(column));
    const row = this.#rowOf(queued);
    const isKeyOnly = change.type === "DELETE" && table.hasRowSecurity;
    const data = changeData({ ...change, row }, isShown, this.#conversions, isKeyOnly);
    dataByView.set(view, data);
    return data;
  }

  #rowOf(queued: QueuedChange): Values | null {
    return this.#rows.get(queued) ?? queued.change.row;
  }
}

function errorOf({ table, type }: Change): string | null {
  return type !== "DELETE" && table.primaryKey.length === 0 ? "Error 400: Bad Request, no primary key" : null;
}

function rightsKey(table: Table, role: string): string {
  return `${table.oid} ${role}`;
}

function claimsKey({ role, claims }: VerifiedToken): string {
  return `${role} ${claims}`;
}

function byTable(batch: readonly QueuedChange[]): Map<Table, QueuedChange[]> {
  const tables = new Map<Table, QueuedChange[]>();
  for (const queued of batch) {
    const changes = tables.get(queued.change.table);
    if (changes) changes.push(queued);
    else tables.set(queued.change.table, [queued]);
  }
  return tables;
}

/** Primary keys of the new rows, one list for each key column. */
function keysOf(table: Table, changes: readonly QueuedChange[]): string[][] {
  return table.primaryKey.map((column) =>
    changes.map(({ change }) => {
      const value = change.row?.get(column);
      if (typeof value === "string") return value;
      const before = value === UNCHANGED ? change.old?.get(column) : undefined;
      return typeof before === "string" ? before : "";
    }),
  );
}
