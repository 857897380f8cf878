/**
 * One logical replication stream: a connection of its own, a temporary slot that lives exactly as long as the connection,
 * and pgoutput's messages from then on.
 * @see https://www.postgresql.org/docs/current/protocol-replication.html
 */
import type { Socket } from "node:net";
import type { DatabaseAddress, ReplicationLogin } from "../../../control-plane/client/config-snapshot.ts";
import { ConnectionLost, DatabaseError } from "../../database/database.ts";
import { databaseError, openConnection } from "../../database/wire/handshake.ts";
import { FieldReader, lengthAt, readErrorFields } from "../../database/wire/reader.ts";
import { SaltedPasswords } from "../../database/wire/scram.ts";
import { LargeMessage } from "./pgoutput/large-message.ts";

export interface StreamHandlers {
  /** A pgoutput message: `body` from `start` to `end`. The buffer is not written again. */
  onMessage(body: Buffer, start: number, end: number): void;
  /** Once, whatever the reason; not after {@link ReplicationStream.close}. */
  onEnd(error: Error): void;
}

export interface StreamOptions {
  readonly address: DatabaseAddress;
  readonly login: ReplicationLogin;
  readonly slot: string;
  readonly publication: string;
  readonly handlers: StreamHandlers;
}

/** Output formats that the conversion to JSON counts on. */
const SESSION = {
  DateStyle: "ISO, YMD",
  TimeZone: "UTC",
  IntervalStyle: "postgres",
  bytea_output: "hex",
  extra_float_digits: "1",
};

const CONNECT_TIMEOUT_MS = 5_000;
/** Often enough for wal_sender_timeout (60 s); each one wakes the server's process. */
const STATUS_MS = 10_000;
/** A message above this is not held whole. */
const LARGE_BYTES = 2 * 1024 * 1024;
const HEADER_BYTES = 5;
const XLOG_HEADER_BYTES = 25;

const TAG = { copyData: 0x64, copyBoth: 0x57, error: 0x45, ready: 0x5a, dataRow: 0x44, copyDone: 0x63 } as const;

/** A single value of a one-row answer. */
type Answer = readonly (string | null)[];

export class ReplicationStream {
  readonly #handlers: StreamHandlers;
  readonly #slot: string;
  readonly #publication: string;
  readonly #socket: Socket;
  #pending: Buffer | null = null;
  #large: LargeMessage | null = null;
  #query: { rows: Answer[]; resolve(rows: Answer[]): void; reject(error: Error): void; error: Error | null } | null =
    null;
  #isStreaming = false;
  #isClosed = false;
  #receivedLsn = 0n;
  #serverLsn = 0n;
  #timer: NodeJS.Timeout | undefined;

