/**
 * Splits what a PostgreSQL server sends into messages, without making an object of each. A message that lies whole in
 * a chunk is handed over in place; one that spans chunks is gathered into a buffer of exactly its size.
 * @see https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

/** Body of the message: `buffer` from `start` to `end`. The buffer is never written again, so slices may be kept. */
export type OnMessage = (tag: number, buffer: Buffer, start: number, end: number) => void;

const HEADER_BYTES = 5;
const LARGE_MESSAGE_BYTES = 256 * 1024;
/** PostgreSQL cannot send a longer message. */
const MAX_MESSAGE_BYTES = 0x3fffffff;

/** The other side does not speak the protocol. */
export class ProtocolViolation extends Error {}

/** A message larger than the reader was told to take. */
export class MessageTooLarge extends Error {}

export class MessageReader {
  readonly #onMessage: OnMessage;
  readonly #maxMessageBytes: number;
  readonly #onLarge: (bytes: number) => void;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  /** Body of a message that spans chunks. */
  #body: Buffer | null = null;
  #bodyFilled = 0;

  /** @param onLarge Told before memory is taken for a message of more than 256 KB; may throw. */
  constructor(onMessage: OnMessage, maxMessageBytes = MAX_MESSAGE_BYTES, onLarge: (bytes: number) => void = () => {}) {
    this.#onMessage = onMessage;
    this.#onLarge = onLarge;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /**
   * The chunk must not be reused by the caller.
   * @throws {ProtocolViolation} for a length that no server would send. @throws {MessageTooLarge} above the limit.
   */
  feed(chunk: Buffer): void {
    let at = 0;
    const end = chunk.length;
    while (at < end) {
      if (this.#body) {
        const taken = chunk.copy(this.#body, this.#bodyFilled, at, end);
        this.#bodyFilled += taken;
        at += taken;
        if (this.#bodyFilled < this.#body.length) return;
        const body = this.#body;
        this.#body = null;
        this.#onMessage(this.#header[0] ?? 0, body, 0, body.length);
      } else if (this.#headerFilled > 0 || end - at < HEADER_BYTES) {
        const taken = chunk.copy(
          this.#header,
          this.#headerFilled,
          at,
          Math.min(end, at + HEADER_BYTES - this.#headerFilled),
        );
        this.#headerFilled += taken;
        at += taken;
        if (this.#headerFilled < HEADER_BYTES) return;
        this.#headerFilled = 0;
        this.#beginBody(lengthAt(this.#header, 1) - 4);
      } else {
        const length = lengthAt(chunk, at + 1) - 4;
        const bodyStart = at + HEADER_BYTES;
        const bodyEnd = bodyStart + length;
        if (length >= 0 && bodyEnd <= end) {
          this.#onMessage(chunk[at] ?? 0, chunk, bodyStart, bodyEnd);
          at = bodyEnd;
        } else {
          chunk.copy(this.#header, 0, at, bodyStart);
          at = bodyStart;
          this.#beginBody(length);
        }
      }
    }
  }

  #beginBody(length: number): void {
    if (length < 0) throw new ProtocolViolation(`a message of ${length} bytes`);
    if (length > this.#maxMessageBytes) throw new MessageTooLarge();
    if (length === 0) {
      this.#onMessage(this.#header[0] ?? 0, this.#header, HEADER_BYTES, HEADER_BYTES);
      return;
    }
    if (length > LARGE_MESSAGE_BYTES) this.#onLarge(length);
    this.#body = Buffer.allocUnsafeSlow(length);
    this.#bodyFilled = 0;
  }
}

/** Signed 32-bit number, big-endian. Spelled out: this runs for every value of every row. */
export function lengthAt(buffer: Buffer, at: number): number {
  return (
    ((buffer[at] as number) << 24) |
    ((buffer[at + 1] as number) << 16) |
    ((buffer[at + 2] as number) << 8) |
    (buffer[at + 3] as number)
  );
}

/** Reads the fields of one message in wire order. */
export class FieldReader {
  readonly #buffer: Buffer;
  readonly #end: number;
  #at: number;

  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#end;
  }

  uint8(): number {
    return this.#buffer.readUInt8(this.#advance(1));
  }

  int16(): number {
    return this.#buffer.readInt16BE(this.#advance(2));
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#advance(4));
  }

  uint32(): number {
    return this.#buffer.readUInt32BE(this.#advance(4));
  }

  /** @param maxBytes Of the string; what goes beyond is left out. */
  cstring(maxBytes = Number.POSITIVE_INFINITY): string {
    const zero = this.#buffer.indexOf(0, this.#at);
    if (zero < 0 || zero >= this.#end) throw new ProtocolViolation("a string without its end");
    const isCut = zero - this.#at > maxBytes;
    const text = this.#buffer.toString("utf8", this.#at, isCut ? this.#at + maxBytes : zero);
    this.#at = zero + 1;
    return isCut ? `${text.replace(/\ufffd$/, "")}…` : text;
  }

  /** Text of so many bytes. */
  text(bytes: number): string {
    const at = this.#advance(bytes);
    return this.#buffer.toString("utf8", at, at + bytes);
  }

  rest(): Buffer {
    const at = this.#at;
    this.#at = this.#end;
    return this.#buffer.subarray(at, this.#end);
  }

  #advance(bytes: number): number {
    const at = this.#at;
    if (at + bytes > this.#end) throw new ProtocolViolation("a message shorter than its fields");
    this.#at = at + bytes;
    return at;
  }
}

/** Of each field: whoever may call a function can have it raise an error as long as PostgreSQL can send. */
const DEFAULT_MAX_FIELD_BYTES = 64 * 1024;

/** Fields of an ErrorResponse or NoticeResponse by their one-letter codes, cut where they are longer. */
export function readErrorFields(
  reader: FieldReader,
  maxFieldBytes: number = DEFAULT_MAX_FIELD_BYTES,
): Record<string, string> {
  const fields: Record<string, string> = {};
  for (;;) {
    const code = reader.uint8();
    if (code === 0) return fields;
    fields[String.fromCharCode(code)] = reader.cstring(maxFieldBytes);
  }
}
