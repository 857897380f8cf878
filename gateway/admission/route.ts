/** Which service a path of a project belongs to, under what name the service knows it, and who may ask. Pure. */
import type { ServiceName } from "../../control-plane/client/config-snapshot.ts";
import type { GatewayErrorCode } from "../errors.ts";

/** `key`: a valid API key; `service_key`: one of the service role; `open`: the service decides for itself. */
export type Access = "key" | "service_key" | "open";

/** What a request counts against: each class has a token bucket of its own in every project. */
export const ROUTE_CLASSES = ["rest", "auth", "signin", "storage", "realtime"] as const;
export type RouteClass = (typeof ROUTE_CLASSES)[number];

export interface ProxyRoute {
  readonly kind: "proxy";
  readonly service: ServiceName;
  /** The path as the service knows it: percent-encoded, starting with `/`. */
  readonly path: string;
  /** What of the project's path was removed, such as `/rest/v1`. */
  readonly prefix: string;
  readonly access: Access;
  readonly routeClass: RouteClass;
  /** The route speaks WebSocket: a request without an upgrade is refused. */
  readonly socket: boolean;
  /** Signed by the client over its headers and query (S3): no credential may be changed. */
  readonly signed: boolean;
  /** Value of a Content-Profile header that the route adds. */
  readonly contentProfile?: string;
}

export type RouteMatch = ProxyRoute | { readonly kind: "reject"; readonly code: GatewayErrorCode };

