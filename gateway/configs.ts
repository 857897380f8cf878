/** The part of the config cache (control-plane/client) that the gateway uses. */
import type { ConfigCacheStatus } from "../control-plane/client/config-cache.ts";
import type { GatewaySnapshot, ProjectRef } from "../control-plane/client/config-snapshot.ts";

export interface GatewayConfigs {
  /** Undefined: not cached; null: known not to exist. */
  peek(ref: ProjectRef): GatewaySnapshot | null | undefined;
  /** @throws When the control plane cannot be reached and nothing is cached. */
  get(ref: ProjectRef): Promise<GatewaySnapshot | null>;
  /** The project with this custom host; as {@link peek}. */
  peekByHost(host: string): GatewaySnapshot | null | undefined;
  getByHost(host: string): Promise<GatewaySnapshot | null>;
  /** Whether changes arrive; while they do not, what is known is served. */
  status(): Pick<ConfigCacheStatus, "connected" | "disconnectedSince" | "entries">;
  /** @returns A function that ends the subscription. */
  onChange(
    listener: (change: { readonly projectRef: ProjectRef; readonly snapshot: GatewaySnapshot | null }) => void,
  ): () => void;
}
