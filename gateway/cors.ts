/** CORS is the gateway's alone: what services say about it is dropped. */
import { type HeaderList, headerList } from "../data-plane/http/header-list.ts";

const METHODS = "GET, HEAD, PUT, PATCH, POST, DELETE, OPTIONS";
/** Beyond what browsers always show: counts, paging, resumable uploads, API versions, limits. */
const EXPOSED = [
  "content-range, content-location, content-encoding, content-profile, content-disposition, preference-applied, link",
  "location, etag, retry-after, server-timing, x-total-count, x-request-id, x-supabase-api-version, x-relay-error",
  "sb-gateway-version, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset",
  "tus-resumable, tus-version, tus-extension, tus-max-size, upload-offset, upload-length, upload-expires, upload-metadata",
].join(", ");

const ANY_ORIGIN = headerList(["access-control-allow-origin", "*"]);
const ANY_ORIGIN_BROWSER = headerList([...ANY_ORIGIN, "access-control-expose-headers", EXPOSED]);
const OTHER_ORIGIN = headerList(["vary", "Origin"]);

export interface Preflight {
  readonly origin: string;
  /** Access-Control-Request-Headers, echoed: a fixed list would break the next version of a client. */
  readonly requestedHeaders: string;
}

export class CorsPolicy {
  /** Null: all. */
  readonly #origins: ReadonlySet<string> | null;

  /** @param origins Origins such as `https://app.example`; `*` among them allows all. */
  constructor(origins: readonly string[]) {
    this.#origins = origins.includes("*") ? null : new Set(origins.map((origin) => origin.toLowerCase()));
  }

  /** Headers of a response. @param origin Of the request; empty when it is no browser's. */
  responseHeaders(origin: string): HeaderList {
    if (this.#origins === null) return origin === "" ? ANY_ORIGIN : ANY_ORIGIN_BROWSER;
    if (!this.#origins.has(origin.toLowerCase())) return OTHER_ORIGIN;
    return headerList([
      "access-control-allow-origin",
      origin,
      "access-control-expose-headers",
      EXPOSED,
      "vary",
      "Origin",
    ]);
  }

  preflightHeaders({ origin, requestedHeaders }: Preflight): readonly string[] {
    const allowed = this.#origins === null || this.#origins.has(origin.toLowerCase());
    const headers = ["vary", "Origin, Access-Control-Request-Headers"];
    if (!allowed) return headers;
    headers.push("access-control-allow-origin", this.#origins === null ? "*" : origin);
    headers.push("access-control-allow-methods", METHODS, "access-control-max-age", "3600");
    if (requestedHeaders !== "") headers.push("access-control-allow-headers", requestedHeaders);
    return headers;
  }
}

/** For projects that admit all, and for addresses of which no project is known: a browser may read the error. */
export const OPEN_CORS = new CorsPolicy(["*"]);
