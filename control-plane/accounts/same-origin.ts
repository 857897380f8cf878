/**
 * Whether a request that carries the session cookie was made by the dashboard. SameSite=Lax is not enough: a site is
 * not an origin, and the gateway serves pages of tenants on other ports of the same host.
 */
export interface BrowserRequest {
  readonly method: string;
  /** Header values; null when absent. */
  readonly origin: string | null;
  readonly host: string | null;
  readonly secFetchSite: string | null;
  /** Any value: a page of another origin cannot send it without a preflight, which is refused. */
  readonly clientHeader: string | null;
}

/** What scripts with a cookie jar send instead of an Origin, with any value. */
export const CLIENT_HEADER = "x-supalove-client";

/** Pure. GET never changes anything, and its answer is unreadable for other origins. */
export function isOwnOrigin(request: BrowserRequest, dashboardOrigins: readonly string[]): boolean {
  if (request.method === "GET") return true;
  if (request.origin !== null) return isAllowedOrigin(request.origin, request.host, dashboardOrigins);
  if (request.secFetchSite !== null) return request.secFetchSite === "same-origin";
  return request.clientHeader !== null;
}

/** The server's own origin or a configured one. `null`, as sandboxed pages send, is neither. */
export function isAllowedOrigin(origin: string, host: string | null, dashboardOrigins: readonly string[]): boolean {
  if (dashboardOrigins.includes(origin)) return true;
  if (!URL.canParse(origin)) return false;
  return host !== null && new URL(origin).host === host.toLowerCase();
}
