import { afterEach, expect, test, vi } from "vitest";
import { readServerSentEvents, type ServerSentEvent, StreamSilent } from "./sse-reader.ts";

/** A stream of these chunks, as they come over the wire. */
function streamOf(...chunks: (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
      controller.close();
    },
  });
}

async function read(...chunks: (string | Uint8Array)[]): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = [];
  for await (const event of readServerSentEvents(streamOf(...chunks), 1000)) events.push(event);
  return events;
}

afterEach(() => {
  vi.useRealTimers();
});

test("events have a name and data", async () => {
  expect(await read('event: next\ndata: {"a":1}\n\ndata:x\n\n')).toEqual([
    { event: "next", data: '{"a":1}' },
    { event: "message", data: "x" },
  ]);
});

test("comments, ids and unfinished events say nothing", async () => {
  expect(await read(":\n\n: ping\n\nid: 7\nretry: 5\n\nevent: next\n\ndata: cut off")).toEqual([]);
});

test("data lines are joined by line feeds; one space after the colon is not part of them", async () => {
  expect(await read("data: a\ndata:  b\ndata:\n\n")).toEqual([{ event: "message", data: "a\n b\n" }]);
});

test.each(["\n", "\r\n", "\r"])("line ends may be %j, and chunks may break anywhere", async (end) => {
  const bytes = new TextEncoder().encode(`event: next${end}data: größe${end}${end}data: 2${end}${end}:`);
  for (let cut = 0; cut <= bytes.length; cut++)
    expect(await read(bytes.subarray(0, cut), bytes.subarray(cut))).toEqual([
      { event: "next", data: "größe" },
      { event: "message", data: "2" },
    ]);
});

test("silence is an error, because the other side shows itself again and again", async () => {
  const silent = new ReadableStream<Uint8Array>({});
  await expect(readServerSentEvents(silent, 10).next()).rejects.toThrow(StreamSilent);
});

test("a comment is enough to break the silence", async () => {
  vi.useFakeTimers();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  const event = readServerSentEvents(readable, 100).next();
  for (const chunk of [":\n\n", ":\n\n", "data: 1\n\n"]) {
    await vi.advanceTimersByTimeAsync(90);
    await writer.write(new TextEncoder().encode(chunk));
  }
  expect((await event).value).toEqual({ event: "message", data: "1" });
});

test("a reader that stops early cancels the stream", async () => {
  let isCancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(new TextEncoder().encode("data: 1\n\n")),
    cancel: () => {
      isCancelled = true;
    },
  });
  for await (const _event of readServerSentEvents(stream, 1000)) break;
  expect(isCancelled).toBe(true);
});

test("an abort ends the reading and cancels the stream, though nothing more comes", async () => {
  let cancelled = false;
  const silent = new ReadableStream<Uint8Array>({
    cancel() {
      cancelled = true;
    },
  });
  const stopping = new AbortController();
  const events = readServerSentEvents(silent, 60_000, stopping.signal);
  const next = events.next();
  stopping.abort();
  expect(await next).toEqual({ done: true, value: undefined });
  expect(cancelled).toBe(true);
});
