/**
 * Frontend messages of PostgreSQL's protocol 3.0, written one after another into slabs that go to the socket as they
 * are. One writer belongs to one connection.
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

const SLAB_BYTES = 64 * 1024;
/** A listener never needs more. */
const FIRST_SLAB_BYTES = 4096;
/** A longer value is not copied into the slab: its own buffer goes to the socket. */
const INLINE_BYTES = 4096;
/** The Bind message counts parameters in 16 bits. */
export const MAX_PARAMETERS = 65_535;

const EXECUTE = Buffer.from("E\0\0\0\x09\0\0\0\0\0", "latin1"); // unnamed portal, all rows
const DESCRIBE_PORTAL = Buffer.from("D\0\0\0\x06P\0", "latin1");
const SYNC = Buffer.from("S\0\0\0\x04", "latin1");
const FLUSH = Buffer.from("H\0\0\0\x04", "latin1");
const TERMINATE = Buffer.from("X\0\0\0\x04", "latin1");

export interface WriterMark {
  readonly slab: Buffer;
  readonly start: number;
  readonly end: number;
  readonly chunks: number;
}

export class MessageWriter {
  #slab: Buffer = Buffer.allocUnsafeSlow(FIRST_SLAB_BYTES);
  /** The bytes from `start` to `end` are written and not yet taken. */
  #start = 0;
  #end = 0;
  #chunks: Buffer[] = [];

  get isEmpty(): boolean {
    return this.#start === this.#end && this.#chunks.length === 0;
  }

