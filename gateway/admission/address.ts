/** Which project a request is for: by path, by host label or by a host of the project's own. */
import { isIP } from "node:net";
import { isProjectRef, type ProjectRef } from "../../control-plane/client/config-snapshot.ts";

export type Address =
  /** `/projects/<ref>/…`; `path` is what follows the ref. */
  | { readonly kind: "path"; readonly ref: ProjectRef; readonly path: string }
  /** `<ref>.<base domain>`. */
  | { readonly kind: "host"; readonly ref: ProjectRef }
  /** A host that is none of ours: perhaps a project's custom host. `fallback` holds when it is not. */
  | { readonly kind: "custom"; readonly host: string; readonly fallback: Address }
  /** The gateway itself: health, metrics, or nothing at all. */
  | { readonly kind: "gateway" };

export interface GatewayHosts {
  /** Projects are reached as `<ref>.<base domain>`; lower-case. */
  readonly baseDomains: readonly string[];
  /** Further names of the gateway itself, under which `/projects/<ref>` works without asking for a custom host. */
  readonly ownHosts: readonly string[];
}

const PROJECTS = "/projects/";
const REF_LENGTH = 20;
const GATEWAY: Address = { kind: "gateway" };
const OAUTH_METADATA = "/.well-known/oauth-authorization-server";

/** A DNS name of 253 characters, a dot behind it, a colon and a port. */
const MAX_HOST_CHARACTERS = 260;

/** Lower-case, without port and trailing dot; null for anything that is no host. */
export function parseHost(header: string): { readonly name: string; readonly port: string } | null {
  if (header.length > MAX_HOST_CHARACTERS) return null;
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+?)\.?(?::(\d{1,5}))?$/.exec(header.toLowerCase());
  return match ? { name: match[1] as string, port: match[2] ?? "" } : null;
}

/** What a host name means, whatever the path. */
export type HostKind =
  /** The gateway's own: projects are found by path. */
  | { readonly kind: "own" }
  | { readonly kind: "project"; readonly ref: ProjectRef }
  /** Perhaps a project's custom host. */
  | { readonly kind: "foreign" };

/**
 * Nothing at or below a base domain is ever a custom host: whoever had such a name would get what is meant for others.
 * @param name As {@link parseHost} gives it.
 */
export function classifyHost(hosts: GatewayHosts, name: string): HostKind {
  let isBelow = false;
  for (const domain of hosts.baseDomains) {
    if (name === domain) return { kind: "own" };
    if (!name.endsWith(`.${domain}`)) continue;
    const label = name.slice(0, -domain.length - 1);
    if (isProjectRef(label)) return { kind: "project", ref: label };
    isBelow = true;
  }
  const own = isBelow || hosts.ownHosts.includes(name) || isIP(name.replace(/^\[|\]$/g, "")) !== 0;
  return own ? { kind: "own" } : { kind: "foreign" };
}

/**
 * On a host that belongs to one project the path form is off: otherwise one project could serve its pages under the
 * origin of another.
 * @param path Normalised.
 */
export function locate(host: HostKind, hostName: string, path: string): Address {
  switch (host.kind) {
    case "own":
      return byPath(path);
    case "project":
      return { kind: "host", ref: host.ref };
    case "foreign":
      return { kind: "custom", host: hostName, fallback: byPath(path) };
  }
}

function byPath(path: string): Address {
  if (path.startsWith(PROJECTS)) {
    const end = PROJECTS.length + REF_LENGTH;
    const ref = path.slice(PROJECTS.length, end);
    if (isProjectRef(ref) && (path.length === end || path.charCodeAt(end) === 47) /* / */) {
      return { kind: "path", ref, path: path.slice(end) || "/" };
    }
  }
  // RFC 8414: the well-known part stands before the path of the issuer, `/projects/<ref>/auth/v1`.
  if (path.startsWith(`${OAUTH_METADATA}${PROJECTS}`)) {
    const inner = byPath(path.slice(OAUTH_METADATA.length));
    if (inner.kind === "path") return { ...inner, path: OAUTH_METADATA };
  }
  return GATEWAY;
}