  private constructor(socket: Socket, options: StreamOptions) {
    this.#socket = socket;
    this.#handlers = options.handlers;
    this.#slot = options.slot;
    this.#publication = options.publication;
    socket.on("data", (chunk: Buffer) => this.#feedSafely(chunk));
    socket.on("error", () => {});
    socket.on("close", () => this.#end(new ConnectionLost("the replication connection was lost", { sent: true })));
    socket.resume();
  }

  /** @throws {DatabaseError} @throws {ConnectionLost} when there is no connection to be had. */
  static async connect(options: StreamOptions): Promise<ReplicationStream> {
    const { address, login } = options;
    const opened = await openConnection({
      address: { ...address, user: login.user, password: login.password },
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      applicationName: "supalove realtime",
      tls: undefined,
      saltedPasswords: new SaltedPasswords(),
      settings: { replication: "database", ...SESSION },
    });
    return new ReplicationStream(opened.socket, options);
  }

  /** Bytes that the server has sent off, or is about to, and that have not come through here. */
  get lagBytes(): number {
    return Number(this.#serverLsn > this.#receivedLsn ? this.#serverLsn - this.#receivedLsn : 0n);
  }

  /** A simple query on the same connection, before {@link start}. */
  query(text: string): Promise<Answer[]> {
    if (this.#isClosed)
      return Promise.reject(new ConnectionLost("the replication connection is closed", { sent: false }));
    return new Promise((resolve, reject) => {
      this.#query = { rows: [], resolve, reject, error: null };
      this.#send(0x51, Buffer.from(`${text}\0`));
    });
  }

  /**
   * Makes the slot and begins to stream: every commit after this has resolved comes. Waits for all transactions of the
   * whole cluster that have written something and run on.
   */
  async start(): Promise<void> {
    await this.query(`CREATE_REPLICATION_SLOT "${this.#slot}" TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT`);
    await this.query(
      `START_REPLICATION SLOT "${this.#slot}" LOGICAL 0/0 (proto_version '1', publication_names '"${this.#publication}"')`,
    );
    this.#isStreaming = true;
    this.#timer = setInterval(() => this.#sendStatus(), STATUS_MS);
    this.#timer.unref();
  }

  /** Stops reading until {@link resume}: the server waits, and its WAL with it. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** The slot is gone with the connection. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#query?.reject(new ConnectionLost("the replication connection was closed", { sent: true }));
    this.#query = null;
    this.#socket.destroy();
  }

  #end(error: Error): void {
    if (this.#isClosed) return;
    const query = this.#query;
    this.#query = null;
    this.close();
    query?.reject(error);
    if (this.#isStreaming) this.#handlers.onEnd(error);
  }

  #feedSafely(chunk: Buffer): void {
    try {
      this.#feed(chunk);
    } catch (error) {
      this.#end(error as Error);
    }
  }

  #feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#large) {
        at += this.#large.feed(at === 0 ? chunk : chunk.subarray(at));
        if (!this.#large.isComplete) return;
        const body = this.#large.body();
        this.#large = null;
        this.#copyData(body, 0, body.length);
        continue;
      }
      if (this.#pending) {
        chunk = Buffer.concat([this.#pending, chunk.subarray(at)]);
        this.#pending = null;
        at = 0;
      }
      if (chunk.length - at < HEADER_BYTES) break;
      const tag = chunk[at] as number;
      const bodyStart = at + HEADER_BYTES;
      const bytes = lengthAt(chunk, at + 1) - 4;
      if (tag === TAG.copyData && bytes > LARGE_BYTES) {
        this.#large = new LargeMessage(bytes);
        at = bodyStart;
        continue;
      }
      if (chunk.length - bodyStart < bytes) break;
      this.#message(tag, chunk, bodyStart, bodyStart + bytes);
      at = bodyStart + bytes;
    }
    if (at < chunk.length) this.#pending = chunk.subarray(at);
  }

  #message(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === TAG.copyData) {
      this.#copyData(chunk, start, end);
      return;
    }
    const query = this.#query;
    if (tag === TAG.error) {
      const error = databaseError(readErrorFields(new FieldReader(chunk, start, end)), 0);
      if (query && !this.#isStreaming) query.error = error;
      else this.#end(error);
    } else if (tag === TAG.dataRow && query) query.rows.push(readRow(chunk, start, end));
    else if ((tag === TAG.ready || tag === TAG.copyBoth) && query) {
      this.#query = null;
      if (query.error) query.reject(query.error);
      else query.resolve(query.rows);
    } else if (tag === TAG.copyDone) this.#end(new ConnectionLost("the server has ended the stream", { sent: true }));
  }

  #copyData(chunk: Buffer, start: number, end: number): void {
    const kind = chunk[start];
    if (kind === 0x77) {
      this.#noteServer(chunk.readBigUInt64BE(start + 9));
      this.#handlers.onMessage(chunk, start + XLOG_HEADER_BYTES, end);
      const lsn = chunk.readBigUInt64BE(start + 1);
      if (lsn > this.#receivedLsn) this.#receivedLsn = lsn;
    } else if (kind === 0x6b) {
      const lsn = chunk.readBigUInt64BE(start + 1);
      this.#noteServer(lsn);
      // All that the server had for us up to there has come before.
      if (lsn > this.#receivedLsn) this.#receivedLsn = lsn;
      if (chunk[start + 17] === 1) this.#sendStatus();
    }
  }

  #noteServer(lsn: bigint): void {
    if (lsn > this.#serverLsn) this.#serverLsn = lsn;
  }

  /** What has been received need not be kept: the slot does not outlive us, so nothing will be asked for again. */
  #sendStatus(): void {
    const body = Buffer.alloc(34);
    body[0] = 0x72;
    for (const at of [1, 9, 17]) body.writeBigUInt64BE(this.#receivedLsn, at);
    this.#send(TAG.copyData, body);
  }

  #send(tag: number, body: Buffer): void {
    const head = Buffer.alloc(HEADER_BYTES);
    head[0] = tag;
    head.writeInt32BE(body.length + 4, 1);
    this.#socket.write(Buffer.concat([head, body]));
  }
}

function readRow(chunk: Buffer, start: number, end: number): Answer {
  const fields = new FieldReader(chunk, start, end);
  const values: (string | null)[] = [];
  for (let count = fields.int16(); count > 0; count -= 1) {
    const bytes = fields.int32();
    values.push(bytes < 0 ? null : fields.text(bytes));
  }
  return values;
}

/** Why a stream could not start, for people. */
export function isServerRefusal(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError;
}
