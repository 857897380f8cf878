/** What a request may do by its API key, and what its credentials become towards the service. Pure but for a memo. */
import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { ApiKeyEntry, GatewaySnapshot, RoleTokens } from "../../control-plane/client/config-snapshot.ts";
import { hashJwt, readJwt, tokensIn } from "../../control-plane/client/jwt.ts";
import type { GatewayErrorCode } from "../errors.ts";
import type { ProxyRoute } from "./route.ts";

const NONE: ReadonlySet<string> = new Set();
/** Of one project. */
const MAX_CLEARED = 1_000;
const MAX_CLEARED_CHARACTERS = 500_000;

/** The keys of one snapshot by their hash. */
export class KeyRing {
  readonly #byHash: ReadonlyMap<string, ApiKeyEntry>;
  /** Texts of listed keys seen so far, so that a known key costs no hash. Cannot outgrow the list. */
  readonly #seen = new Map<string, ApiKeyEntry>();
  readonly #revokedLegacy: ReadonlySet<string>;
  /** Values in which no revoked token was found: most requests come with one of a few tokens. */
  readonly #cleared: LRUCache<string, true> | null;

  constructor(keys: readonly ApiKeyEntry[]) {
    this.#byHash = new Map(keys.map((key) => [key.hash, key]));
    const revoked = keys.filter((key) => key.revoked && key.kind === "legacy");
    this.#revokedLegacy = revoked.length === 0 ? NONE : new Set(revoked.map((key) => key.hash));
    this.#cleared =
      revoked.length === 0
        ? null
        : new LRUCache({
            max: MAX_CLEARED,
            maxSize: MAX_CLEARED_CHARACTERS,
            sizeCalculation: (_true, key) => key.length,
          });
  }

  /**
   * The listed key with this text, revoked or not. The comparison is one of SHA-256 values: what its time could tell
   * about a hash does not help to find a key. The memo's keys are compared only after V8's seeded string hash has met.
   */
  find(key: string): ApiKeyEntry | null {
    const seen = this.#seen.get(key);
    if (seen) return seen;
    const entry = this.#byHash.get(hash("sha256", key, "hex"));
    if (!entry) return null;
    this.#seen.set(key, entry);
    return entry;
  }

