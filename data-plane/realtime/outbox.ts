/**
 * When sockets write. What is sent to many is put on their queues and written at the end of the turn of the loop: one
 * system call a socket, however many messages. Projects take turns, and other work of the process gets its turn in
 * between, so a large fan-out delays nobody else's small one.
 */
export interface Writer {
  /** Writes what is queued. */
  flush(): void;
}

/** The sockets of one project that have something to write. */
export class OutboxShare {
  readonly writers: Writer[] = [];
  next = 0;
  isQueued = false;
  /** Bytes that clients of the project have not taken yet. */
  bufferedBytes = 0;
}

const SLICE_WRITERS = 64;
const SLICE_MS = 4;
/** Of all clients together that have not been taken yet. */
const MAX_BUFFERED_BYTES = 256 * 1024 * 1024;
const MAX_PROJECT_BUFFERED_BYTES = 64 * 1024 * 1024;
/** A client that is only this much behind is never closed for what others hold. */
const MIN_BUFFERED_BYTES = 64 * 1024;

export class Outbox {
  #queue: OutboxShare[] = [];
  #isScheduled = false;
  bufferedBytes = 0;
  /** Projects with a client that is behind. */
  readonly #behind = new Set<OutboxShare>();

  add(share: OutboxShare, writer: Writer): void {
    share.writers.push(writer);
    if (!share.isQueued) {
      share.isQueued = true;
      this.#queue.push(share);
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#flush);
  }

  /** Notes that a client of the project is so many bytes further behind. @returns Whether it may be. */
  account(share: OutboxShare, deltaBytes: number, clientBytes: number): boolean {
    share.bufferedBytes += deltaBytes;
    this.bufferedBytes += deltaBytes;
    if (share.bufferedBytes > 0) this.#behind.add(share);
    else this.#behind.delete(share);
    if (deltaBytes <= 0 || clientBytes < MIN_BUFFERED_BYTES) return true;
    if (share.bufferedBytes > MAX_PROJECT_BUFFERED_BYTES) return false;
    return this.bufferedBytes <= MAX_BUFFERED_BYTES || share.bufferedBytes <= MAX_BUFFERED_BYTES / this.#behind.size;
  }

  readonly #flush = (): void => {
    const started = performance.now();
    while (this.#queue.length > 0) {
      const share = this.#queue.shift() as OutboxShare;
      const end = Math.min(share.writers.length, share.next + SLICE_WRITERS);
      for (; share.next < end; share.next += 1) (share.writers[share.next] as Writer).flush();
      if (share.next < share.writers.length) this.#queue.push(share);
      else {
        share.writers.length = 0;
        share.next = 0;
        share.isQueued = false;
      }
      if (performance.now() - started > SLICE_MS && this.#queue.length > 0) {
        setImmediate(this.#flush);
        return;
      }
    }
    this.#isScheduled = false;
  };
}
