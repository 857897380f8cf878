/** One response on its way to a client of uWebSockets: sent whole, or streamed under back-pressure. */
import { STATUS_CODES } from "node:http";
import type { HeaderList } from "./header-list.ts";
import type { HttpResponse } from "./uws.ts";
import { awaitClient, clientHasTaken, type WaitingResponse } from "./waiting-responses.ts";

export interface ResponseHead {
  /** Status code and reason phrase, as in `404 Not Found`. */
  readonly statusLine: string;
  /** Content-Length, Transfer-Encoding, Connection and Date are the channel's own affair. */
  readonly headers: HeaderList;
}

const STANDARD_LINES = new Map(
  Object.entries(STATUS_CODES).map(([code, reason]) => [Number(code), `${code} ${reason}`] as const),
);

/** `201 Created` for 201; a reason phrase of the service's own replaces the standard one. */
export function statusLine(status: number, reason?: string): string {
  if (reason !== undefined) return `${status} ${reason}`;
  return STANDARD_LINES.get(status) ?? `${status} Unknown`;
}

/**
 * Bodies above this are handed over at the client's pace. Below, they may lie in the server library's memory after the
 * response counts as sent; without the bound, clients that do not read could fill it with what counts as nobody's.
 */
const LARGE_BODY_BYTES = 128 * 1024;

/** Statuses that never have a body, whatever the headers say (RFC 9110, 6.4.1). */
export function forbidsBody(status: number): boolean {
  return status === 204 || status === 304 || status < 200;
}

/** A client that takes nothing for so long is cut: what it was asked for is held in memory meanwhile. */
export const DEFAULT_TAKE_TIMEOUT_MS = 30_000;

/**
 * Wraps the native response, which is only valid until it is aborted or ended: every method is harmless afterwards.
 * Whoever makes one must call {@link clientGone} from the native `onAborted`.
 */
export class ResponseChannel implements WaitingResponse {
  /** The client is gone; nothing more can be sent. */
  aborted = false;
  /** The head is on its way: the status cannot change any more. */
  started = false;
  /** The whole response has been handed over. */
  ended = false;
  /** Bytes of body handed to the client's socket. */
  bodyBytes = 0;
  /** Ask the client to close its connection once this response is over (set it before the response starts). */
  closeAfter = false;
  /** How long the client may take nothing of what waits for it (set it before the response starts). */
  takeTimeoutMs = DEFAULT_TAKE_TIMEOUT_MS;
  waitingSinceMs = 0;
  #onClosed: (() => void) | null = null;
  #onDrain: (() => void) | null = null;

  readonly #native: HttpResponse;
  /** A response to HEAD: headers as for GET, no body. */
  readonly headOnly: boolean;
  #totalBytes: number | undefined;
  /** What a known-length response could not hand over yet: uWebSockets keeps nothing of a refused chunk. */
  #held: Uint8Array[] | null = null;
  #heldFrom = 0;
  /** A response in chunks that the client has not taken all of, and whether its end waits for that. */
  #behind = false;
  #endWhenTaken = false;

  constructor(native: HttpResponse, headOnly: boolean) {
    this.#native = native;
    this.headOnly = headOnly;
  }

  get closed(): boolean {
    return this.aborted || this.ended;
  }

  /**
   * Sets what is called once, when the response has been handed over whole or the client is gone.
   *
   * A method and no property to write to: V8 puts a function literal that is assigned to a property into its old
   * generation, and with it all that the request has touched stays until the next full collection.
   * @returns What was set before.
   */
  whenClosed(callback: (() => void) | null): (() => void) | null {
    const before = this.#onClosed;
    this.#onClosed = callback;
    return before;
  }

  /** Sets what is called when the client takes more after {@link write} had returned false. */
  whenDrained(callback: (() => void) | null): void {
    this.#onDrain = callback;
  }

  clientGone(): void {
    if (this.closed) return;
    this.aborted = true;
    this.#held = null;
    clientHasTaken(this);
    this.#onClosed?.();
  }

  /** The connection is about to become a WebSocket: there is nothing more to send here. */
  upgraded(): void {
    if (this.closed) return;
    this.started = true;
    this.ended = true;
    this.#onClosed?.();
  }

