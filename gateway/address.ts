/** Which project a request is for: by path, by host label or by a host of the project's own. */
import { isIP } from "node:net";
import { isProjectRef, type ProjectRef } from "../control-plane/client/config-snapshot.ts";

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

/** Lower-case, without port and trailing dot; null for anything that is no host. */
export function parseHost(header: string): { readonly name: string; readonly port: string } | null {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9_.-]+?)\.?(?::(\d{1,5}))?$/.exec(header.toLowerCase());
  return match ? { name: match[1] as string, port: match[2] ?? "" } : null;
}

/**
 * On a host that belongs to one project the path form is off: otherwise one project could serve its pages under the
 * origin of another.
 * @param hostName As {@link parseHost} gives it.
 * @param path Normalised.
 */
export function locate(hosts: GatewayHosts, hostName: string, path: string): Address {
  for (const domain of hosts.baseDomains) {
    if (hostName === domain) return byPath(path);
    if (hostName.length === REF_LENGTH + 1 + domain.length && hostName.endsWith(`.${domain}`)) {
      const label = hostName.slice(0, REF_LENGTH);
      if (isProjectRef(label)) return { kind: "host", ref: label };
    }
  }
  if (hosts.ownHosts.includes(hostName) || isIP(hostName.replace(/^\[|\]$/g, "")) !== 0) return byPath(path);
  return { kind: "custom", host: hostName, fallback: byPath(path) };
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
