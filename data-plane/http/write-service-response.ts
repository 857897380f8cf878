/** Puts a service's response on a channel: whole when it is, else streamed at the client's pace. */
import { COUNTED_BYTES, type HeldAccount } from "../held-bytes.ts";
import type { ServiceResponse } from "../service.ts";
import { type HeaderList, headerList, isHeaderValue } from "./header-list.ts";
import { forbidsBody, type ResponseChannel, type ResponseHead, statusLine } from "./response-channel.ts";

/** Framing is the channel's own affair. Content-Length is read before it is dropped. */
const FRAMING: ReadonlySet<string> = new Set([
  "content-length",
  "transfer-encoding",
  "connection",
  "keep-alive",
  "date",
]);

export interface WriteOptions {
  /** What a large body is taken from for as long as it is held; left out, nobody counts. */
  readonly held?: HeldAccount;
  /** Chooses and adds headers: from those of the service to those that are sent. All go out as they are without it. */
  readonly toClient?: (headers: HeaderList) => HeaderList;
}

/**
 * Resolves when the response is out or the client is gone; the body's iterator is always closed.
 * @throws What the body's iterator throws; the connection is cut by then, because the head is already out.
 * @throws {TypeError} For a header that cannot be sent; nothing has been sent then.
 * @throws {HeldBytesExhausted} Nothing has been sent then.
 */
export async function writeServiceResponse(
  channel: ResponseChannel,
  response: ServiceResponse,
  options: WriteOptions = {},
): Promise<void> {
  const { head, contentLength } = toHead(response, options);
  const body = response.body;
  if (body === null || typeof body === "string" || Buffer.isBuffer(body)) {
    // A service that makes no body for HEAD does not know its length either.
    if (body !== null && body.length > COUNTED_BYTES && !channel.headOnly) options.held?.take(body.length);
    const hasNone = forbidsBody(response.status) || (body === null && channel.headOnly);
    channel.send(head, hasNone ? null : (body ?? ""), contentLength, true);
    return;
  }
  if (forbidsBody(response.status)) channel.send(head, null);
  else channel.start(head, contentLength);
  await pump(channel, body);
}

async function pump(channel: ResponseChannel, body: AsyncIterable<Buffer>): Promise<void> {
  const gate = new DrainGate(channel);
  try {
    for await (const chunk of body) {
      if (channel.closed) return;
      if (!channel.write(chunk)) await gate.opened();
    }
    channel.end();
  } catch (error) {
    channel.destroy();
    throw error;
  } finally {
    gate.close();
  }
}

/** Waits until the client takes more, or is gone. */
class DrainGate {
  readonly #channel: ResponseChannel;
  #open: (() => void) | null = null;
  readonly #closedBefore: (() => void) | null;

  constructor(channel: ResponseChannel) {
    this.#channel = channel;
    channel.whenDrained(() => this.#release());
    this.#closedBefore = channel.whenClosed(() => {
      this.#release();
      this.#closedBefore?.();
    });
  }

  async opened(): Promise<void> {
    if (this.#channel.closed) return;
    await new Promise<void>((open) => {
      this.#open = open;
    });
  }

  close(): void {
    this.#channel.whenDrained(null);
    if (!this.#channel.closed) this.#channel.whenClosed(this.#closedBefore);
  }

  #release(): void {
    const open = this.#open;
    this.#open = null;
    open?.();
  }
}

function toHead(
  response: ServiceResponse,
  { toClient }: WriteOptions,
): { head: ResponseHead; contentLength: number | undefined } {
  const parts: string[] = [];
  let contentLength: number | undefined;
  for (const [givenName, value] of response.headers) {
    const name = givenName.toLowerCase();
    if (name === "content-length" && /^\d{1,15}$/.test(value)) contentLength = Number(value);
    if (!FRAMING.has(name)) parts.push(name, value);
  }
  const headers = headerList(parts);
  const reason = response.statusText;
  if (reason !== undefined && !isHeaderValue(reason)) throw new TypeError("reason phrase cannot be sent");
  return {
    head: { statusLine: statusLine(response.status, reason), headers: toClient ? toClient(headers) : headers },
    contentLength,
  };
}