  /** Where it stands, for {@link rewind}. */
  mark(): WriterMark {
    return { slab: this.#slab, start: this.#start, end: this.#end, chunks: this.#chunks.length };
  }

  /** Takes back all that was written since the mark; nothing may have been taken in between. */
  rewind(mark: WriterMark): void {
    this.#slab = mark.slab;
    this.#start = mark.start;
    this.#end = mark.end;
    this.#chunks.length = mark.chunks;
  }

  /** Gives what was written since the last call, in order, for one gathering write. */
  take(): Buffer[] {
    this.#cut();
    const taken = this.#chunks;
    this.#chunks = [];
    return taken;
  }

  /** `name` is ASCII; empty for the unnamed statement. Parameter types are left to the server. */
  parse(name: string, text: string): void {
    // A zero byte would end the text early and make protocol messages out of the rest.
    if (text.includes("\0")) throw new TypeError("a statement's text may not contain a zero byte");
    const textBytes = Buffer.byteLength(text);
    this.#ensure(textBytes + name.length + 9);
    this.#header(0x50, 4 + name.length + 1 + textBytes + 1 + 2);
    this.#cstring(name);
    this.#cstring(text);
    this.#int16(0);
  }

  /** Binds the unnamed portal. Strings and nulls go in text format, Buffers in binary; all results come as text. */
  bind(name: string, values: readonly (string | Buffer | null)[]): void {
    const count = values.length;
    if (count > MAX_PARAMETERS) throw new RangeError(`more than ${MAX_PARAMETERS} parameters`);
    let bound = 1 + 4 + 1 + name.length + 1 + 2 + count * 2 + 2 + 2;
    let hasBinary = false;
    for (const value of values) {
      bound += 4;
      if (value === null) continue;
      if (typeof value !== "string") hasBinary = true;
      // A UTF-16 unit takes at most three bytes of UTF-8; what does not fit INLINE_BYTES gets a buffer of its own.
      bound += Math.min(typeof value === "string" ? value.length * 3 : value.length, INLINE_BYTES);
    }
    this.#ensure(bound);
    const slab = this.#slab;
    slab[this.#end] = 0x42;
    const lengthAt = this.#end + 1;
    this.#end += 5;
    slab[this.#end++] = 0;
    this.#cstring(name);
    if (hasBinary) {
      this.#int16(count);
      for (const value of values) this.#int16(value === null || typeof value === "string" ? 0 : 1);
    } else {
      this.#int16(0);
    }
    this.#int16(count);
    let outside = 0;
    for (const value of values) {
      if (value === null) {
        this.#int32(-1);
      } else if (typeof value === "string") {
        if (value.length * 3 <= INLINE_BYTES) {
          const at = this.#end;
          const written = slab.write(value, at + 4, "utf8");
          this.#int32(written);
          this.#end += written;
        } else {
          outside += this.#external(Buffer.from(value));
        }
      } else if (value.length <= INLINE_BYTES) {
        this.#int32(value.length);
        this.#end += value.copy(slab, this.#end);
      } else {
        outside += this.#external(value);
      }
    }
    this.#int16(0);
    // Sums what lies in the slab and what does not; cutting chunks in between moved `start` only.
    slab.writeInt32BE(this.#end - lengthAt + outside, lengthAt);
  }

  describePortal(): void {
    this.#constant(DESCRIBE_PORTAL);
  }

  execute(): void {
    this.#constant(EXECUTE);
  }

  sync(): void {
    this.#constant(SYNC);
  }

  flush(): void {
    this.#constant(FLUSH);
  }

  terminate(): void {
    this.#constant(TERMINATE);
  }

  closeStatement(name: string): void {
    this.#ensure(name.length + 7);
    this.#header(0x43, 4 + 1 + name.length + 1);
    this.#slab[this.#end++] = 0x53;
    this.#cstring(name);
  }

  startup(parameters: Readonly<Record<string, string>>): void {
    const body = [];
    for (const [name, value] of Object.entries(parameters)) {
      if (name.includes("\0") || value.includes("\0"))
        throw new TypeError(`start-up parameter ${name} contains a zero byte`);
      body.push(name, "\0", value, "\0");
    }
    const bytes = Buffer.from(`${body.join("")}\0`);
    this.#ensure(bytes.length + 8);
    this.#int32(bytes.length + 8);
    this.#int32(196_608); // protocol 3.0
    this.#end += bytes.copy(this.#slab, this.#end);
  }

  /** PasswordMessage, SASLInitialResponse and SASLResponse share this tag. */
  authentication(body: Buffer): void {
    this.#ensure(body.length + 5);
    this.#header(0x70, 4 + body.length);
    this.#end += body.copy(this.#slab, this.#end);
  }

  #ensure(bytes: number): void {
    if (this.#slab.length - this.#end >= bytes) return;
    this.#cut();
    this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
    this.#start = 0;
    this.#end = 0;
  }

  #cut(): void {
    if (this.#end > this.#start) this.#chunks.push(this.#slab.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  /** Appends a value that is not copied; answers its length. */
  #external(value: Buffer): number {
    this.#int32(value.length);
    this.#cut();
    this.#chunks.push(value);
    return value.length;
  }

  #constant(message: Buffer): void {
    this.#ensure(message.length);
    this.#slab.set(message, this.#end);
    this.#end += message.length;
  }

  #header(tag: number, length: number): void {
    this.#slab[this.#end++] = tag;
    this.#int32(length);
  }

  #cstring(text: string): void {
    if (text.length > 0) this.#end += this.#slab.write(text, this.#end, "utf8");
    this.#slab[this.#end++] = 0;
  }

  #int16(value: number): void {
    const slab = this.#slab;
    slab[this.#end++] = value >>> 8;
    slab[this.#end++] = value;
  }

  #int32(value: number): void {
    const slab = this.#slab;
    slab[this.#end++] = value >>> 24;
    slab[this.#end++] = value >>> 16;
    slab[this.#end++] = value >>> 8;
    slab[this.#end++] = value;
  }
}

/** SSLRequest, sent before anything else; the server answers one byte, `S` or `N`. */
export function sslRequest(): Buffer {
  return int32s(8, 80_877_103);
}

/** CancelRequest, sent on a connection of its own. */
export function cancelRequest(processId: number, secretKey: Buffer): Buffer {
  return Buffer.concat([int32s(12 + secretKey.length, 80_877_102, processId), secretKey]);
}

function int32s(...values: number[]): Buffer {
  const buffer = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    buffer.writeInt32BE(value, index * 4);
  });
  return buffer;
}
