/** Clients that hold a server up by sending slowly, or not at all. */
import { connect } from "node:net";

export interface SlowClient extends Disposable {
  /** Bytes of body sent so far. */
  readonly sentBytes: number;
  /** All that the server has answered, once it has answered or closed. */
  readonly answer: Promise<string>;
}

export interface SlowRequest {
  readonly port: number;
  /** Path and query. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
  /** Bytes sent at a time and the pause between two pieces; left out: nothing of the body is sent. */
  readonly pace?: { readonly bytes: number; readonly everyMs: number };
}

/** A POST whose body comes at the given pace, or never. */
export function slowPost(request: SlowRequest): SlowClient {
  const body = Buffer.from(request.body);
  const socket = connect(request.port, "127.0.0.1");
  const headers = { host: "localhost", "content-length": String(body.length), ...request.headers };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST ${request.target} HTTP/1.1\r\n${lines.join("")}\r\n`);
  let sentBytes = 0;
  const send = () => {
    const next = body.subarray(sentBytes, sentBytes + (request.pace?.bytes ?? 0));
    sentBytes += next.length;
    socket.write(next);
    if (sentBytes === body.length) clearInterval(timer);
  };
  const timer = request.pace && setInterval(send, request.pace.everyMs);
  const answer = new Promise<string>((resolve) => {
    socket.once("data", (chunk) => resolve(chunk.toString("latin1")));
    socket.on("error", () => resolve(""));
    socket.on("close", () => {
      clearInterval(timer);
      resolve("");
    });
  });
  return {
    get sentBytes() {
      return sentBytes;
    },
    answer,
    [Symbol.dispose]() {
      clearInterval(timer);
      socket.destroy();
    },
  };
}

/** So many clients with a public key, each a byte every now and then, until disposed of. */
export function trickleBodies(count: number, request: Omit<SlowRequest, "body" | "pace">): readonly SlowClient[] {
  const pace = { bytes: 1, everyMs: 40 };
  return Array.from({ length: count }, () => slowPost({ ...request, body: Buffer.alloc(100_000, 32), pace }));
}
