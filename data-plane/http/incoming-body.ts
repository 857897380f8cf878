/** The body of a request that uWebSockets delivers, as the services read it: whole, as a stream, or pushed. */

import { COUNTED_BYTES, type HeldAccount } from "../held-bytes.ts";
import { BodyAborted, BodyStalled, BodyTooLarge, type RequestBody, type StreamOptions } from "../service.ts";
import { ArrivingBodies } from "./arriving-bodies.ts";
import { giveBlock, takeBlock } from "./block-pool.ts";
import type { HttpResponse } from "./uws.ts";

/** Bytes held back before the sender is paused. */
const HIGH_WATER_BYTES = 256 * 1024;

/** Takes a body's chunks as they come. Returning false pauses the sender until {@link IncomingBody.resume}. */
export type ChunkSink = (chunk: Buffer, last: boolean) => boolean;

/** A sender of whom nothing has come for so long is given up, unless the body's owner says otherwise. */
const DEFAULT_IDLE_MS = 60_000;

interface Piece {
  readonly chunk: Buffer;
  /** Whose memory it is; null: its own. */
  readonly block: Buffer | null;
}

const IGNORE = (): void => {};
const arriving = new ArrivingBodies();

/**
 * Must be made in the same turn as the request's handler runs: uWebSockets drops what arrives while nobody listens.
 * Its owner calls {@link abort} when the client goes away and {@link finish} before it ends the response.
 */
export class IncomingBody implements RequestBody {
  readonly declaredBytes: number | undefined;
  receivedBytes = 0;
  /** All of it has arrived. */
  complete = false;

  readonly #response: HttpResponse;
  #maxBytes = Number.POSITIVE_INFINITY;
  #queue: Piece[] = [];
  /** The reader keeps no piece beyond the next one: their memory is used again. */
  #lends = false;
  #queuedBytes = 0;
  /** Where a body that is read whole goes, and how much of it is there. */
  #whole: { readonly buffer: Buffer; length: number } | null = null;
  #sink: ChunkSink | null = null;
  #failure: Error | null = null;
  #paused = false;
  /** The response has ended or the client is gone: the native object must not be touched any more. */
  #detached = false;
  #wakeReader: (() => void) | null = null;
  #onFailure: ((failure: Error) => void) | null = null;
  #onComplete: (() => void) | null = null;
  #onStalled: (() => void) | null = null;
  #idleMs = DEFAULT_IDLE_MS;
  /** When the sender's turn began: with its last piece, or when it was resumed. Milliseconds of performance.now(). */
  #senderSinceMs: number;
  #pausedSinceMs = 0;
  #held: HeldAccount | null = null;
  /** Called with nothing instead of chunks, while what comes is thrown away. */
  #onDiscarded: ((last: boolean) => void) | null = null;

