/** One keep-alive connection to an upstream: one request at a time, or a few pipelined GETs where the pool allows it. */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { IncomingBody } from "../../data-plane/http/incoming-body.ts";
import type { UpstreamFailure, UpstreamJob } from "./job.ts";
import { type Origin, readMemory } from "./origin.ts";
import { ProtocolViolation, ResponseParser } from "./response-parser.ts";
import type { ConnectionShare } from "./share.ts";

/** What a connection tells its pool. */
export interface ConnectionOwner {
  /** Nothing is under way and the connection can carry the next request. */
  onFree(connection: UpstreamConnection): void;
  /** The connection is gone; called once. */
  onGone(connection: UpstreamConnection): void;
  /** A response's head was there, so long after the upstream could begin with it. */
  onAnswered(waitedMs: number): void;
  /**
   * Jobs whose responses had not begun when the connection went or had to be left.
   * @param blameless It was given up from this side.
   * @returns Those that are not taken over for another try.
   */
  onStranded(connection: UpstreamConnection, jobs: readonly UpstreamJob[], blameless: boolean): readonly UpstreamJob[];
}

export interface ConnectionTimeouts {
  readonly connectMs: number;
  /** How long a free connection is kept when the upstream does not say. */
  readonly keepAliveMs: number;
}

/** An upstream that names its keep-alive timeout gets this long less: a request under way must not meet its FIN. */
const KEEP_ALIVE_MARGIN_MS = 1_000;
const EMPTY = Buffer.alloc(0);

export class UpstreamConnection {
  /** Whose requests it carries at the moment. */
  share: ConnectionShare<UpstreamConnection> | null = null;
  /** Points of performance.now(): when a free connection is closed, when what is under way has taken too long, */
  freeUntilMs = 0;
  deadlineMs = Number.POSITIVE_INFINITY;
  /** and since when the upstream could work on the response that comes next. */
  turnSinceMs = 0;
  /** Requests have followed each other without waiting, since it was last free. */
  pipelined = false;
  /** Has carried a request before: the upstream may have closed it without our knowing. */
  used = false;

  readonly #owner: ConnectionOwner;
  readonly #timeouts: ConnectionTimeouts;
  readonly #socket: Socket;
  readonly #parser = new ResponseParser();
  /** In the order of the wire: the next response is the first one's. */
  readonly #jobs: UpstreamJob[] = [];
  /** Heads that wait for {@link flush}. */
  #unsent = "";
  #connected = false;
  #requestSent = true;
  /** Whose turn it is when nothing moves: the client's, to take more of the response, */
  #heldBack = false;
  /** or to send more of its body. */
  #awaitsBody = false;
  /** The head of the response that is being read has been handed over. */
  #headGiven = false;
  #keepAliveMs: number;
  #gone = false;

  constructor(origin: Origin, owner: ConnectionOwner, timeouts: ConnectionTimeouts) {
    this.#owner = owner;
    this.#timeouts = timeouts;
    this.#keepAliveMs = timeouts.keepAliveMs;
    this.#socket = this.#connect(origin);
  }

  /** Requests whose responses are not over. */
  get depth(): number {
    return this.#jobs.length;
  }

  /** Sends a request at once; nothing else may be under way. */
  run(job: UpstreamJob, nowMs: number): void {
    this.#accept(job, nowMs);
    const { body } = job;
    if (body === null) this.#write(job.head);
    else if (Buffer.isBuffer(body)) this.#socket.write(joinHead(job.head, body));
    else this.#stream(job, body);
  }

  /** Adds a GET behind those that are under way. @returns Whether it is the first that waits for {@link flush}. */
  append(job: UpstreamJob, nowMs: number): boolean {
    const first = this.#unsent === "";
    this.#accept(job, nowMs);
    this.#unsent += job.head;
    return first;
  }

