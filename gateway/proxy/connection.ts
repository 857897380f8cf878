/** One keep-alive connection to an upstream, carrying one request at a time. */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { IncomingBody } from "../../data-plane/http/incoming-body.ts";
import type { Deadline, Deadlines } from "../deadlines.ts";
import type { UpstreamFailure, UpstreamJob } from "./job.ts";
import { ProtocolViolation, ResponseParser } from "./response-parser.ts";

export interface Origin {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** @param origin Such as `http://rest:3000`. @throws {TypeError} */
export function parseOrigin(origin: string): Origin {
  const url = new URL(origin);
  const tls = url.protocol === "https:";
  if (!tls && url.protocol !== "http:") throw new TypeError("an upstream's origin is an http or https URL");
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) || (tls ? 443 : 80), tls };
}

/** What a connection tells its pool. */
export interface ConnectionOwner {
  /** The response is over and the connection can carry the next request. */
  onFree(connection: UpstreamConnection): void;
  /** The connection is gone; called once. */
  onGone(connection: UpstreamConnection): void;
  /** @returns Whether the job has been taken over for another try; else it fails. */
  onLost(connection: UpstreamConnection, job: UpstreamJob): boolean;
}

export interface ConnectionTimeouts {
  readonly connectMs: number;
  /** How long a free connection is kept when the upstream does not say. */
  readonly keepAliveMs: number;
}

/**
 * All sockets read into the same memory. That is safe where the event loop reads and calls back in one go (epoll,
 * kqueue); on Windows a read is handed to the kernel beforehand, so each socket gets memory of its own there.
 */
const READ_BYTES = 256 * 1024;
let sharedMemory: Buffer | null = null;

function readMemory(): Buffer {
  if (process.platform === "win32") return Buffer.allocUnsafeSlow(64 * 1024);
  sharedMemory ??= Buffer.allocUnsafeSlow(READ_BYTES);
  return sharedMemory;
}

