/** Which URLs a visitor may be sent to after a link or a sign-in. A bad one is never an error: the next candidate is tried. */
import { isIP } from "node:net";
import { compileGlob, type Glob, globBudget } from "./glob.ts";

const MAX_URL_LENGTH = 4096;

export interface RedirectPolicy {
  readonly siteUrl: string;
  readonly uriAllowList: readonly string[];
}

/** Candidates in the order in which they count: header, query or form, referer. The first valid one, else the site URL. */
export function chooseRedirect(candidates: readonly (string | undefined)[], policy: RedirectPolicy): string {
  for (const candidate of candidates) {
    if (candidate && isAllowedRedirect(candidate, policy)) return candidate;
  }
  return policy.siteUrl;
}

/** Same origin as the site (any path), or loopback by address, or matched by a pattern of the allow-list. */
export function isAllowedRedirect(candidate: string, policy: RedirectPolicy): boolean {
  const url = parseUrl(candidate);
  if (!url) return false;
  const site = parseUrl(policy.siteUrl);
  if (site && isSameSite(url, site)) return true;
  const host = hostOf(url);
  if (/^\d+$/.test(host)) return false; // an IPv4 address in disguise
  if (isIP(host)) return isLoopback(host);
  const isWeb = url.protocol === "http:" || url.protocol === "https:";
  if (isWeb && !/^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(host)) return false;
  const [withoutFragment = ""] = candidate.split("#");
  const budget = globBudget();
  return policy.uriAllowList.some((pattern) => globOf(pattern)?.(withoutFragment, budget) ?? false);
}

/**
 * The WHATWG parser, made stricter: it repairs what it is given (`http:\\evil`, line breaks, `０` for `0`), and what is
 * compared with the allow-list must be what a browser will follow.
 */
function parseUrl(text: string): URL | null {
  if (text.length > MAX_URL_LENGTH || /[\u0000-\u0020\\]/.test(text)) return null;
  const authority = /^[A-Za-z][A-Za-z0-9+.-]*:(?:\/\/([^/?#]*))?/.exec(text);
  if (!authority) return null;
  if (/[^\x21-\x7e]|@/.test(authority[1] ?? "")) return null; // `good.com@evil.com` is evil.com to a browser
  if (/^(?:https?|wss?|ftp|file):(?!\/\/[^/])/i.test(text)) return null;
  try {
    const url = new URL(text);
    // The parser turns `2130706433` and `0x7f.1` into 127.0.0.1: a host must be written as it is meant.
    const written = (authority[1] ?? "").replace(/:\d*$/, "").toLowerCase();
    return written === url.hostname.toLowerCase() ? url : null;
  } catch {
    return null;
  }
}

const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, "").toLowerCase();

function isSameSite(url: URL, site: URL): boolean {
  if (url.protocol !== site.protocol || hostOf(url) !== hostOf(site)) return false;
  return url.port === site.port || isLocalName(hostOf(site));
}

function isLocalName(host: string): boolean {
  return ["localhost", "127.0.0.1", "::1", "0.0.0.0", "::"].includes(host) || host.endsWith(".localhost");
}

const isLoopback = (address: string): boolean => address === "::1" || address.startsWith("127.");

/** Compiled patterns; a project has a handful and they come again with every request. */
const compiled = new Map<string, Glob | null>();
const MAX_COMPILED = 5000;

function globOf(pattern: string): Glob | null {
  const known = compiled.get(pattern);
  if (known !== undefined) return known;
  if (compiled.size >= MAX_COMPILED) compiled.clear();
  const glob = pattern.length > MAX_URL_LENGTH ? null : compileGlob(pattern);
  compiled.set(pattern, glob);
  return glob;
}
