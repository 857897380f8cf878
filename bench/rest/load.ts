/** A lean closed-loop load generator: as many keep-alive connections as asked, one request at a time on each. */
import { connect, type Socket } from "node:net";

export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  /** The nth request, as it goes over the wire. */
  readonly request: (turn: number) => Buffer;
  readonly expectedStatus: number;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** @throws When an answer has another status. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const latencies: number[] = [];
  let turn = 0;
  const started = performance.now();
  const end = started + load.seconds * 1000;
  await Promise.all(
    Array.from({ length: load.connections }, async () => {
      const connection = await HttpConnection.open(load.port);
      for (;;) {
        const sent = performance.now();
        if (sent >= end) break;
        turn += 1;
        const status = await connection.exchange(load.request(turn));
        if (status !== load.expectedStatus) throw new Error(`answered ${status}: ${connection.lastBody()}`);
        latencies.push(performance.now() - sent);
      }
      connection.close();
    }),
  );
  const elapsed = (performance.now() - started) / 1000;
  latencies.sort((left, right) => left - right);
  const quantile = (share: number) => latencies[Math.floor(latencies.length * share)] ?? 0;
  return { perSecond: latencies.length / elapsed, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

class HttpConnection {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #length = 0;
  #bodyEnd = -1;
  #bodyStart = 0;
  #status = 0;
  #resolve: ((status: number) => void) | null = null;
  #reject: ((error: Error) => void) | null = null;
  #body = "";

  static async open(port: number): Promise<HttpConnection> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await new Promise<void>((connected, failed) => {
      socket.once("connect", connected);
      socket.once("error", failed);
    });
    return new HttpConnection(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => this.#receive(chunk));
    socket.on("close", () => this.#reject?.(new Error("connection closed")));
    socket.on("error", (error) => this.#reject?.(error));
  }

  exchange(request: Buffer): Promise<number> {
    this.#socket.write(request);
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  lastBody(): string {
    return this.#body;
  }

  close(): void {
    this.#reject = null;
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#bodyEnd < 0) this.#readHead();
    if (this.#bodyEnd < 0 || this.#length < this.#bodyEnd) return;
    if (this.#status >= 300) this.#body = Buffer.concat(this.#chunks).toString("utf8", this.#bodyStart);
    this.#chunks = [];
    this.#length = 0;
    this.#bodyEnd = -1;
    this.#resolve?.(this.#status);
  }

  #readHead(): void {
    const received = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [received];
    const headEnd = received.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const head = received.toString("latin1", 0, headEnd);
    this.#status = Number(head.slice(9, 12));
    this.#bodyStart = headEnd + HEAD_END.length;
    this.#bodyEnd = this.#bodyStart + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  }
}
