/** What the primary process and its serving processes tell each other over the channel between them. */
import type { Maxima } from "../../control-plane/client/maxima.ts";
import type { LogLevel } from "../../control-plane/logger.ts";
import type { StorageOptions } from "../../data-plane/storage/backend/storage-options.ts";

/** All that a serving process is told; it reads no environment of its own. Passed over the channel: it holds secrets. */
export interface WorkerSettings {
  /** Name of its place, such as `worker-0`. A process that replaces another has the same. */
  readonly slot: string;
  /** Names of all places; a project belongs to one of them. */
  readonly slots: readonly string[];
  readonly controlPlaneUrl: string;
  readonly gatewayToken: string;
  readonly serviceToken: string;
  /** Shared by all serving processes of this start: by it they know each other's requests. */
  readonly peerToken: string;
  readonly host: string;
  readonly gatewayPort: number;
  readonly publicGatewayUrl: string;
  readonly baseDomains: readonly string[];
  /** Addresses or CIDR ranges of proxies whose X-Forwarded-* headers are believed. */
  readonly trustedProxies: readonly string[];
  /** No project gets more, whatever its settings say; what is held in memory is shared out between the slots. */
  readonly maxima: Maxima;
  /** Connections to project databases that this process may hold. */
  readonly maxDatabaseConnections: number;
  /** Where the bytes of objects lie. */
  readonly storage: StorageOptions;
  readonly logLevel: LogLevel;
}

/** Origins at which the serving processes take each other's requests, by slot; one that is not up is left out. */
export type PeerOrigins = Readonly<Record<string, string>>;

export type ToWorker =
  | { readonly kind: "start"; readonly settings: WorkerSettings }
  | { readonly kind: "peers"; readonly origins: PeerOrigins; readonly replacements: number }
  /** @param isReplaced Another process has its place: connections that clients keep open are sent away gently. */
  | { readonly kind: "stop"; readonly isReplaced: boolean };

export type FromWorker =
  | { readonly kind: "ready"; readonly peerOrigin: string | null }
  /** It cannot start; the message is a sentence for people. */
  | { readonly kind: "failed"; readonly message: string }
  /** Its event loop turns. */
  | { readonly kind: "alive" }
  /** Somebody has told this process alone to end, and it waits for its replacement. */
  | { readonly kind: "leaving" };

/** How often a serving process shows that its event loop turns. */
export const ALIVE_MS = 250;
