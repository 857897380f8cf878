/**
 * Parses HTTP/1.1 responses of an upstream, strictly: where two readers could disagree about where a message ends, it is
 * refused. Pure; it is fed with what a socket read and says what was in it, one response at a time.
 * @see RFC 9112
 */
import { checkedHeaderList, type HeaderList, NAME_PATTERN, VALUE_PATTERN } from "../../data-plane/http/header-list.ts";
import { connectionOptions } from "../headers.ts";

export interface UpstreamHead {
  readonly status: number;
  /** As sent; empty when there was none. */
  readonly reason: string;
  /** Lower-case names and values in turn, in order, framing headers included. */
  readonly headers: HeaderList;
  /** Value of Content-Length, also where no body follows (HEAD, 304). */
  readonly contentLength: number | undefined;
  /** Seconds of a `Keep-Alive: timeout=…` header. */
  readonly keepAliveSeconds: number | undefined;
  /** Further headers that are meant for this connection alone, as Connection names them; lower-case. */
  readonly hopByHop: readonly string[];
}

/** The upstream broke the protocol: its connection must not be used any further. */
export class ProtocolViolation extends Error {}

const MAX_HEAD_BYTES = 64 * 1024;
const MAX_INTERIM_RESPONSES = 8;
const MAX_CHUNK_LINE_BYTES = 256;
const MAX_TRAILER_BYTES = 8 * 1024;
const CR = 13;
const LF = 10;
const HEAD_END = Buffer.from("\r\n\r\n");

/** Status line and field lines with nothing odd in them: no folding, no blank before a colon, no bare CR or LF. */
const HEAD = new RegExp(`^HTTP/1\\.[01] [1-5]\\d\\d(?: ${VALUE_PATTERN})?(?:\\r\\n${NAME_PATTERN}:${VALUE_PATTERN})*$`);

type State =
  | "head"
  | "length-body"
  | "chunk-size"
  | "chunk-data"
  | "chunk-end"
  | "trailers"
  | "until-close"
  | "complete";

export class ResponseParser {
  /** Of the current response, as soon as it is there. */
  head: UpstreamHead | null = null;
  /** Whether the response is over. */
  complete = false;
  /** Whether the connection may carry another request after this response. */
  reusable = false;
  /** What the last {@link feed} found of the body: views of its input. */
  readonly pieces: Buffer[] = [];
  /** Something of the response has arrived: the request must not be repeated. */
  begun = false;

  #state: State = "head";
  #headOnly = false;
  #interim = 0;
  /** Bytes of an unfinished head, chunk line or trailer section. */
  #rest: Buffer | null = null;
  /** Bytes still to come of the body or the current chunk. */
  #remaining = 0;

  /** Prepares for the response to a request. @param headOnly The request was HEAD. */
  expect(headOnly: boolean): void {
    this.head = null;
    this.complete = false;
    this.reusable = false;
    this.begun = false;
    this.pieces.length = 0;
    this.#state = "head";
    this.#headOnly = headOnly;
    this.#interim = 0;
    this.#rest = null;
    this.#remaining = 0;
  }

  /**
   * Reads on from a position of the input, up to its end or to the end of the response, whichever comes first. What was
   * found of the body is in {@link pieces}.
   * @param input May be reused after the call.
   * @returns The position behind what was read.
   * @throws {ProtocolViolation}
   */
  feed(input: Buffer, from: number): number {
    this.begun = true;
    this.pieces.length = 0;
    const kept = this.#rest;
    if (kept === null) return this.#run(input, from);
    this.#rest = null;
    const position = this.#run(Buffer.concat([kept, input.subarray(from)]), 0);
    return from + position - kept.length;
  }

  /** The upstream closed its side. @throws {ProtocolViolation} in the middle of a response. */
  finish(): void {
    if (this.#state === "until-close") this.#end(false);
    else if (this.#state !== "complete") throw new ProtocolViolation("connection closed in the middle of a response");
  }

  #run(data: Buffer, from: number): number {
    let position = from;
    while (position < data.length && !this.complete) {
      const next = this.#step(data, position);
      if (next === -1) {
        // A copy: the caller's buffer is about to be overwritten.
        this.#rest = Buffer.from(data.subarray(position));
        return data.length;
      }
      position = next;
    }
    return position;
  }

  /** @returns The position after what was understood, -1 when more input is needed. */
  #step(data: Buffer, position: number): number {
    switch (this.#state) {
      case "head":
        return this.#readHead(data, position);
      case "length-body":
      case "chunk-data":
        return this.#readBody(data, position);
      case "until-close":
        this.pieces.push(position === 0 ? data : data.subarray(position));
        return data.length;
      case "chunk-size":
        return this.#readChunkSize(data, position);
      case "chunk-end":
        return this.#readChunkEnd(data, position);
      case "trailers":
        return this.#readTrailers(data, position);
      case "complete":
        return position;
    }
  }