/** An upstream that names its keep-alive timeout gets this long less: a request under way must not meet its FIN. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
const EMPTY = Buffer.alloc(0);

export class UpstreamConnection {
  /** Free connections are closed after this point of performance.now(). */
  freeUntilMs = 0;
  readonly #owner: ConnectionOwner;
  readonly #timeouts: ConnectionTimeouts;
  readonly #deadlines: Deadlines;
  readonly #socket: Socket;
  readonly #parser = new ResponseParser();
  #job: UpstreamJob | null = null;
  #deadline: Deadline | null = null;
  #connected = false;
  /** Has carried a request before: the upstream may have closed it without our knowing. */
  #used = false;
  #requestSent = true;
  /** The response's head has been handed over. */
  #headGiven = false;
  #keepAliveMs: number;
  #gone = false;

  constructor(origin: Origin, owner: ConnectionOwner, timeouts: ConnectionTimeouts, deadlines: Deadlines) {
    this.#owner = owner;
    this.#timeouts = timeouts;
    this.#deadlines = deadlines;
    this.#keepAliveMs = timeouts.keepAliveMs;
    this.#socket = this.#connect(origin);
  }

  get reused(): boolean {
    return this.#used;
  }

  /** Starts a request; the connection must be free or new. */
  run(job: UpstreamJob): void {
    this.#job = job;
    this.#headGiven = false;
    this.#requestSent = true;
    this.#parser.expect(job.method === "HEAD");
    const waitMs = this.#connected ? job.responseMs : this.#timeouts.connectMs;
    this.#deadline = this.#deadlines.start(waitMs, () =>
      this.#fail(this.#connected ? "timeout" : "connect", "timeout"),
    );
    const { body } = job;
    if (body === null) this.#socket.write(job.head);
    else if (Buffer.isBuffer(body)) this.#socket.write(joinHead(job.head, body));
    else this.#stream(job, body);
  }

  resume(job: UpstreamJob): void {
    if (this.#job === job) this.#socket.resume();
  }

  cancel(job: UpstreamJob): void {
    if (this.#job !== job) return;
    this.#job = null;
    this.destroy();
  }

  destroy(): void {
    this.#deadline?.stop();
    this.#socket.destroy();
    if (this.#gone) return;
    this.#gone = true;
    this.#owner.onGone(this);
  }

  #connect({ host, port, tls }: Origin): Socket {
    const onread = {
      buffer: readMemory(),
      callback: (bytes: number, memory: Uint8Array) => this.#onRead(memory.subarray(0, bytes) as Buffer),
    };
    const socket = tls
      ? connectTls({ host, port, servername: host, ALPNProtocols: ["http/1.1"] })
      : connectTcp({ host, port, noDelay: true, onread });
    if (tls) {
      socket.on("data", (chunk: Buffer) => {
        if (!this.#onRead(chunk)) socket.pause();
      });
    }
    socket.once(tls ? "secureConnect" : "connect", () => {
      this.#connected = true;
      if (this.#job) this.#deadline?.extend(this.#job.responseMs);
    });
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error: NodeJS.ErrnoException) => this.#lose(error.code ?? "socket error"));
    socket.on("close", () => this.#lose("closed"));
    return socket;
  }

  /** @returns False to pause the socket. */
  #onRead(input: Buffer): boolean {
    const job = this.#job;
    if (!job) {
      // Bytes that nobody asked for would be taken for the next request's response.
      this.destroy();
      return true;
    }
    let pieces: readonly Buffer[];
    try {
      pieces = this.#parser.feed(input);
    } catch (error) {
      this.#fail("protocol", error instanceof ProtocolViolation ? error.message : String(error));
      return true;
    }
    const { head, complete } = this.#parser;
    if (!head) return true;
    if (head.keepAliveSeconds !== undefined) {
      this.#keepAliveMs = Math.max(0, head.keepAliveSeconds * 1000 - KEEP_ALIVE_MARGIN_MS);
    }
    if (complete && !this.#headGiven) {
      const body = pieces.length === 0 ? EMPTY : pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
      this.#release();
      job.onResponse(head, body);
      this.#free();
      return true;
    }
    return this.#giveOn(job, pieces);
  }

  #giveOn(job: UpstreamJob, pieces: readonly Buffer[]): boolean {
    this.#deadline?.extend(job.idleMs);
    let wantsMore = true;
    let rest = pieces;
    if (!this.#headGiven && this.#parser.head) {
      this.#headGiven = true;
      wantsMore = job.onHead(this.#parser.head, pieces[0] ?? EMPTY);
      rest = pieces.slice(1);
    }
    for (const piece of rest) {
      if (this.#job !== job) return true; // cancelled by what it was given
      wantsMore = job.onBody(piece) && wantsMore;
    }
    if (this.#job !== job) return true;
    if (!this.#parser.complete) return wantsMore;
    this.#release();
    job.onEnd();
    this.#free();
    return true;
  }

  #onEnd(): void {
    const job = this.#job;
    if (job && this.#headGiven) {
      try {
        this.#parser.finish();
        this.#release();
        job.onEnd();
      } catch {
        this.#fail("reset", "closed in the middle of a response");
      }
    }
    this.#lose("closed");
  }

  /** The job is done with; the connection may not be yet. */
  #release(): void {
    this.#deadline?.stop();
    this.#deadline = null;
    this.#job = null;
  }

  #free(): void {
    if (this.#gone) return;
    if (!this.#parser.reusable || !this.#requestSent || this.#keepAliveMs === 0 || this.#socket.writableNeedDrain) {
      this.destroy();
      return;
    }
    this.#used = true;
    this.freeUntilMs = performance.now() + this.#keepAliveMs;
    this.#owner.onFree(this);
  }

  /** The socket is gone under whatever was going on. */
  #lose(detail: string): void {
    const job = this.#job;
    if (job && !this.#parser.begun && this.#used && this.#owner.onLost(this, job)) {
      this.#release();
      this.destroy();
      return;
    }
    this.#fail(this.#connected ? "reset" : "connect", detail);
  }

  #fail(failure: UpstreamFailure, detail: string): void {
    const job = this.#job;
    this.#release();
    this.destroy();
    job?.onFailure(failure, detail);
  }

  #stream(job: UpstreamJob, body: IncomingBody): void {
    const socket = this.#socket;
    const chunked = body.declaredBytes === undefined;
    this.#requestSent = false;
    socket.write(job.head);
    const onDrain = () => body.resume();
    socket.on("drain", onDrain);
    const stop = () => socket.off("drain", onDrain);
    body.pushTo(
      (chunk, last) => {
        if (this.#job !== job) {
          stop();
          return true; // answered or gone: the rest is thrown away
        }
        this.#deadline?.extend(last ? job.responseMs : job.idleMs);
        const roomy = writePiece(socket, chunk, chunked, last);
        if (last) {
          this.#requestSent = true;
          stop();
        }
        return roomy || last;
      },
      (failure) => {
        stop();
        if (this.#job !== job) return;
        // Half a request is on the wire: only closing tells the upstream that the rest will not come.
        this.cancel(job);
        job.onRequestBodyFailure(failure);
      },
    );
  }
}

function writePiece(socket: Socket, chunk: Buffer, chunked: boolean, last: boolean): boolean {
  if (!chunked) return chunk.length === 0 || socket.write(chunk);
  socket.cork();
  let roomy = true;
  if (chunk.length > 0) {
    socket.write(`${chunk.length.toString(16)}\r\n`);
    socket.write(chunk);
    roomy = socket.write("\r\n");
  }
  if (last) roomy = socket.write("0\r\n\r\n");
  socket.uncork();
  return roomy;
}

/** One write, one packet: a small body goes out together with its head. */
function joinHead(head: string, body: Buffer): Buffer {
  const headBytes = Buffer.byteLength(head);
  const whole = Buffer.allocUnsafe(headBytes + body.length);
  whole.write(head, 0);
  body.copy(whole, headBytes);
  return whole;
}