  flush(): void {
    const heads = this.#unsent;
    this.#unsent = "";
    if (heads !== "" && !this.#gone) this.#write(heads);
  }

  resume(job: UpstreamJob): void {
    if (this.#jobs[0] !== job) return;
    this.#heldBack = false;
    this.deadlineMs = performance.now() + job.idleMs;
    this.#socket.resume();
  }

  /** The job is not called again. */
  cancel(job: UpstreamJob): void {
    const index = this.#jobs.indexOf(job);
    if (index === -1) return;
    this.#jobs.splice(index, 1);
    // Its response would still come: nothing may follow on this connection.
    if (index === 0) this.#leave("cancelled", true);
    else this.strandFollowers();
  }

  /** Lets only the response that is being waited for come to its end; what stands behind it goes elsewhere. */
  strandFollowers(): void {
    this.flush(); // the first request may be among what waits
    const followers = this.#jobs.splice(1);
    this.#keepAliveMs = 0; // their responses would still come
    for (const job of this.#owner.onStranded(this, followers, true))
      job.onFailure("reset", "left behind a slow response");
  }

  /** What is under way has taken too long. */
  expire(): void {
    const isClients = this.#heldBack || this.#awaitsBody;
    this.#fail(!this.#connected ? "connect" : isClients ? "client" : "timeout", "timeout");
  }

  destroy(): void {
    this.deadlineMs = Number.POSITIVE_INFINITY;
    this.#socket.destroy();
    if (this.#gone) return;
    this.#gone = true;
    this.#owner.onGone(this);
  }

  #accept(job: UpstreamJob, nowMs: number): void {
    job.connection = this;
    this.#jobs.push(job);
    if (this.#jobs.length === 1) this.#awaitResponse(job, nowMs);
  }

  #awaitResponse(job: UpstreamJob, nowMs: number): void {
    this.#headGiven = false;
    this.#heldBack = false;
    this.#parser.expect(job.method === "HEAD");
    this.turnSinceMs = nowMs;
    this.deadlineMs = nowMs + (this.#connected ? job.responseMs : this.#timeouts.connectMs);
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
      const job = this.#jobs[0];
      if (job) this.deadlineMs = performance.now() + (this.#requestSent ? job.responseMs : job.idleMs);
    });
    socket.on("end", () => this.#onEnd());
    socket.on("error", (error: NodeJS.ErrnoException) => this.#lose(error.code ?? "socket error"));
    socket.on("close", () => this.#lose("closed"));
    return socket;
  }

  /** ASCII goes out without being encoded. Anything else is UTF-8: cut to eight bits it could become a line break. */
  #write(text: string): void {
    this.#socket.write(text, Buffer.byteLength(text) === text.length ? "latin1" : "utf8");
  }

  /** @returns False to pause the socket. */
  #onRead(input: Buffer): boolean {
    let position = 0;
    let wantsMore = true;
    while (position < input.length && !this.#gone) {
      const job = this.#jobs[0];
      if (!job) {
        // Bytes that nobody asked for would be taken for the next request's response.
        this.destroy();
        return true;
      }
      try {
        position = this.#parser.feed(input, position);
      } catch (error) {
        this.#fail("protocol", error instanceof ProtocolViolation ? error.message : String(error));
        return true;
      }
      wantsMore = this.#handOver(job);
    }
    if (this.#jobs.length === 0 && !this.#gone) this.#free();
    this.#heldBack = !wantsMore;
    return wantsMore;
  }

  /** Gives the job what the parser has found. @returns False to pause the socket. */
  #handOver(job: UpstreamJob): boolean {
    const { head, complete, pieces } = this.#parser;
    if (!head) return true;
    const nowMs = performance.now();
    if (!this.#headGiven) {
      this.#owner.onAnswered(nowMs - this.turnSinceMs);
      if (head.keepAliveSeconds !== undefined && this.#keepAliveMs > 0) {
        this.#keepAliveMs = Math.max(0, head.keepAliveSeconds * 1000 - KEEP_ALIVE_MARGIN_MS);
      }
      if (complete) {
        const whole = pieces.length === 1 ? (pieces[0] as Buffer) : pieces.length === 0 ? EMPTY : Buffer.concat(pieces);
        this.#finishFirst(nowMs);
        job.onResponse(head, whole);
        return true;
      }
    }
    this.deadlineMs = nowMs + job.idleMs;
    return this.#giveOn(job, pieces, nowMs);
  }

  #giveOn(job: UpstreamJob, pieces: readonly Buffer[], nowMs: number): boolean {
    let wantsMore = true;
    let index = 0;
    if (!this.#headGiven && this.#parser.head) {
      this.#headGiven = true;
      wantsMore = job.onHead(this.#parser.head, pieces[0] ?? EMPTY);
      index = 1;
    }
    for (; index < pieces.length; index += 1) {
      if (this.#jobs[0] !== job) return true; // cancelled by what it was given
      wantsMore = job.onBody(pieces[index] as Buffer) && wantsMore;
    }
    if (this.#jobs[0] !== job) return true;
    if (!this.#parser.complete) return wantsMore;
    this.#finishFirst(nowMs);
    job.onEnd();
    return true;
  }

  /** The first job is done with; the next one's response may come. */
  #finishFirst(nowMs: number): void {
    const done = this.#jobs.shift();
    if (done) done.connection = null;
    this.used = true;
    const next = this.#jobs[0];
    if (!next) {
      this.deadlineMs = Number.POSITIVE_INFINITY;
      return;
    }
    const { reusable, head } = this.#parser;
    // An upstream is trusted with the end of a message only where the message itself says it.
    const framed = head !== null && head.status !== 204 && head.status !== 304;
    if (reusable && framed) this.#awaitResponse(next, nowMs);
    else this.#leave("the upstream closed behind a response");
  }

  #onEnd(): void {
    const job = this.#jobs[0];
    if (job && this.#headGiven) {
      try {
        this.#parser.finish();
      } catch {
        this.#fail("reset", "closed in the middle of a response");
        return;
      }
      this.#jobs.shift();
      this.#leave("closed"); // the responses behind this one had not begun
      job.onEnd();
      return;
    }
    this.#lose("closed");
  }

  #free(): void {
    if (!this.#parser.reusable || !this.#requestSent || this.#keepAliveMs === 0 || this.#socket.writableNeedDrain) {
      this.destroy();
      return;
    }
    this.freeUntilMs = performance.now() + this.#keepAliveMs;
    this.#owner.onFree(this);
  }

  /** The socket is gone under whatever was going on. */
  #lose(detail: string): void {
    const first = this.#jobs[0];
    const fresh = !this.used && this.#jobs.length === 1;
    // On a connection that was new the upstream meant it: another try would end the same way.
    if (first && (this.#parser.begun || fresh)) this.#fail(this.#connected ? "reset" : "connect", detail);
    else this.#leave(detail);
  }

  /** Gives the connection up; jobs without a response may have another try elsewhere. */
  #leave(detail: string, blameless = false): void {
    const jobs = this.#jobs.splice(0);
    const failed = jobs.length === 0 ? jobs : this.#owner.onStranded(this, jobs, blameless);
    this.destroy();
    for (const job of failed) job.onFailure(this.#connected ? "reset" : "connect", detail);
  }

  /** The first job fails; the others may have another try. */
  #fail(failure: UpstreamFailure, detail: string): void {
    const job = this.#jobs.shift();
    this.#leave(detail);
    job?.onFailure(failure, detail);
  }

  #stream(job: UpstreamJob, body: IncomingBody): void {
    const socket = this.#socket;
    const chunked = body.declaredBytes === undefined;
    const current = () => this.#jobs[0] === job;
    this.#requestSent = false;
    this.#awaitsBody = true;
    this.#write(job.head);
    const onDrain = () => {
      this.#awaitsBody = true;
      if (this.#connected) this.deadlineMs = performance.now() + job.idleMs;
      body.resume();
    };
    socket.on("drain", onDrain);
    const stop = () => {
      this.#awaitsBody = false;
      socket.off("drain", onDrain);
    };
    body.pushTo(
      (chunk, last) => {
        if (!current()) {
          stop();
          return true; // answered or gone: the rest is thrown away
        }
        if (this.#connected) this.deadlineMs = performance.now() + (last ? job.responseMs : job.idleMs);
        const roomy = writePiece(socket, chunk, chunked, last);
        this.#awaitsBody = roomy;
        if (last) {
          this.#requestSent = true;
          stop();
        }
        return roomy || last;
      },
      (failure) => {
        stop();
        if (!current()) return;
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
