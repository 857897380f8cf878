/** What the gateway knows of every open WebSocket, whoever serves it. */
import type { ApiKeyEntry } from "../../control-plane/client/config-snapshot.ts";
import type { WebSocket } from "../../data-plane/http/uws.ts";
import type { Tenant } from "../admission/tenants.ts";
import type { Generation } from "../listener.ts";

/** A socket and what the gateway admitted it by. */
export interface Admission {
  readonly tenant: Tenant;
  /** The API key that opened it. */
  readonly key: ApiKeyEntry | null;
  readonly generation: Generation;
  readonly requestId: string;
  readonly clientAddress: string;
  /** In milliseconds of performance.now(). */
  readonly openedMs: number;
}

/** Frames and bytes in both directions, seen from the gateway. */
export interface SocketTraffic {
  readonly framesIn: number;
  readonly bytesIn: number;
  readonly framesOut: number;
  readonly bytesOut: number;
}

export interface OpenSocket {
  readonly admission: Admission;
  readonly kind: "local" | "proxied";
  readonly traffic: SocketTraffic;
  clientOpened(client: WebSocket<SocketData>): void;
  /** @param message Valid during the call. */
  fromClient(message: ArrayBuffer, binary: boolean): void;
  pingFromClient(data: ArrayBuffer): void;
  clientDrained(): void;
  /** @param code 1005 and 1006 stand for a close frame without code, and none at all. */
  clientClosed(code: number, reason: string): void;
  /** Ends the socket from here, towards both sides. */
  close(code: number, reason: string): void;
}

/** What the server library keeps with a client's socket. It copies the fields of this object, methods are lost. */
export interface SocketData {
  readonly socket: OpenSocket;
}