  /**
   * Whether there is a revoked legacy key in a credential, whose signature is still good. Each token has one spelling
   * only (jwt.ts); another one is refused here as well, as an upstream that is not ours might take it. A value is
   * looked over once a snapshot, and costs no hash after that.
   */
  holdsRevokedToken(value: string): boolean {
    if (value === "" || this.#cleared === null || this.#cleared.has(value)) return false;
    if (tokensIn(value).some((token) => this.#revokedLegacy.has(hashJwt(token))) || isMisspelled(value)) return true;
    this.#cleared.set(value, true);
    return false;
  }
}

/** As the client sent them; an empty string for what it did not send. */
export interface Credentials {
  /** Header `apikey`. */
  readonly apikey: string;
  /** Header `authorization`. */
  readonly authorization: string;
  /** Raw query string; may hold `apikey`. */
  readonly query: string;
}

export type KeyDecision =
  | { readonly kind: "pass"; readonly credentials: Credentials; readonly key: ApiKeyEntry | null }
  | { readonly kind: "reject"; readonly code: GatewayErrorCode };

const BEARER_OPAQUE = /^bearer[\t ]+sb_/i;

/** Checks the key and translates opaque keys into the role tokens that services understand. */
export function decideCredentials(
  snapshot: Pick<GatewaySnapshot, "requireApiKey" | "roleTokens">,
  keys: KeyRing,
  route: Pick<ProxyRoute, "access" | "service" | "signed" | "socket">,
  sent: Credentials,
): KeyDecision {
  const queryKey = mayHoldApiKey(sent.query) ? splitApiKey(sent.query) : null;
  const presented = sent.apikey || (queryKey?.apikey ?? "");
  const key = presented === "" ? null : keys.find(presented);
  const refusal = refuse(snapshot, keys, route, presented, key, sent.authorization);
  if (refusal) return { kind: "reject", code: refusal };
  if (route.signed) return { kind: "pass", credentials: sent, key };

  const translated = key && key.kind !== "legacy" ? snapshot.roleTokens[key.role] : presented;
  const apikey = key === null && presented.startsWith("sb_") ? "" : translated;
  return {
    kind: "pass",
    key,
    credentials: {
      apikey: sent.apikey === "" && queryKey === null ? "" : apikey,
      authorization: translateAuthorization(route, sent.authorization, apikey, key),
      query: queryKey ? joinQuery(queryKey.others, route.service === "rest" ? "" : apikey) : sent.query,
    },
  };
}

function refuse(
  snapshot: Pick<GatewaySnapshot, "requireApiKey" | "roleTokens">,
  keys: KeyRing,
  route: Pick<ProxyRoute, "access">,
  presented: string,
  key: ApiKeyEntry | null,
  authorization: string,
): GatewayErrorCode | null {
  if (key?.revoked) return "api_key_invalid";
  if (keys.holdsRevokedToken(presented) || keys.holdsRevokedToken(authorization)) return "api_key_invalid";
  if (holdsRoleToken(snapshot.roleTokens, presented) || holdsRoleToken(snapshot.roleTokens, authorization)) {
    return "api_key_invalid";
  }
  if (route.access === "open") return null;
  const required = snapshot.requireApiKey || route.access === "service_key";
  if (required && presented === "") return "api_key_missing";
  if (required && !key) return "api_key_invalid";
  if (route.access === "service_key" && key?.role !== "service_role") return "service_key_required";
  return null;
}

function isMisspelled(value: string): boolean {
  const bare = value.replace(/^bearer[\t ]+/i, "").trim();
  if (/[\s,]/.test(bare) || bare.split(".", 4).length !== 3) return false;
  const reading = readJwt(bare);
  return reading.kind === "fault" && reading.fault === "encoding";
}

/** Only the gateway itself may say these. */
function holdsRoleToken({ anon, service_role }: RoleTokens, value: string): boolean {
  return (
    value !== "" && ((anon !== "" && value.includes(anon)) || (service_role !== "" && value.includes(service_role)))
  );
}

/**
 * A token of the client's own wins over its API key. Without one the key stands in, but on auth a legacy key does not:
 * it is sent beside a user's token, and is none itself. An opaque bearer is never passed on.
 */
function translateAuthorization(
  route: Pick<ProxyRoute, "service" | "socket">,
  authorization: string,
  apikey: string,
  key: ApiKeyEntry | null,
): string {
  const opaque = BEARER_OPAQUE.test(authorization);
  if (authorization !== "" && !opaque) return authorization;
  if (route.socket || apikey === "") return "";
  if (authorization === "" && route.service === "auth" && (key === null || key.kind === "legacy")) return "";
  return key ? `Bearer ${apikey}` : apikey;
}

/** A cheap look: only a query with the name in it, or with an escape in some name, is taken apart. */
function mayHoldApiKey(query: string): boolean {
  return query !== "" && (query.includes("apikey") || (query.includes("%") && /(?:^|&)[^=&]*%/.test(query)));
}

/** @returns The first `apikey` and the other parameters as they were; null when there is no `apikey`. */
function splitApiKey(query: string): { apikey: string; others: string } | null {
  let apikey: string | null = null;
  const others: string[] = [];
  for (const pair of query.split("&")) {
    const equals = pair.indexOf("=");
    const name = equals === -1 ? pair : pair.slice(0, equals);
    if (decodePercent(name) !== "apikey") others.push(pair);
    else apikey ??= equals === -1 ? "" : decodePercent(pair.slice(equals + 1));
  }
  return apikey === null ? null : { apikey, others: others.join("&") };
}

/** Every spelling of `apikey` in the query is replaced by one, so that no service can read another than was checked. */
function joinQuery(others: string, apikey: string): string {
  if (apikey === "") return others;
  const pair = `apikey=${encodeURIComponent(apikey)}`;
  return others === "" ? pair : `${others}&${pair}`;
}

function decodePercent(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return text;
  }
}