/** Anything a path may hold that is not plain: then, and only then, it is looked at closely. */
const NEEDS_CARE = /\/\/|%|\/\.|[^\x21-\x7e]|[\\#]/;
/** Encoded slash, backslash, NUL and other controls, and a per cent sign without two hex digits. */
const FORBIDDEN_ESCAPE = /%(?:2f|5c|[01][0-9a-f]|7f|(?![0-9a-f]{2}))/i;
/** Letters, digits and `-._~`: an escape of them is another spelling of the same path (RFC 3986, 6.2.2.2). */
const ESCAPED_UNRESERVED = /%(?:2[de]|3\d|[46][1-9a-f]|5[\daf]|7[\dae])/gi;
const DOT_SEGMENT = /\/(?:\.|%2e){1,2}(?:\/|$)/i;
/** Paths of storage hold object keys and are signed over by S3 clients: they stay as the client wrote them. */
const STORAGE_PATH = /^(?:\/projects\/[a-z]{20})?\/storage\/v1\//;

/**
 * Merges repeated slashes, decodes needless escapes and encodes characters outside of ASCII; below storage's prefix it only
 * does the latter, for there a doubled slash is part of a key. Everything by which two parsers of one path could come to
 * different routes is refused: encoded separators, dot segments, backslashes, controls, fragments.
 * @returns Null when the path is refused.
 */
export function normalizePath(path: string): string | null {
  if (path.charCodeAt(0) !== 47 /* / */) return null;
  if (!NEEDS_CARE.test(path)) return path;
  if (FORBIDDEN_ESCAPE.test(path) || /[\\#\0-\x20\x7f]/.test(path)) return null;
  if (STORAGE_PATH.test(path)) return DOT_SEGMENT.test(path) ? null : encodeNonAscii(path);
  const decoded = path.replace(ESCAPED_UNRESERVED, decodeURIComponent);
  const merged = decoded.replace(/\/{2,}/g, "/");
  if (DOT_SEGMENT.test(merged)) return null;
  return encodeNonAscii(merged);
}

/** @returns Null for a lone surrogate. */
export function encodeNonAscii(text: string): string | null {
  if (!/[^\0-\x7f]/.test(text)) return text;
  try {
    return text.replace(/[^\0-\x7f]+/g, encodeURIComponent);
  } catch {
    return null;
  }
}

/** @param path Normalised, below the project's base: `/rest/v1/todos`. */
export function matchRoute(path: string): RouteMatch {
  const nameEnd = path.indexOf("/", 1);
  const name = nameEnd === -1 ? path.slice(1) : path.slice(1, nameEnd);
  switch (name) {
    case "rest":
      return versioned(path, "/rest/v1", restRoute);
    case "auth":
      return versioned(path, "/auth/v1", authRoute);
    case "storage":
      return versioned(path, "/storage/v1", storageRoute);
    case "realtime":
      return versioned(path, "/realtime/v1", realtimeRoute);
    case "graphql":
      return versioned(path, "/graphql/v1", graphqlRoute);
    case "functions":
    case "pg":
      return { kind: "reject", code: "service_not_available" };
    case "mcp":
    case "api":
      return { kind: "reject", code: "route_forbidden" };
    case ".well-known":
      return wellKnownRoute(path);
    case "sso":
      return path === "/sso/saml/acs" || path === "/sso/saml/metadata" ? openAuth(path, "") : NOT_FOUND;
    default:
      return NOT_FOUND;
  }
}

const NOT_FOUND: RouteMatch = { kind: "reject", code: "route_not_found" };

function versioned(path: string, prefix: string, route: (rest: string, prefix: string) => RouteMatch): RouteMatch {
  if (!path.startsWith(prefix)) return NOT_FOUND;
  if (path.length === prefix.length) return route("/", prefix);
  if (path.charCodeAt(prefix.length) !== 47 /* / */) return NOT_FOUND;
  return route(path.slice(prefix.length), prefix);
}

function proxy(service: ServiceName, path: string, prefix: string, access: Access, routeClass: RouteClass): ProxyRoute {
  return { kind: "proxy", service, path, prefix, access, routeClass, socket: false, signed: false };
}

/** The root describes every table (OpenAPI), which only the service key may see. */
function restRoute(rest: string, prefix: string): RouteMatch {
  return proxy("rest", rest, prefix, rest === "/" ? "service_key" : "key", "rest");
}

function graphqlRoute(_rest: string, prefix: string): RouteMatch {
  return { ...proxy("rest", "/rpc/graphql", prefix, "key", "rest"), contentProfile: "graphql_public" };
}

/** Followed from mails and identity providers, which know no API key. */
const OPEN_AUTH_PATHS =
  /^\/(?:verify|callback|authorize)(?:\/|$)|^\/(?:\.well-known\/jwks\.json|sso\/saml\/(?:acs|metadata))$/;
/** Each of them costs a password hash, a mail or a message: they share a smaller bucket. */
const SIGNIN_PATHS = /^\/(?:token|signup|otp|magiclink|recover|resend|verify)$/;

function authRoute(rest: string, prefix: string): RouteMatch {
  const routeClass = SIGNIN_PATHS.test(rest) ? "signin" : "auth";
  return proxy("auth", rest, prefix, OPEN_AUTH_PATHS.test(rest) ? "open" : "key", routeClass);
}

function openAuth(path: string, prefix: string): ProxyRoute {
  return proxy("auth", path, prefix, "open", "auth");
}

const OAUTH_METADATA = "/.well-known/oauth-authorization-server";

/** RFC 8414 puts the well-known part before the issuer's own path (`/auth/v1`), which the service is not told. */
function wellKnownRoute(path: string): RouteMatch {
  return path === OAUTH_METADATA || path.startsWith(`${OAUTH_METADATA}/`) ? openAuth(OAUTH_METADATA, "") : NOT_FOUND;
}

function storageRoute(rest: string, prefix: string): RouteMatch {
  const route = proxy("storage", rest, prefix, "open", "storage");
  return rest === "/s3" || rest.startsWith("/s3/") ? { ...route, signed: true } : route;
}

function realtimeRoute(rest: string, prefix: string): RouteMatch {
  if (rest === "/api" || rest.startsWith("/api/")) {
    if (/^\/api\/(?:tenants|openapi)(?:\/|$)/i.test(rest)) return { kind: "reject", code: "route_forbidden" };
    return proxy("realtime", rest, prefix, "key", "realtime");
  }
  // Clients of self-hosted servers may add the server's own prefix themselves.
  const path = rest.startsWith("/socket/") ? rest : `/socket${rest}`;
  return { ...proxy("realtime", path, prefix, "key", "realtime"), socket: true };
}
