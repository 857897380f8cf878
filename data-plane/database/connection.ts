/**
 * One connection to one project's database. Batches are written one behind the other without waiting for answers;
 * each ends with its own Sync, so each is a transaction of its own and an error in one leaves the others alone.
 */
import { connect, type Socket } from "node:net";
import type { DatabaseAddress } from "../../control-plane/client/config-snapshot.ts";
import { HeldBytesExhausted } from "../held-bytes.ts";
import { type Batch, isStalePlan } from "./batch.ts";
import { ConnectionLost, DatabaseError, type Statement } from "./database.ts";
import { PreparedStatements } from "./prepared-statements.ts";
import { readColumns, WireResult } from "./result.ts";
import { databaseError, type OpenedConnection, socketTarget } from "./wire/handshake.ts";
import { FieldReader, MessageReader, MessageTooLarge, ProtocolViolation, readErrorFields } from "./wire/reader.ts";
import { cancelRequest, MessageWriter } from "./wire/writer.ts";

/** The project's part of what the process may hold in memory. */
export interface HeldByProject {
  /** Whether so many bytes could be taken now. */
  fits(bytes: number): boolean;
  take(bytes: number): boolean;
  give(bytes: number): void;
}

/** What a connection tells the one who owns it. */
export interface ConnectionOwner {
  /** Something was written: call {@link Connection.flush} soon, after whatever else this turn of the loop brings. */
  onWritten(connection: Connection): void;
  /** A batch has ended. @param tookMs How long it ran since it came to the head of the pipeline. */
  onAnswered(batch: Batch, tookMs: number): void;
  /** The project may not hold so many bytes of the batch's answer: it is given up. */
  onRefused(batch: Batch, bytes: number): void;
  /** A batch has ended; there may be room for the next. */
  onBatchEnd(connection: Connection): void;
  /** The batch failed by no fault of its own and kept nothing: send it again. */
  onRetry(connection: Connection, batch: Batch): void;
  /** The connection is gone. `unanswered` are the batches under way, the one that was running first. */
  onClosed(connection: Connection, reason: Error, unanswered: readonly Batch[]): void;
}

export interface ConnectionLimits {
  /** Prepared statements kept on the server. */
  readonly maxPreparedStatements: number;
  /** Rows of one batch, in bytes of the wire; beyond it the connection is closed. */
  readonly maxResponseBytes: number;
  /** What is kept of each text of an error, in bytes. */
  readonly maxErrorBytes: number;
}

/** Of what answers are charged to a project while they come in. */
const CHARGE_BYTES = 256 * 1024;

const CANCEL_TIMEOUT_MS = 5000;

const ROLLBACK: Statement = { text: "/* pipeline */ rollback", values: [], prepare: false };

export class Connection {
  readonly processId: number;
  /** When the batch at the head began to run, by `now()`. */
  headSince = 0;
  /** Something is written and waits for {@link flush}. */
  isFlushScheduled = false;
  /** When the last batch ended. */
  idleSince: number;
  readonly openedAt: number;
  /** Takes no further batches; closed by its owner when it is empty. */
  isRetiring = false;
  isClosed = false;

  readonly #socket: Socket;
  readonly #secretKey: Buffer;
  readonly #owner: ConnectionOwner;
  readonly #limits: ConnectionLimits;
  readonly #now: () => number;
  readonly #address: DatabaseAddress;
  readonly #reader: MessageReader;
  readonly #writer = new MessageWriter();
  readonly #prepared: PreparedStatements;
  readonly #queue: Batch[] = [];
  readonly #held: HeldByProject | null;
  /** A CancelRequest is on its way and might hit a batch that runs after the one it is meant for. */
  #isCancelling = false;
  #mayHaveBeenCancelled = false;
  #onNotification: ((channel: string, payload: string) => void) | null = null;
  #closeReason: Error | null = null;
  #isEnding = false;

