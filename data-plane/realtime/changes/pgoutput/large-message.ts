/**
 * Reading a change that is larger than we are willing to hold, as it arrives: what is kept is a message of the same shape
 * whose large values are marked as left out. A row may have a gigabyte; nobody is announced more than a megabyte of it.
 */

/** So many bytes are needed, or are to be passed over. */
type Step = { readonly take: number } | { readonly skip: number };

/** No key is larger: an index entry has at most a third of a page. */
const MAX_KEPT_BYTES = 4096;
const XLOG_HEADER_BYTES = 25;
const OMITTED_KIND = Buffer.from("x");

export class LargeMessage {
  readonly #steps: Generator<Step, void, Buffer>;
  readonly #kept: Buffer[] = [];
  #step: Step | null;
  #left: number;
  #partial: Buffer[] = [];

  /** @param bytes Length of the body. */
  constructor(bytes: number) {
    this.#left = bytes;
    this.#steps = readChange(this.#kept);
    const first = this.#steps.next();
    this.#step = first.done ? null : first.value;
    this.#wanted = wantedOf(this.#step);
  }

  #wanted: number;

  /** @returns How many bytes of the chunk belong to the message. */
  feed(chunk: Buffer): number {
    let at = 0;
    const end = Math.min(chunk.length, this.#left);
    while (at < end) {
      if (this.#step === null) {
        at = end; // the rest says nothing more
        break;
      }
      const taken = Math.min(this.#wanted, end - at);
      if ("take" in this.#step) this.#partial.push(Buffer.from(chunk.subarray(at, at + taken)));
      at += taken;
      this.#wanted -= taken;
      while (this.#wanted === 0 && this.#step !== null) this.#advance();
    }
    this.#left -= at;
    return at;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  /** The message with its large values left out. */
  body(): Buffer {
    return Buffer.concat(this.#kept);
  }

  #advance(): void {
    const bytes = Buffer.concat(this.#partial);
    this.#partial = [];
    const next = this.#steps.next(bytes);
    this.#step = next.done ? null : next.value;
    this.#wanted = wantedOf(this.#step);
  }
}

function wantedOf(step: Step | null): number {
  if (step === null) return 0;
  return "take" in step ? step.take : step.skip;
}

/** Takes the message apart in wire order; anything but a row change is kept to its first bytes. */
function* readChange(kept: Buffer[]): Generator<Step, void, Buffer> {
  function* keep(bytes: number): Generator<Step, Buffer, Buffer> {
    const taken = yield { take: bytes };
    kept.push(taken);
    return taken;
  }
  yield* keep(XLOG_HEADER_BYTES);
  const tag = String.fromCharCode((yield* keep(1))[0] ?? 0);
  if (!"IUD".includes(tag)) return;
  yield* keep(4);
  const kind = String.fromCharCode((yield* keep(1))[0] ?? 0);
  yield* readTuple(kept);
  if (tag !== "U" || kind === "N") return;
  yield* keep(1);
  yield* readTuple(kept);
}

function* readTuple(kept: Buffer[]): Generator<Step, void, Buffer> {
  const count = yield { take: 2 };
  kept.push(count);
  for (let column = count.readInt16BE(0); column > 0; column -= 1) {
    const kind = yield { take: 1 };
    if (kind[0] !== 0x74) {
      kept.push(kind);
      continue;
    }
    const length = yield { take: 4 };
    const bytes = length.readInt32BE(0);
    if (bytes > MAX_KEPT_BYTES) {
      yield { skip: bytes };
      kept.push(OMITTED_KIND);
    } else {
      kept.push(kind, length);
      if (bytes > 0) kept.push(yield { take: bytes });
    }
  }
}
