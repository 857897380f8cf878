/** Which headers of a request the gateway reads, drops or passes on. Those of an answer are in response-headers.ts. */

/** Read by the gateway; sent twice, they refuse the request. */
const SINGLE_HEADERS = [
  "host",
  "apikey",
  "authorization",
  "content-length",
  "transfer-encoding",
  "content-type",
  "origin",
] as const;

/** What the gateway does with a request header of this name. Everything else is passed on as it came. */
export const REQUEST_HEADERS: ReadonlyMap<string, "read" | "drop" | "single"> = new Map([
  ...names("read", ["x-request-id", "cookie", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]),
  ...names("read", ["access-control-request-method", "access-control-request-headers", "service-worker"]),
  // They describe the message or decide about credentials: two of them would be two readings of one request.
  ...names("single", SINGLE_HEADERS),
  // Hop by hop (RFC 9110, 7.6.1). Expect is answered by the server library.
  ...names("drop", ["keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect", "http2-settings"]),
  ...names("drop", ["proxy-authenticate", "proxy-authorization", "proxy-authentication-info"]),
  // Only the gateway may say these to a service.
  ...names("drop", ["x-api-key", "sb-api-key", "x-connection-encrypted", "forwarded", "x-real-ip", "proxy"]),
  ...names("drop", ["cf-connecting-ip", "true-client-ip", "x-client-ip", "x-cluster-client-ip", "fly-client-ip"]),
  ...names("drop", ["x-original-url", "x-original-uri", "x-rewrite-url", "x-http-method-override"]),
] as const);

/** Names under these prefixes are the gateway's own towards services; a client's are dropped. */
const RESERVED_PREFIXES = ["x-forwarded-", "x-supalove-", "x-envoy-", "x-consumer-"] as const;

/** @param name Lower-case, not in {@link REQUEST_HEADERS}. */
export function isReserved(name: string): boolean {
  return name.startsWith("x-") && RESERVED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

const NONE: readonly string[] = [];

/** Names listed in a Connection header, lower-case, without the common `keep-alive` and `close`. */
export function connectionOptions(value: string): readonly string[] {
  const lower = value.toLowerCase();
  if (lower === "" || lower === "keep-alive" || lower === "close") return NONE;
  return lower
    .split(",")
    .map((option) => option.trim())
    .filter((option) => option !== "" && option !== "keep-alive" && option !== "close");
}

function names<K extends string>(kind: K, list: readonly string[]): [string, K][] {
  return list.map((name) => [name, kind]);
}
