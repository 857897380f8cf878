/** One WebSocket of a client that a service in this process serves. */
import { ServedSocket } from "../../data-plane/http/served-socket.ts";
import type { WebSocket } from "../../data-plane/http/uws.ts";
import type { SocketHandler } from "../../data-plane/socket-service.ts";
import type { Admission, OpenSocket, SocketData } from "./open-socket.ts";

export class LocalSocket implements OpenSocket {
  readonly kind = "local";
  readonly admission: Admission;
  readonly traffic: ServedSocket<SocketData>;
  #onGone: ((socket: OpenSocket, code: number) => void) | null;

  constructor(admission: Admission, handler: SocketHandler, onGone: (socket: OpenSocket, code: number) => void) {
    this.admission = admission;
    this.traffic = new ServedSocket<SocketData>(handler);
    this.#onGone = onGone;
  }

  clientOpened(client: WebSocket<SocketData>): void {
    this.traffic.opened(client);
  }

  fromClient(message: ArrayBuffer, binary: boolean): void {
    this.traffic.message(message, binary);
  }

  /** The server library has answered it. */
  pingFromClient(): void {}

  clientDrained(): void {
    this.traffic.drained();
  }

  clientClosed(code: number): void {
    this.traffic.closed(code);
    this.#onGone?.(this, code);
    this.#onGone = null;
  }

  close(code: number, reason: string): void {
    this.traffic.close(code, reason);
  }
}
