/**
 * Reads a stream of server-sent events. Not `EventSource`: that one cannot send a token, and nothing at hand notices a
 * half-open connection (the peer's machine is gone, TCP has not found out), which would leave a cache silently old.
 */

export interface ServerSentEvent {
  /** Name of the event; `message` when it has none. */
  readonly event: string;
  /** Data lines, joined by line feeds. */
  readonly data: string;
}

/** Nothing came for too long, not even the comments by which the server shows that it is there. */
export class StreamSilent extends Error {}

/**
 * Yields each event with data. Ends when the stream ends; a caller that stops early cancels it.
 * @param idleTimeoutMs Longest silence; any byte ends it, a comment too.
 * @param signal Ends the reading and cancels the stream. The signal that `fetch` was given does not do so for certain:
 *   fetch holds on to it weakly, and once the garbage collector has been there an abort no longer reaches the connection.
 * @throws {StreamSilent} @throws what the stream throws.
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export async function* readServerSentEvents(
  stream: ReadableStream<Uint8Array>,
  idleTimeoutMs: number,
  signal?: AbortSignal,
): AsyncGenerator<ServerSentEvent> {
  const reader = stream.getReader();
  const cancel = () => void reader.cancel().catch(() => undefined);
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  const decoder = new TextDecoder();
  let event = "message";
  let data: string[] = [];
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await beforeSilence(reader.read(), idleTimeoutMs);
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length > 0) yield { event, data: data.join("\n") };
          event = "message";
          data = [];
        } else if (line.startsWith("data:")) data.push(fieldValue(line, 5));
        else if (line.startsWith("event:")) event = fieldValue(line, 6);
      }
    }
  } finally {
    signal?.removeEventListener("abort", cancel);
    await reader.cancel().catch(() => undefined);
  }
}

function fieldValue(line: string, from: number): string {
  return line.slice(line[from] === " " ? from + 1 : from);
}

async function beforeSilence<T>(read: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new StreamSilent(`nothing was received for ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([read, silence]);
  } finally {
    clearTimeout(timer);
  }
}
