/** Cross-origin requests, for the form that has nobody in front to answer them. */
import type { ServiceRequest, ServiceResponse } from "../service.ts";
import type { RestConfig } from "./config.ts";
import type { Header } from "./error.ts";

const METHODS = "GET, POST, PATCH, PUT, DELETE, OPTIONS, HEAD";
const EXPOSED =
  "Content-Encoding, Content-Location, Content-Range, Content-Type, Date, Location, Server, Transfer-Encoding, Range-Unit";
const MAX_AGE_SECONDS = "86400";

/** The answer to a preflight request; null for any other. */
export function preflightResponse(config: RestConfig, request: ServiceRequest): ServiceResponse | null {
  const { method, headers } = request;
  if (config.cors === "off" || method !== "OPTIONS") return null;
  if (headers.origin === undefined || headers["access-control-request-method"] === undefined) return null;
  const requested = (headers["access-control-request-headers"] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => /^[\w!#$%&'*+.^`|~-]+$/.test(name));
  const allowed = ["Authorization", ...requested, "Accept", "Accept-Language", "Content-Language"];
  return {
    status: 200,
    headers: [
      ...originHeaders(config.cors.allowedOrigins, headers.origin),
      ["Access-Control-Allow-Methods", METHODS],
      ["Access-Control-Allow-Headers", allowed.join(", ")],
      ["Access-Control-Max-Age", MAX_AGE_SECONDS],
    ],
    body: "",
  };
}

/** Headers of every other response. */
export function corsHeaders(config: RestConfig, origin: string | undefined): readonly Header[] {
  if (config.cors === "off") return [];
  const headers = originHeaders(config.cors.allowedOrigins, origin);
  return origin === undefined ? headers : [...headers, ["Access-Control-Expose-Headers", EXPOSED]];
}

function originHeaders(allowed: readonly string[], origin: string | undefined): readonly Header[] {
  if (allowed.length === 0) return [["Access-Control-Allow-Origin", "*"]];
  if (origin === undefined || !allowed.includes(origin)) return [];
  return [
    ["Access-Control-Allow-Origin", origin],
    ["Access-Control-Allow-Credentials", "true"],
  ];
}
