/** The payload of `phx_join`: every part may be missing, and what is not as it should be takes its default. */

/** One entry of `config.postgres_changes`, as it came. */
export type RequestedBinding = Readonly<Record<string, unknown>>;

export interface JoinConfig {
  readonly ack: boolean;
  readonly self: boolean;
  readonly replicationReady: boolean;
  /** Undefined when no replay is asked for; null when it is asked for in a way that means nothing. */
  readonly replay: { readonly sinceMs: number; readonly limit: number } | null | undefined;
  /** Empty: the service makes one. */
  readonly presenceKey: string;
  readonly presenceEnabled: boolean;
  readonly bindings: readonly RequestedBinding[];
  readonly isPrivate: boolean;
  /** Null: the token of the connection. */
  readonly token: string | null;
}

const MAX_REPLAYED = 25;

export function parseJoinConfig(payload: unknown): JoinConfig {
  const top = objectOf(payload);
  const config = objectOf(top.config);
  const broadcast = objectOf(config.broadcast);
  const presence = objectOf(config.presence);
  const changes = Array.isArray(config.postgres_changes) ? config.postgres_changes : [];
  return {
    ack: flagOf(broadcast.ack),
    self: flagOf(broadcast.self),
    replicationReady: flagOf(broadcast.replication_ready),
    replay: broadcast.replay == null ? undefined : replayOf(objectOf(broadcast.replay)),
    presenceKey: typeof presence.key === "string" ? presence.key : "",
    // Clients from before there was such a flag want what they always had.
    presenceEnabled: presence.enabled === undefined ? config.presence != null : flagOf(presence.enabled),
    bindings: changes.filter((entry): entry is RequestedBinding => typeof entry === "object" && entry !== null),
    isPrivate: flagOf(config.private),
    token: tokenOf(top),
  };
}

function replayOf({ since, limit = MAX_REPLAYED }: Readonly<Record<string, unknown>>): JoinConfig["replay"] {
  if (!Number.isSafeInteger(since) || !Number.isSafeInteger(limit)) return null;
  return { sinceMs: since as number, limit: Math.min(MAX_REPLAYED, Math.max(1, limit as number)) };
}

/** `user_token` is the name of old clients. An API key in its place means the connection's own token. */
function tokenOf(payload: Readonly<Record<string, unknown>>): string | null {
  for (const token of [payload.user_token, payload.access_token]) {
    if (typeof token === "string" && token !== "") return token.startsWith("sb_") ? null : token;
  }
  return null;
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function flagOf(value: unknown): boolean {
  return value === true || (typeof value === "string" && value.toLowerCase() === "true");
}