  constructor(response: HttpResponse, declaredBytes: number | undefined) {
    this.#response = response;
    this.declaredBytes = declaredBytes;
    this.#senderSinceMs = performance.now();
    arriving.add(this);
    response.onData((chunk, last) => this.#receive(chunk, last));
  }

  /** More than this never arrives at a reader: it gets {@link BodyTooLarge} instead. Until set there is no limit. */
  limit(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    if (Math.max(this.receivedBytes, this.declaredBytes ?? 0) > maxBytes) this.#fail(new BodyTooLarge(maxBytes));
  }

  /** What {@link read} holds in memory is taken from this account; its owner gives it back. */
  chargeTo(account: HeldAccount): void {
    this.#held = account;
  }

  /** How long the sender has kept the reader waiting, in milliseconds; 0 while it is the reader who is slow. */
  waitedMs(nowMs: number): number {
    return this.complete || this.#paused || this.#detached ? 0 : nowMs - this.#senderSinceMs;
  }

  /** How long the reader has kept the sender waiting, in milliseconds. */
  pausedMs(nowMs: number): number {
    return this.#paused ? nowMs - this.#pausedSinceMs : 0;
  }

  /** Calls back once the last byte is there, at once when it already is. */
  whenComplete(callback: () => void): void {
    if (this.complete) callback();
    else this.#onComplete = callback;
  }

  /**
   * Sets how long the sender may send nothing while it is its turn. Then readers get {@link BodyStalled}, and
   * `onStalled` is called, for an owner whose service may not be reading.
   */
  stallAfter(idleMs: number, onStalled: () => void): void {
    this.#idleMs = idleMs;
    this.#onStalled = onStalled;
  }

  /**
   * Looks whether the sender has stalled, and keeps the server library from judging by its own measure: it cuts
   * whoever sends less than 16 KB a second, and its clock begins anew when reading is resumed.
   * @returns False when there is nothing to look after any more.
   */
  lookAfter(nowMs: number, restartLibraryClock: boolean): boolean {
    if (this.complete || this.#detached) return false;
    if (this.#paused) return true;
    if (this.#failure === null && this.waitedMs(nowMs) >= this.#idleMs) {
      this.#fail(new BodyStalled(this.#idleMs));
      this.#onStalled?.();
    } else if (restartLibraryClock) {
      this.#response.pause();
      this.#response.resume();
    }
    return !this.complete && !this.#detached;
  }

  async read(maxBytes: number): Promise<Buffer> {
    const limit = Math.min(maxBytes, this.#maxBytes);
    if (this.declaredBytes !== undefined) {
      if (this.declaredBytes > limit) throw new BodyTooLarge(limit);
      if (this.declaredBytes > COUNTED_BYTES) this.#held?.take(this.declaredBytes);
      return this.#readDeclared(this.declaredBytes);
    }
    const chunks: Buffer[] = [];
    let bytes = 0;
    let countedBytes = 0;
    for await (const chunk of this.stream()) {
      bytes += chunk.length;
      if (bytes > limit) throw new BodyTooLarge(limit);
      if (bytes - countedBytes > COUNTED_BYTES) {
        this.#held?.take(bytes - countedBytes);
        countedBytes = bytes;
      }
      chunks.push(chunk);
    }
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, bytes);
  }

  /** Into one buffer as it comes, so that a large body is in memory once. */
  async #readDeclared(bytes: number): Promise<Buffer> {
    const whole = Buffer.allocUnsafeSlow(bytes);
    let length = 0;
    for (const { chunk } of this.#queue) length += chunk.copy(whole, length);
    this.#queue = [];
    this.#queuedBytes = 0;
    this.resume();
    this.#whole = { buffer: whole, length };
    while (!this.complete && !this.#failure) {
      await new Promise<void>((wake) => {
        this.#wakeReader = wake;
      });
    }
    length = this.#whole.length;
    this.#whole = null;
    if (this.#failure) throw this.#failure;
    return whole.subarray(0, length);
  }

  async *stream({ lends = false }: StreamOptions = {}): AsyncGenerator<Buffer> {
    this.#lends = lends;
    while (true) {
      const piece = this.#queue.shift();
      if (piece) {
        this.#queuedBytes -= piece.chunk.length;
        if (this.#queuedBytes < HIGH_WATER_BYTES) this.resume();
        yield piece.chunk;
        if (piece.block) giveBlock(piece.block);
      } else if (this.#failure) {
        throw this.#failure;
      } else if (this.complete) {
        return;
      } else {
        await new Promise<void>((wake) => {
          this.#wakeReader = wake;
        });
      }
    }
  }

  /** Hands over what has arrived and all that follows; `onFailure` comes at most once, instead of the last chunk. */
  pushTo(sink: ChunkSink, onFailure: (failure: Error) => void): void {
    if (this.#failure) {
      onFailure(this.#failure);
      return;
    }
    this.#sink = sink;
    this.#onFailure = onFailure;
    const held = Buffer.concat(this.#queue.map(({ chunk }) => chunk));
    this.#queue = [];
    this.#queuedBytes = 0;
    const wantsMore = held.length > 0 || this.complete ? sink(held, this.complete) : true;
    if (wantsMore) this.resume();
    else this.pause();
  }

  pause(): void {
    if (this.#paused || this.complete || this.#detached) return;
    this.#paused = true;
    this.#pausedSinceMs = performance.now();
    this.#response.pause();
  }

  resume(): void {
    if (!this.#paused || this.#detached) return;
    this.#paused = false;
    this.#senderSinceMs = performance.now();
    this.#response.resume();
  }

  /** Throws away what has arrived and what follows; `onEnd` is called after the last byte, or after `maxBytes` more. */
  discard(onEnd: () => void, maxBytes: number): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#failure = null;
    this.#onFailure = null;
    this.#maxBytes = Number.POSITIVE_INFINITY;
    const stopAt = this.receivedBytes + maxBytes;
    const onDiscarded = (last: boolean) => {
      if (last || this.receivedBytes >= stopAt) onEnd();
    };
    this.#onDiscarded = onDiscarded;
    if (this.complete) onEnd();
    else this.resume();
  }

  /** The client went away. */
  abort(): void {
    arriving.delete(this);
    this.#detached = true;
    if (!this.complete) this.#fail(new BodyAborted("the client went away before its body had arrived"));
  }

  /** The response is about to begin: what still comes is thrown away, and who still reads is told. */
  finish(): void {
    this.resume();
    this.#onFailure = null;
    if (!this.complete) this.#fail(new BodyAborted("the response has begun before the body had been read"));
    arriving.delete(this);
    this.#detached = true;
    this.#onDiscarded = IGNORE;
  }

  #receive(native: ArrayBuffer, last: boolean): void {
    this.complete = last;
    this.#senderSinceMs = performance.now();
    if (last) {
      arriving.delete(this);
      this.#onComplete?.();
    }
    if (this.#failure) return;
    this.receivedBytes += native.byteLength;
    if (this.receivedBytes > this.#maxBytes) {
      this.#fail(new BodyTooLarge(this.#maxBytes));
      return;
    }
    if (this.#onDiscarded) {
      this.#onDiscarded(last);
      return;
    }
    if (this.#whole) {
      const piece = new Uint8Array(native).subarray(0, this.#whole.buffer.length - this.#whole.length);
      this.#whole.buffer.set(piece, this.#whole.length);
      this.#whole.length += piece.length;
      if (last) this.#wake();
      return;
    }
    // The native memory is reused as soon as this callback returns.
    const block = this.#lends ? takeBlock(native.byteLength) : null;
    const chunk = block?.subarray(0, native.byteLength) ?? Buffer.allocUnsafe(native.byteLength);
    chunk.set(new Uint8Array(native));
    if (this.#sink) {
      if (!this.#sink(chunk, last)) this.pause();
      return;
    }
    if (chunk.length > 0) this.#queue.push({ chunk, block });
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes >= HIGH_WATER_BYTES) this.pause();
    this.#wake();
  }

  /** What still comes after a failure is thrown away, so the sender must not stay paused. */
  #fail(failure: Error): void {
    if (this.#failure) return;
    this.#failure = failure;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.resume();
    this.#onFailure?.(failure);
    this.#wake();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = null;
    wake?.();
  }
}