  #readHead(data: Buffer, position: number): number {
    const end = data.indexOf(HEAD_END, position);
    if (end === -1 ? data.length - position > MAX_HEAD_BYTES : end - position > MAX_HEAD_BYTES) {
      throw new ProtocolViolation("response head too large");
    }
    if (end === -1) return -1;
    this.#takeHead(data.toString("utf8", position, end));
    return end + HEAD_END.length;
  }

  #takeHead(text: string): void {
    if (!HEAD.test(text)) throw new ProtocolViolation("malformed response head");
    const status = Number(text.slice(9, 12));
    if (status === 101) throw new ProtocolViolation("a protocol switch nobody asked for");
    if (status < 200) {
      this.#interim += 1;
      if (this.#interim > MAX_INTERIM_RESPONSES) throw new ProtocolViolation("too many interim responses");
      return;
    }
    const fields = readFields(text);
    this.head = {
      status,
      reason: fields.reason,
      headers: fields.headers,
      contentLength: fields.contentLength,
      keepAliveSeconds: fields.keepAliveSeconds,
      hopByHop: fields.hopByHop,
    };
    this.#chooseBody(status, fields, text.charCodeAt(7) === 49 /* 1 */);
  }

  /** RFC 9112, 6.3. */
  #chooseBody(status: number, { contentLength, chunked, close }: Fields, http11: boolean): void {
    if (chunked && (contentLength !== undefined || !http11)) throw new ProtocolViolation("contradicting body lengths");
    this.reusable = http11 && !close;
    if (this.#headOnly || status === 204 || status === 304 || contentLength === 0) {
      this.#end(this.reusable);
    } else if (chunked) {
      this.#state = "chunk-size";
    } else if (contentLength !== undefined) {
      this.#state = "length-body";
      this.#remaining = contentLength;
    } else {
      this.#state = "until-close";
      this.reusable = false;
    }
  }

  #readBody(data: Buffer, position: number): number {
    const end = Math.min(data.length, position + this.#remaining);
    this.pieces.push(data.subarray(position, end));
    this.#remaining -= end - position;
    if (this.#remaining > 0) return end;
    if (this.#state === "length-body") this.#end(this.reusable);
    else this.#state = "chunk-end";
    return end;
  }

  #readChunkSize(data: Buffer, position: number): number {
    const lineEnd = data.indexOf(LF, position);
    if ((lineEnd === -1 ? data.length : lineEnd) - position > MAX_CHUNK_LINE_BYTES) {
      throw new ProtocolViolation("chunk size line too long");
    }
    if (lineEnd === -1) return -1;
    const line = data.toString("latin1", position, lineEnd);
    const match = /^([0-9a-fA-F]{1,12})(?:[\t ]*;[\t\x20-\x7e]*)?\r$/.exec(line);
    if (!match) throw new ProtocolViolation("malformed chunk size");
    this.#remaining = Number.parseInt(match[1] as string, 16);
    this.#state = this.#remaining === 0 ? "trailers" : "chunk-data";
    return lineEnd + 1;
  }

  #readChunkEnd(data: Buffer, position: number): number {
    if (data[position] !== CR) throw new ProtocolViolation("chunk longer than announced");
    if (position + 1 >= data.length) return -1;
    if (data[position + 1] !== LF) throw new ProtocolViolation("chunk longer than announced");
    this.#state = "chunk-size";
    return position + 2;
  }

  /** Trailers are dropped: nothing behind the gateway may add headers after the fact. */
  #readTrailers(data: Buffer, position: number): number {
    if (position + 1 >= data.length) return -1;
    if (data[position] === CR && data[position + 1] === LF) {
      this.#end(this.reusable);
      return position + 2;
    }
    const end = data.indexOf(HEAD_END, position);
    if ((end === -1 ? data.length : end) - position > MAX_TRAILER_BYTES)
      throw new ProtocolViolation("trailers too large");
    if (end === -1) return -1;
    if (!HEAD.test(`HTTP/1.1 200 OK\r\n${data.toString("latin1", position, end)}`)) {
      throw new ProtocolViolation("malformed trailers");
    }
    this.#end(this.reusable);
    return end + HEAD_END.length;
  }

  #end(reusable: boolean): void {
    this.#state = "complete";
    this.complete = true;
    this.reusable = reusable;
  }
}

interface Fields {
  readonly reason: string;
  readonly headers: HeaderList;
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  readonly close: boolean;
  readonly keepAliveSeconds: number | undefined;
  readonly hopByHop: readonly string[];
}

const NONE: readonly string[] = [];

/** @param text A head that matched {@link HEAD}. */
function readFields(text: string): Fields {
  let lineEnd = text.indexOf("\r\n");
  const reason = text.slice(13, lineEnd === -1 ? undefined : lineEnd);
  const headers: string[] = [];
  let contentLength: number | undefined;
  let chunked = false;
  let close = false;
  let keepAliveSeconds: number | undefined;
  let hopByHop = NONE;
  while (lineEnd !== -1) {
    const start = lineEnd + 2;
    lineEnd = text.indexOf("\r\n", start);
    const colon = text.indexOf(":", start);
    const name = text.slice(start, colon).toLowerCase();
    const value = text.slice(colon + 1, lineEnd === -1 ? undefined : lineEnd).trim();
    headers.push(name, value);
    if (name === "content-length") {
      if (contentLength !== undefined || !/^\d{1,15}$/.test(value)) throw new ProtocolViolation("bad Content-Length");
      contentLength = Number(value);
    } else if (name === "transfer-encoding") {
      if (chunked || value.toLowerCase() !== "chunked") throw new ProtocolViolation("bad Transfer-Encoding");
      chunked = true;
    } else if (name === "connection") {
      close ||= /(?:^|,)\s*close\s*(?:,|$)/i.test(value);
      const options = connectionOptions(value);
      if (options.length > 0) hopByHop = [...hopByHop, ...options];
    } else if (name === "keep-alive") {
      const timeout = /timeout=(\d{1,6})/i.exec(value)?.[1];
      if (timeout !== undefined) keepAliveSeconds = Number(timeout);
    }
  }
  return { reason, headers: checkedHeaderList(headers), contentLength, chunked, close, keepAliveSeconds, hopByHop };
}
