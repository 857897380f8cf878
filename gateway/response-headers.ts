/**
 * Which headers of a service's answer reach the client. All services' answers come through {@link clientHeaders},
 * whether the service was called or asked over HTTP.
 *
 * Under `/projects/<ref>` all projects have one origin, and a browser keeps many things by origin or by host: storage,
 * cookies, service workers, permissions, transport rules. What a project serves there is its people's own (a function
 * may answer with any header and any document), so what would act beyond the one answer is left out, and what a browser
 * could show as a document is confined to an origin that equals no other. On a host of its own a project may do as it
 * likes with its origin.
 */
import { checkedHeaderList, type HeaderList } from "../data-plane/http/header-list.ts";
import type { AdmittedRequest } from "./admission/admitted.ts";

/**
 * - `dropped`: never reaches the client.
 * - `own_origin`: only on a host of the project's own.
 * - `type`, `cookie`, `links`, `challenge`: decided by the value.
 */
type Rule = "passed" | "dropped" | "own_origin" | "type" | "cookie" | "links" | "challenge";

const RULES: ReadonlyMap<string, Rule> = new Map([
  // Nearly every answer has some of these: they are found at the first look.
  ...rules("passed", ["content-encoding", "content-range", "content-location", "content-profile", "location", "etag"]),
  ...rules("passed", ["vary", "server-timing", "cache-control", "last-modified", "accept-ranges", "retry-after"]),
  ...rules("passed", ["preference-applied", "content-language", "content-disposition"]),

  // Framing, hop by hop (RFC 9110, 7.6.1), what the server library writes itself, and CORS, which is the gateway's.
  ...rules("dropped", ["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"]),
  ...rules("dropped", ["transfer-encoding", "content-length", "date", "x-request-id"]),
  ...rules("dropped", ["proxy-authenticate", "proxy-authentication-info"]),
  ...rules("dropped", ["access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"]),
  ...rules("dropped", ["access-control-allow-credentials", "access-control-expose-headers"]),
  ...rules("dropped", ["access-control-max-age", "access-control-allow-private-network"]),

  // Orders to a proxy in front of the gateway: read this file, ask that address, run what is included, take this
  // server out of service. See also DROPPED_PREFIXES.
  ...rules("dropped", ["x-sendfile", "x-sendfile-temporary", "x-sendfile2", "surrogate-control", "edge-control"]),
  ...rules("dropped", ["x-lighttpd-send-file", "x-lighttpd-send-tempfile", "x-reproxy-url", "x-reproxy-file"]),
  ...rules("dropped", ["x-reproxy-expected-size", "x-esi"]),

  // Kept by browsers for the whole host or origin.
  ...rules("own_origin", ["strict-transport-security", "public-key-pins", "public-key-pins-report-only", "expect-ct"]),
  ...rules("own_origin", ["clear-site-data", "alt-svc", "accept-ch", "accept-ch-lifetime", "critical-ch"]),
  ...rules("own_origin", ["service-worker-allowed", "service-worker-navigation-preload", "use-as-dictionary"]),
  ...rules("own_origin", ["nel", "report-to", "reporting-endpoints", "origin-agent-cluster", "origin-policy"]),
  ...rules("own_origin", ["set-cookie2", "set-login", "activate-storage-access", "x-permitted-cross-domain-policies"]),
  ...rules("own_origin", ["observe-browsing-topics", "shared-storage-write", "origin-trial"]),
  // What a document may do or fetch ahead; none of it is of use in a sandbox.
  ...rules("own_origin", ["permissions-policy", "feature-policy", "document-policy", "require-document-policy"]),
  ...rules("own_origin", ["speculation-rules", "supports-loading-mode", "refresh", "x-dns-prefetch-control"]),
  // Written by the gateway; a second value could win.
  ...rules("own_origin", ["x-content-type-options"]),

  ["content-type", "type"],
  ["set-cookie", "cookie"],
  ["link", "links"],
  ["www-authenticate", "challenge"],
]);

/** Orders to nginx, Envoy and LiteSpeed, and the gateway's own headers towards services. */
const DROPPED_PREFIXES = /^x-(?:accel|envoy|litespeed|supalove)-/;
/** Families of headers by which a browser keeps something for the origin. */
const OWN_ORIGIN_PREFIXES = /^(?:sec-|secure-session-|attribution-reporting-|ad-auction-)/;

