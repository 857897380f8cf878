/**
 * What a service with WebSockets is, beside `service.ts`: it looks at the opening handshake and answers with a handler
 * or a refusal. The gateway serves it on its own port (a local upstream) or reaches it through http-host.ts in another
 * process; the service cannot tell the difference.
 */
import type { ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";
import type { ServiceRequest, ServiceResponse } from "./service.ts";

/** The opening handshake; its headers are those that a plain request would have. Aborted when the client goes away. */
export type SocketRequest = Omit<ServiceRequest, "method" | "body">;

/** The client's end of an open WebSocket, as its host lends it to the handler. Harmless once it is closed. */
export interface ClientSocket {
  /** Takes the frame over at once; what the client does not take yet counts in {@link bufferedBytes}. */
  send(data: string | Uint8Array, isBinary: boolean): void;
  /** What `work` sends goes out in one piece. */
  cork(work: () => void): void;
  /** Bytes that the client has not taken yet. The handler closes a client that falls too far behind. */
  readonly bufferedBytes: number;
  /** Sends a close frame; {@link SocketHandler.closed} follows, before this returns or later. */
  close(code: number, reason: string): void;
  /** Breaks the connection without waiting for what the client has not taken. */
  terminate(): void;
}

/** One WebSocket as its service sees it. Its methods are called in turn and must not throw. */
export interface SocketHandler {
  /** Once, before anything else; left out when the client is gone before the handshake is over. */
  opened(client: ClientSocket): void;
  /** @param data Valid during the call. */
  message(data: ArrayBuffer, isBinary: boolean): void;
  /** The client has taken some of what was buffered. */
  drained(): void;
  /** Once, last. @param code As in RFC 6455, 7.4; 1005 without a code, 1006 without a close frame. */
  closed(code: number): void;
}

export type SocketOpening =
  | { readonly kind: "accept"; readonly handler: SocketHandler }
  | { readonly kind: "refuse"; readonly response: ServiceResponse };

/** Never throws for a request's fault; what it throws becomes a bare 500. */
export type SocketService = (
  request: SocketRequest,
  project: ServiceSnapshot,
) => SocketOpening | Promise<SocketOpening>;

/** Largest frame of a client, in bytes; the server library drops the connection on a larger one. */
export const MAX_FRAME_BYTES = 5_000_000;

/** Close codes that our hosts and services give (RFC 6455, 7.4, and its registry). */
export const CLOSE = {
  goingAway: 1001,
  policy: 1008,
  tooBig: 1009,
  /** The server is restarting: clients connect again. Never 1000, which older clients take as final. */
  restart: 1012,
  overloaded: 1013,
} as const;
