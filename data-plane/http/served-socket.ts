/** A WebSocket of the server library in the hands of a service's handler: what the gateway and the HTTP host both serve. */
import type { ClientSocket, SocketHandler } from "../socket-service.ts";
import type { HttpRequest, WebSocket } from "./uws.ts";

export class ServedSocket<Data> implements ClientSocket {
  readonly #handler: SocketHandler;
  #native: WebSocket<Data> | null = null;
  #isClosed = false;
  /** Frames and bytes of the client. */
  framesIn = 0;
  bytesIn = 0;
  framesOut = 0;
  bytesOut = 0;

  constructor(handler: SocketHandler) {
    this.#handler = handler;
  }

  // ---- for the service ------------------------------------------------------------------------------------------

  get bufferedBytes(): number {
    return this.#native?.getBufferedAmount() ?? 0;
  }

  send(data: string | Uint8Array, isBinary: boolean): void {
    if (!this.#native) return;
    this.framesOut += 1;
    this.bytesOut += data.length;
    this.#native.send(data, isBinary);
  }

  cork(work: () => void): void {
    if (this.#native) this.#native.cork(work);
    else work();
  }

  close(code: number, reason: string): void {
    this.#native?.end(code, reason);
  }

  terminate(): void {
    this.#native?.close();
  }

  // ---- for the host -----------------------------------------------------------------------------------------------

  opened(native: WebSocket<Data>): void {
    this.#native = native;
    this.#handler.opened(this);
  }

  message(data: ArrayBuffer, isBinary: boolean): void {
    this.framesIn += 1;
    this.bytesIn += data.byteLength;
    this.#handler.message(data, isBinary);
  }

  drained(): void {
    this.#handler.drained();
  }

  /** Also for a client that went away before the handshake was over. */
  closed(code: number): void {
    this.#native = null;
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#handler.closed(code);
  }
}

/** The server library takes any GET with a key for an opening. RFC 6455, 4.2.1. */
export function openingFault(request: HttpRequest): "invalid_upgrade" | "unsupported_websocket_version" | null {
  const options = request.getHeader("connection").toLowerCase().split(",");
  if (!options.some((option) => option.trim() === "upgrade")) return "invalid_upgrade";
  if (request.getHeader("upgrade").toLowerCase() !== "websocket") return "invalid_upgrade";
  return request.getHeader("sec-websocket-version") === "13" ? null : "unsupported_websocket_version";
}