/**
 * Types of which no browser makes a document that runs or loads anything; PDF is shown by a viewer with an origin of
 * its own, and not at all in a sandbox. Everything else, also what two parsers could read differently (a list of types,
 * unusual parameters), counts as a document.
 */
const INERT_TYPE =
  /^(?:application\/(?:json|[\w.-]+\+json|octet-stream|pdf|gzip|zip|wasm|x-ndjson)|text\/(?:plain|csv|css|javascript|event-stream)|(?:image|audio|video|font)\/[\w.-]+)(?:; ?charset="?[\w-]+"?)?$/i;

/** Nearly all answers have one of these, as it is written here. */
const COMMON_INERT_TYPES: ReadonlySet<string> = new Set(["application/json; charset=utf-8", "application/json"]);

/** Relations that say where other things are (pages of a list), and make a browser fetch nothing. */
const LINK_RELATIONS: ReadonlySet<string> = new Set(
  "next prev previous first last self up canonical collection item describedby".split(" "),
);

/** Only challenges for tokens: for all other schemes browsers ask people for a password, in the name of the host. */
const BEARER_CHALLENGE = /^bearer(?: [\w-]+="[^"]*"(?:, ?[\w-]+="[^"]*")*)?$/i;

const PROTECTION = ["x-content-type-options", "nosniff"] as const;
const DOCUMENT_PROTECTION = ["content-security-policy", "sandbox"] as const;
const NONE: readonly string[] = [];

/**
 * @param headers Of the service's answer.
 * @param hopByHop Further names (lower-case) that were meant for the connection to the service alone.
 * @returns What the client gets, the gateway's own headers included.
 */
export function clientHeaders(
  { exchange, origin }: Pick<AdmittedRequest, "exchange" | "origin">,
  headers: HeaderList,
  hopByHop = NONE,
): HeaderList {
  const sharedOrigin = origin.isShared;
  const passed: string[] = [...exchange.ownHeaders()];
  let inertTypes = 0;
  let types = 0;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const value = headers[index + 1] as string;
    if (hopByHop.length > 0 && hopByHop.includes(name)) continue;
    const rule = ruleOf(name);
    if (rule === "dropped" || !mayPass(rule, sharedOrigin, value)) continue;
    if (rule === "type") {
      types += 1;
      if (isInertType(value)) inertTypes += 1;
    }
    passed.push(name, value);
  }
  if (sharedOrigin) {
    passed.push(...PROTECTION);
    if (types !== 1 || inertTypes !== 1) passed.push(...DOCUMENT_PROTECTION);
  }
  return checkedHeaderList(passed);
}

function mayPass(rule: Rule, sharedOrigin: boolean, value: string): boolean {
  switch (rule) {
    case "dropped":
      return false;
    case "own_origin":
      return !sharedOrigin;
    case "cookie":
      // Not for the domain above either: other projects have their hosts there.
      return !sharedOrigin && !/;\s*domain\s*=/i.test(value);
    case "links":
      return !sharedOrigin || linksAreHarmless(value);
    case "challenge":
      return !sharedOrigin || BEARER_CHALLENGE.test(value);
    default:
      return true;
  }
}

/** An underscore becomes the same variable as a dash in some proxies: two names for one header. */
function ruleOf(name: string): Rule {
  const rule = RULES.get(name);
  if (rule !== undefined) return rule;
  const dashed = name.includes("_") ? name.replaceAll("_", "-") : name;
  if (DROPPED_PREFIXES.test(dashed)) return "dropped";
  if (OWN_ORIGIN_PREFIXES.test(dashed)) return "own_origin";
  if (dashed === name) return "passed";
  const same = RULES.get(dashed);
  return same === "dropped" || same === "own_origin" ? same : "passed";
}

function isInertType(value: string): boolean {
  return COMMON_INERT_TYPES.has(value) || INERT_TYPE.test(value);
}

/** Every `rel` in the text counts, wherever it stands: a quoting that a browser reads differently gains nothing. */
function linksAreHarmless(value: string): boolean {
  for (const [, quoted, bare] of value.matchAll(/\brel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/gi)) {
    const relations = (quoted ?? bare ?? "").toLowerCase().split(/\s+/);
    if (!relations.every((relation) => LINK_RELATIONS.has(relation))) return false;
  }
  return true;
}

function rules(rule: Rule, names: readonly string[]): [string, Rule][] {
  return names.map((name) => [name, rule]);
}
