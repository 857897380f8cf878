/** What the threads of the worker pool can do: pure functions of bytes, each by its name. */
import { setPriority } from "node:os";
import { isMainThread } from "node:worker_threads";
import { move, transferableSymbol, valueSymbol } from "piscina";
import { RestError } from "../rest/error.ts";
import { type Payload, type PayloadOptions, parsePayload } from "../rest/request/payload.ts";
import type { ImageInput, ImageOutput } from "../storage/images/transform.ts";

// On Linux a thread has a priority of its own: the event loop gets a core first when a request arrives.
if (!isMainThread && process.platform === "linux") setPriority(0, 5);

export interface Jobs {
  restPayload: typeof restPayload;
  transformImage: typeof transformImage;
}

/** Errors lose their class between threads: what a client may read comes as a value. */
export type ParsedPayload =
  | { readonly payload: Payload }
  | { readonly refusal: { readonly status: number; readonly code: string; readonly message: string } };

/** A REST request body: what it is, which keys it brings, and its JSON. Its bytes are handed over, not copied. */
export function restPayload(input: { readonly bytes: Uint8Array; readonly options: PayloadOptions }): ParsedPayload {
  const { buffer, byteOffset, byteLength } = input.bytes;
  try {
    const payload = parsePayload(Buffer.from(buffer, byteOffset, byteLength), input.options);
    return "bytes" in payload ? moved({ payload }, payload.bytes) : { payload };
  } catch (error) {
    if (!(error instanceof RestError)) throw error;
    return { refusal: { status: error.status, code: error.code, message: error.message } };
  }
}

/** An image, resized and converted. The library is loaded by the threads that are asked for it. */
export async function transformImage(input: ImageInput): Promise<ImageOutput> {
  const { transform } = await import("../storage/images/transform.ts");
  const output = await transform(input);
  return "bytes" in output ? moved(output, output.bytes) : output;
}

/** The value as the pool's result, its bytes handed over where they have a piece of memory of their own. */
function moved<T>(value: T, bytes: Buffer): T {
  if (bytes.byteLength !== bytes.buffer.byteLength) return value;
  const transferable = { [transferableSymbol]: bytes.buffer, [valueSymbol]: value };
  return move(transferable as never) as T;
}