  /**
   * Sends everything at once; the body's buffer may be reused after the call, unless it `isOwn`.
   * @param body Null only for a status that {@link forbidsBody}, or for HEAD: no length is sent with it.
   * @param reportedLength Content-Length of an answer to HEAD, when it is known without the body.
   */
  send(head: ResponseHead, body: string | Uint8Array | null, reportedLength?: number, isOwn = false): void {
    if (this.closed || this.started) return;
    if (body !== null && body.length > LARGE_BODY_BYTES && !this.headOnly) {
      const isText = typeof body === "string";
      const whole = isText ? Buffer.from(body) : body;
      this.start(head, whole.length, whole, isText || isOwn);
      return;
    }
    this.started = true;
    this.ended = true;
    this.#native.cork(() => {
      this.#writeHead(head);
      if (this.headOnly || body === null) {
        this.#endWithoutBody(this.headOnly ? (reportedLength ?? bytesOf(body)) : null);
      } else {
        this.bodyBytes = bytesOf(body) ?? 0;
        this.#native.end(body, this.closeAfter);
      }
    });
    this.#onClosed?.();
  }

  /**
   * Opens a streamed response, together with its first piece when there is one; without `totalBytes` it goes out in
   * chunks. @returns As {@link write}.
   */
  start(head: ResponseHead, totalBytes: number | undefined, first: Uint8Array | null = null, isOwn = false): boolean {
    if (this.closed || this.started) return true;
    if (this.headOnly || totalBytes === 0) {
      this.send(head, this.headOnly ? null : "", totalBytes);
      return true;
    }
    this.started = true;
    this.#totalBytes = totalBytes;
    this.#native.onWritable((offset) => this.#continue(offset));
    let roomy = true;
    this.#native.cork(() => {
      this.#writeHead(head);
      // The library closes by itself only behind responses that it is given whole: here the client is asked to.
      if (this.closeAfter) this.#native.writeHeader("connection", "close");
      if (first) roomy = this.write(first, isOwn);
    });
    return roomy;
  }

  /**
   * @param isOwn Nobody else uses the chunk's memory; else it may be reused after the call.
   * @returns False when the producer should wait for {@link whenDrained}.
   */
  write(chunk: Uint8Array, isOwn = false): boolean {
    if (this.closed || chunk.length === 0) return true;
    this.bodyBytes += chunk.length;
    if (this.#totalBytes === undefined) {
      let taken = true;
      this.#native.cork(() => {
        taken = this.#native.write(chunk);
      });
      this.#behind = !taken;
      if (!taken) this.#awaitClient();
      return taken;
    }
    if (this.bodyBytes > this.#totalBytes) {
      this.destroy(); // more than was announced: the rest would be read as the next response
      return true;
    }
    if (this.#held) {
      this.#held.push(Buffer.from(chunk));
      return false;
    }
    return this.#offer(chunk, this.bodyBytes - chunk.length, isOwn);
  }

  /** Ends a streamed response. One that announced more bytes than it got is cut, so that the client notices. */
  end(): void {
    if (this.closed) return;
    if (this.#totalBytes === undefined) {
      if (this.#behind) this.#endWhenTaken = true;
      else this.#endChunks();
    } else if (this.bodyBytes < this.#totalBytes) {
      this.destroy();
    }
  }

  #endChunks(): void {
    this.ended = true;
    this.#native.cork(() => this.#native.end(undefined, this.closeAfter));
    this.#onClosed?.();
  }

  /** Breaks the connection: the only honest end of a response that cannot be completed. */
  destroy(): void {
    if (this.closed) return;
    this.#native.close(); // runs onAborted, and with it clientGone
    this.clientGone();
  }

  /**
   * All headers go in one call: the library writes a value as it is, and calls into it cost more than the bytes. The
   * line breaks between headers are written here; that there is none within one is what a HeaderList promises.
   */
  #writeHead({ statusLine: line, headers }: ResponseHead): void {
    this.#native.writeStatus(line);
    if (headers.length === 0) return;
    let block = headers[1] as string;
    for (let index = 2; index < headers.length; index += 2) block += `\r\n${headers[index]}: ${headers[index + 1]}`;
    this.#native.writeHeader(headers[0] as string, block);
  }

  #endWithoutBody(reportedLength: number | null): void {
    // Told a length, the library takes the response for unfinished and breaks the connection at the next request.
    if (reportedLength !== null) this.#native.writeHeader("content-length", String(reportedLength));
    if (this.closeAfter) this.#native.writeHeader("connection", "close");
    this.#native.endWithoutBody();
  }

  /** @param own The memory is not used by anybody else. @returns Whether the client took it all. */
  #offer(chunk: Uint8Array, from: number, own = false): boolean {
    let taken = true;
    let done = false;
    this.#native.cork(() => {
      [taken, done] = this.#native.tryEnd(chunk, this.#totalBytes as number);
    });
    if (done) {
      this.ended = true;
      this.#onClosed?.();
    } else if (!taken) {
      const accepted = this.#native.getWriteOffset() - from;
      const rest = chunk.subarray(accepted);
      this.#held = [own ? rest : Buffer.from(rest)];
      this.#heldFrom = from + accepted;
      this.#awaitClient();
      return false;
    }
    return true;
  }

  #awaitClient(): void {
    this.waitingSinceMs = performance.now();
    awaitClient(this);
  }

  #continue(offset: number): boolean {
    if (this.closed) return true;
    clientHasTaken(this);
    if (this.#held) {
      const [first] = this.#held;
      const whole = this.#held.length === 1 && first ? first : Buffer.concat(this.#held);
      const pending = whole.subarray(offset - this.#heldFrom);
      this.#held = null;
      if (!this.#offer(pending, offset, true)) return false;
    }
    this.#behind = false;
    if (this.#endWhenTaken) this.#endChunks();
    else this.#onDrain?.();
    return true;
  }
}

function bytesOf(body: string | Uint8Array | null): number | null {
  if (body === null) return null;
  return typeof body === "string" ? Buffer.byteLength(body) : body.length;
}
