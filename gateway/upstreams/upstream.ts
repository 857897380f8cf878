/** What the gateway sends to a service, and the one interface behind which a service is a call or a socket. */
import type { ServiceName } from "../../control-plane/client/config-snapshot.ts";
import type { AdmittedRequest } from "../admission/admitted.ts";

/** How long a service may take. */
export interface ServiceTimeouts {
  /** From the request's last byte to the response's head. */
  readonly responseMs: number;
  /** Between two pieces of a body, in either direction. */
  readonly idleMs: number;
}

export type Timeouts = Readonly<Record<ServiceName, ServiceTimeouts>>;

/** Storage counts by idleness, because an upload takes as long as it takes. */
export const DEFAULT_TIMEOUTS: Timeouts = {
  rest: { responseMs: 30_000, idleMs: 30_000 },
  auth: { responseMs: 30_000, idleMs: 30_000 },
  storage: { responseMs: 120_000, idleMs: 60_000 },
  realtime: { responseMs: 30_000, idleMs: 60_000 },
};

export interface Upstream {
  /** Takes the request over: ends it with a response or an error, and stops when the client goes. Never throws. */
  send(admitted: AdmittedRequest): void;
}

/**
 * Headers of the request towards a service, names and values in turn, without Host and framing: what the client sent,
 * its credentials as translated, and what the gateway says about the client.
 */
export function upstreamHeaders(admitted: AdmittedRequest): string[] {
  const { exchange, route, credentials, origin } = admitted;
  const { request, forwarded } = exchange;
  const headers =
    route.contentProfile === undefined ? [...request.passed] : withoutHeader(request.passed, "content-profile");
  if (credentials.apikey !== "") headers.push("apikey", credentials.apikey);
  if (credentials.authorization !== "") headers.push("authorization", credentials.authorization);
  if (request.origin !== "") headers.push("origin", request.origin);
  // On a shared origin a cookie was set by somebody else: another project, or the dashboard on another port.
  if (request.cookie !== "" && !origin.isShared) headers.push("cookie", request.cookie);
  if (route.contentProfile !== undefined) headers.push("content-profile", route.contentProfile);
  headers.push("x-request-id", exchange.requestId, "x-forwarded-for", forwarded.forwardedFor);
  headers.push("x-forwarded-proto", forwarded.proto, "x-forwarded-host", forwarded.host);
  headers.push("x-forwarded-prefix", publicPath(admitted));
  return headers;
}

function withoutHeader(pairs: readonly string[], name: string): string[] {
  return pairs.filter((_part, index) => pairs[index - (index % 2)] !== name);
}

/** Path of the service's root as the client sees it: `/projects/<ref>/rest/v1`, or `/rest/v1` on a host of its own. */
export function publicPath({ tenant, route, origin }: Pick<AdmittedRequest, "tenant" | "route" | "origin">): string {
  return origin.isShared ? `/projects/${tenant.snapshot.projectRef}${route.prefix}` : route.prefix;
}