  constructor(
    opened: OpenedConnection,
    address: DatabaseAddress,
    owner: ConnectionOwner,
    limits: ConnectionLimits,
    now: () => number,
    held: HeldByProject | null,
  ) {
    this.#held = held;
    this.#socket = opened.socket;
    this.processId = opened.processId;
    this.#secretKey = opened.secretKey;
    this.#address = address;
    this.#owner = owner;
    this.#limits = limits;
    this.#now = now;
    this.openedAt = now();
    this.idleSince = this.openedAt;
    this.#prepared = new PreparedStatements(limits.maxPreparedStatements);
    this.#reader = new MessageReader(
      (tag, buffer, start, end) => this.#onMessage(tag, buffer, start, end),
      limits.maxResponseBytes,
      (bytes) => this.#charge(this.#queue[0], bytes),
    );
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("close", () => this.#onClose());
    this.#socket.on("error", (error) => {
      this.#closeReason ??= error;
    });
    this.#socket.resume();
  }

  /** Batches sent and not yet answered. */
  get load(): number {
    return this.#queue.length;
  }

  /** The batch that the server is working on. */
  get head(): Batch | undefined {
    return this.#queue[0];
  }

  get batches(): readonly Batch[] {
    return this.#queue;
  }

  /** False while it waits for a decision about a commit, cancels, or is about to go. */
  get isAccepting(): boolean {
    if (this.isRetiring || this.#isCancelling) return false;
    const last = this.#queue[this.#queue.length - 1];
    return !last?.options.commitIf;
  }

  /** Called for each NOTIFY on a channel this connection listens to. */
  set notificationHandler(handler: (channel: string, payload: string) => void) {
    this.#onNotification = handler;
  }

  /** Writes the batch behind those under way. Throws, and sends nothing of it, when a statement cannot be sent. */
  send(batch: Batch): void {
    const writer = this.#writer;
    for (const name of this.#prepared.takeDropped()) writer.closeStatement(name);
    const mark = writer.mark();
    try {
      for (const statement of batch.statements) batch.plans.push(this.#write(statement, batch.isRetry));
    } catch (error) {
      writer.rewind(mark);
      this.#forgetUnparsed(batch);
      throw error;
    }
    if (batch.options.commitIf) writer.flush();
    else writer.sync();
    if (this.#queue.push(batch) === 1) this.headSince = this.#now();
    this.#owner.onWritten(this);
  }

  /** Hands what was written to the socket, in one system call where it can. */
  flush(): void {
    this.isFlushScheduled = false;
    if (this.isClosed || this.#writer.isEmpty) return;
    const chunks = this.#writer.take();
    if (chunks.length === 1) {
      this.#socket.write(chunks[0] as Buffer);
      return;
    }
    this.#socket.cork();
    for (const chunk of chunks) this.#socket.write(chunk);
    this.#socket.uncork();
  }

  /**
   * Asks the server to stop the batch, if it is running already. The request goes by its own connection and names no
   * statement, so it may come late and hit the next batch: such a one is run again, and no more are taken meanwhile.
   */
  cancel(batch: Batch): void {
    if (this.#isCancelling || this.isClosed || this.head !== batch || batch.cancelledAt !== null) return;
    batch.cancelledAt = this.#now();
    this.#isCancelling = true;
    this.#mayHaveBeenCancelled = true;
    const socket = connect(socketTarget(this.#address));
    socket.setTimeout(CANCEL_TIMEOUT_MS, () => socket.destroy());
    socket.on("error", () => {}); // the batch then runs to its end
    socket.on("connect", () => socket.end(cancelRequest(this.processId, this.#secretKey)));
    socket.on("close", () => {
      this.#isCancelling = false;
      this.#owner.onBatchEnd(this);
    });
    socket.resume();
  }

  /** Says goodbye and closes; only when nothing is under way. */
  end(): void {
    if (this.isClosed || this.#isEnding) return;
    this.#isEnding = true;
    this.isRetiring = true;
    this.#writer.terminate();
    this.flush();
    this.#socket.end();
    this.#socket.destroySoon();
  }

  /** Drops the connection at once; `reason` becomes the cause of every unanswered batch's error. */
  destroy(reason: Error): void {
    this.#closeReason ??= reason;
    this.isRetiring = true;
    this.#socket.destroy();
  }

  #write(statement: Statement, unnamedOnly: boolean) {
    const writer = this.#writer;
    if (statement.prepare && !unnamedOnly) {
      const known = this.#prepared.find(statement.text, statement.planRole);
      if (known?.isParsed) {
        writer.bind(known.name, statement.values);
        if (!known.columns) writer.describePortal();
        writer.execute();
        return known;
      }
      if (!known) {
        const added = this.#prepared.add(statement.text, statement.planRole);
        writer.parse(added.name, statement.text);
        writer.bind(added.name, statement.values);
        writer.describePortal();
        writer.execute();
        return added;
      }
    }
    writer.parse("", statement.text);
    writer.bind("", statement.values);
    writer.describePortal();
    writer.execute();
    return null;
  }

  #onData(chunk: Buffer): void {
    try {
      this.#reader.feed(chunk);
    } catch (error) {
      const { head } = this;
      if (head && error instanceof HeldBytesExhausted) this.#refuse(head, "53200", error.message);
      else if (head && error instanceof MessageTooLarge)
        this.#refuse(head, "54000", `the answer is larger than ${this.#limits.maxResponseBytes} bytes`);
      else this.destroy(error as Error);
    }
  }

  #onMessage(tag: number, buffer: Buffer, start: number, end: number): void {
    if (this.isClosed) return;
    const batch = this.#queue[0];
    if (batch && this.#onAnswer(batch, tag, buffer, start, end)) return;
    switch (tag) {
      case 0x41: // NotificationResponse
        this.#onNotificationResponse(new FieldReader(buffer, start, end));
        break;
      case 0x53: // ParameterStatus
      case 0x4e: // NoticeResponse
      case 0x33: // CloseComplete
        break;
      case 0x45: // ErrorResponse, unasked: the server says why it is about to close
        this.#closeReason ??= databaseError(this.#readError(buffer, start, end), 0);
        break;
      default:
        throw new ProtocolViolation(`unexpected message 0x${tag.toString(16)}`);
    }
  }

  /** Takes a message that answers the batch; false when it is none of those. */
  #onAnswer(batch: Batch, tag: number, buffer: Buffer, start: number, end: number): boolean {
    switch (tag) {
      case 0x44: // DataRow
        batch.receivedBytes += end - start;
        if (batch.receivedBytes > this.#limits.maxResponseBytes) throw new MessageTooLarge();
        if (batch.receivedBytes - batch.chargedBytes > CHARGE_BYTES) {
          this.#charge(batch, batch.receivedBytes - batch.chargedBytes);
        }
        batch.current.addRow(buffer, start);
        return true;
      case 0x32: // BindComplete
        batch.current.fields = batch.plans[batch.results.length]?.columns ?? batch.current.fields;
        return true;
      case 0x43: // CommandComplete
        batch.current.complete(buffer, start, end - 1);
        this.#onStatementEnd(batch);
        return true;
      case 0x5a: // ReadyForQuery
        this.#onReady(batch, buffer[start] as number);
        return true;
      case 0x31: {
        // ParseComplete
        const plan = batch.plans[batch.results.length];
        if (plan) plan.isParsed = true;
        return true;
      }
      case 0x54: // RowDescription
        describe(batch, readColumns(buffer, start, end));
        return true;
      case 0x6e: // NoData
        describe(batch, []);
        return true;
      case 0x49: // EmptyQueryResponse
        this.#onStatementEnd(batch);
        return true;
      case 0x45: // ErrorResponse
        this.#onError(batch, databaseError(this.#readError(buffer, start, end), batch.statementIndex));
        return true;
      case 0x47: // CopyInResponse: the server would wait for data and swallow our Sync
      case 0x48: // CopyOutResponse
      case 0x57: // CopyBothResponse
        this.#refuse(batch, "0A000", "COPY from or to the client is not supported here");
        return true;
      default:
        return false;
    }
  }

  #readError(buffer: Buffer, start: number, end: number): Record<string, string> {
    return readErrorFields(new FieldReader(buffer, start, end), this.#limits.maxErrorBytes);
  }

  /** @throws {HeldBytesExhausted} */
  #charge(batch: Batch | undefined, bytes: number): void {
    if (!batch || !this.#held) return;
    if (!this.#held.take(bytes)) {
      this.#owner.onRefused(batch, batch.chargedBytes + bytes);
      throw new HeldBytesExhausted();
    }
    batch.chargedBytes += bytes;
  }

  /** The batch is over: whoever has its answer now counts what it keeps of it. */
  #giveBack(batch: Batch): void {
    if (batch.chargedBytes > 0) this.#held?.give(batch.chargedBytes);
    batch.chargedBytes = 0;
  }

  /** Fails the batch and closes the connection, which rolls it back. */
  #refuse(batch: Batch, code: string, message: string): void {
    const { statementIndex } = batch;
    batch.error ??= new DatabaseError({ message, code, severity: "ERROR", statementIndex });
    this.destroy(batch.error);
  }

  #onStatementEnd(batch: Batch): void {
    if (batch.phase === "deciding") return; // of the ROLLBACK
    batch.results.push(batch.current);
    batch.current = new WireResult();
    if (batch.options.commitIf && batch.results.length === batch.statements.length)
      this.#decide(batch, batch.options.commitIf);
  }

  /** All results are in and nothing is committed yet: the server waits for our Sync. */
  #decide(batch: Batch, commitIf: (results: readonly WireResult[]) => boolean): void {
    batch.phase = "deciding";
    let isCommitted = false;
    try {
      isCommitted = commitIf(batch.answer);
    } catch (error) {
      batch.error = error as Error;
    }
    if (!isCommitted) this.#write(ROLLBACK, true);
    this.#writer.sync();
    this.#owner.onWritten(this);
  }

  #onError(batch: Batch, error: DatabaseError): void {
    batch.error ??= error;
    if (error.severity === "FATAL" || error.severity === "PANIC") this.#closeReason ??= error;
    // With commitIf the Sync, up to which the server now skips, is not sent yet.
    if (batch.options.commitIf && batch.phase === "running") {
      batch.phase = "deciding";
      this.#writer.sync();
      this.#owner.onWritten(this);
    }
  }

  #onReady(batch: Batch, status: number): void {
    this.#queue.shift();
    this.#giveBack(batch);
    const now = this.#now();
    this.#owner.onAnswered(batch, now - this.headSince);
    if (this.#queue.length > 0) this.headSince = now;
    else this.idleSince = now;
    if (status !== 0x49 && !batch.isLeased) {
      // A statement opened a transaction of its own; what follows in the pipeline would run inside it.
      this.#refuse(batch, "25001", "a pipelined statement left a transaction open");
      batch.fail(batch.error);
      return;
    }
    if (batch.error) this.#onFailed(batch, batch.error);
    else batch.succeed();
    if (this.#queue.length === 0 && !this.#isCancelling) this.#mayHaveBeenCancelled = false;
    this.#owner.onBatchEnd(this);
  }

  #onFailed(batch: Batch, error: Error): void {
    this.#forgetUnparsed(batch);
    if (error instanceof DatabaseError) {
      const isStale = isStalePlan(error);
      if (isStale) for (const plan of batch.plans) if (plan) this.#prepared.forget(plan);
      const isStray = error.code === "57014" && this.#mayHaveBeenCancelled && batch.cancelledAt === null;
      if ((isStale || isStray) && !batch.isLeased && !batch.isRetry) {
        this.#owner.onRetry(this, batch);
        return;
      }
    }
    batch.fail(error);
  }

  #forgetUnparsed(batch: Batch): void {
    for (const plan of batch.plans) if (plan && !plan.isParsed) this.#prepared.forget(plan);
  }

  #onNotificationResponse(fields: FieldReader): void {
    fields.int32(); // the notifying backend
    this.#onNotification?.(fields.cstring(), fields.cstring());
  }

  #onClose(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isRetiring = true;
    const reason = this.#closeReason ?? new Error("the server closed the connection");
    const unanswered = this.#queue.splice(0);
    const [head] = unanswered;
    for (const batch of unanswered) this.#giveBack(batch);
    // The head's own error tells more than the loss, unless it is the server's farewell.
    if (head?.error && !(head.error instanceof DatabaseError && head.error.severity !== "ERROR")) {
      unanswered.shift();
      head.fail(head.error);
    }
    this.#owner.onClosed(this, reason, unanswered);
  }
}

function describe(batch: Batch, columns: ReturnType<typeof readColumns>): void {
  batch.current.fields = columns;
  const plan = batch.plans[batch.results.length];
  if (plan) plan.columns = columns;
}

/** What an unanswered batch is told. */
export function lostError(reason: Error, sent: boolean): ConnectionLost {
  return new ConnectionLost(`the connection to the database was lost: ${reason.message}`, { cause: reason, sent });
}
