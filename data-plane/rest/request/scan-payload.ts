/** Large bodies, looked over in a thread of the worker pool. */
import { ThreadQueueFull } from "../../../control-plane/client/fair-threads.ts";
import type { WorkerPool } from "../../work/worker-pool.ts";
import { RestError } from "../error.ts";
import type { PayloadScanner } from "./api-request.ts";
import type { Payload } from "./payload.ts";

/** @param holder The project whose bodies they are. */
export function payloadScanner(workers: WorkerPool, holder: string): PayloadScanner {
  return async (bytes, options) => {
    const own = bytes.byteLength === bytes.buffer.byteLength ? bytes : Buffer.allocUnsafeSlow(bytes.length);
    if (own !== bytes) bytes.copy(own);
    try {
      const result = await workers.run(
        holder,
        "restPayload",
        { bytes: own, options },
        { transfer: [own.buffer as ArrayBuffer] },
      );
      if ("refusal" in result) throw new RestError(result.refusal);
      return withBuffer(result.payload);
    } catch (failure) {
      if (!(failure instanceof ThreadQueueFull)) throw failure;
      const headers = [["Retry-After", "1"]] as const;
      throw new RestError({ status: 503, code: "53400", message: "Too many large bodies are waiting", headers });
    }
  };
}

/** Between threads a Buffer becomes the Uint8Array that it is made of. */
function withBuffer(payload: Payload): Payload {
  if (!("bytes" in payload)) return payload;
  const { buffer, byteOffset, byteLength } = payload.bytes;
  return { ...payload, bytes: Buffer.from(buffer, byteOffset, byteLength) };
}
