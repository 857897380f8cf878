/** One WebSocket of a client and the one that stands for it towards the project's realtime server. */
import type { WebSocket as UpstreamSocket } from "ws";
import type { WebSocket } from "../../data-plane/http/uws.ts";
import { CLOSE } from "../../data-plane/socket-service.ts";
import type { Admission, OpenSocket, SocketData } from "./open-socket.ts";

/** Bytes a client may be behind before its upstream is paused, */
const CLIENT_HIGH_WATER_BYTES = 256 * 1024;
/** and an upstream before its client is told to come back later: a client cannot be paused. */
const UPSTREAM_LIMIT_BYTES = 4 * 1024 * 1024;

/** Codes that may be put into a close frame (RFC 6455, 7.4). */
function isSendable(code: number): boolean {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)
  );
}

export class ProxiedSocket implements OpenSocket {
  readonly kind = "proxied";
  readonly admission: Admission;
  readonly traffic = { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0 };
  readonly #upstream: UpstreamSocket;
  readonly #onGone: (socket: OpenSocket, code: number) => void;
  #client: WebSocket<SocketData> | null = null;
  #paused = false;
  #gone = false;
  /** What the upstream said before the client's handshake was over. */
  readonly #early: { readonly data: Buffer; readonly binary: boolean }[] = [];

  constructor(admission: Admission, upstream: UpstreamSocket, onGone: (socket: OpenSocket, code: number) => void) {
    this.admission = admission;
    this.#upstream = upstream;
    this.#onGone = onGone;
    upstream.on("message", (data: Buffer, binary) => this.#toClient(data, binary));
    upstream.on("ping", (data) => this.#client?.ping(data));
    upstream.on("close", (code, reason) => this.#upstreamClosed(code, reason));
    upstream.on("error", () => {}); // "close" follows
  }

  clientOpened(client: WebSocket<SocketData>): void {
    this.#client = client;
    for (const { data, binary } of this.#early.splice(0)) this.#toClient(data, binary);
    if (this.#upstream.readyState !== this.#upstream.OPEN) this.close(CLOSE.restart, "");
  }

  fromClient(message: ArrayBuffer, binary: boolean): void {
    this.traffic.framesIn += 1;
    this.traffic.bytesIn += message.byteLength;
    if (this.#isFull()) return;
    // A copy: the memory is the server library's, and the client masks in place.
    this.#upstream.send(Buffer.from(new Uint8Array(message)), { binary });
  }

  pingFromClient(data: ArrayBuffer): void {
    if (this.#isFull() || this.#upstream.readyState !== this.#upstream.OPEN) return;
    this.#upstream.ping(Buffer.from(new Uint8Array(data)));
  }

  clientDrained(): void {
    if (!this.#paused || (this.#client?.getBufferedAmount() ?? 0) >= CLIENT_HIGH_WATER_BYTES) return;
    this.#paused = false;
    this.#upstream.resume();
  }

  clientClosed(code: number, reason: string): void {
    this.#client = null;
    if (isSendable(code)) this.#upstream.close(code, reason);
    else if (code === 1005) this.#upstream.close();
    else this.#upstream.terminate();
    this.#settle(code);
  }

  close(code: number, reason: string): void {
    const client = this.#client;
    this.#client = null;
    if (this.#upstream.readyState === this.#upstream.OPEN) this.#upstream.close(1001);
    else this.#upstream.terminate();
    this.#settle(code);
    client?.end(code, reason);
  }

  /** Ends both sides when the upstream takes too little of what the client sends. */
  #isFull(): boolean {
    if (this.#upstream.bufferedAmount <= UPSTREAM_LIMIT_BYTES) return false;
    this.close(CLOSE.overloaded, "the server is too slow");
    return true;
  }

  #toClient(data: Buffer, binary: boolean): void {
    const client = this.#client;
    if (!client) {
      if (!this.#gone) this.#early.push({ data: Buffer.from(data), binary });
      return;
    }
    this.traffic.framesOut += 1;
    this.traffic.bytesOut += data.length;
    client.send(data, binary);
    if (this.#client && client.getBufferedAmount() > CLIENT_HIGH_WATER_BYTES && !this.#paused) {
      this.#paused = true;
      this.#upstream.pause();
    }
  }

  #upstreamClosed(code: number, reason: Buffer): void {
    const client = this.#client;
    this.#client = null;
    this.#settle(code);
    if (isSendable(code)) client?.end(code, reason);
    else if (code === 1005) client?.end();
    else client?.end(CLOSE.restart, "the server is gone");
  }

  #settle(code: number): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#early.length = 0;
    this.#onGone(this, code);
  }
}
