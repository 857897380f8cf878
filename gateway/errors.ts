/** Everything the gateway itself refuses: one catalogue, rendered in the shape that the service's client library reads. */
import type { ServiceName } from "../control-plane/client/config-snapshot.ts";
import { statusLine } from "../data-plane/http/response-channel.ts";

export const ERROR_CATALOGUE = {
  invalid_request_target: { status: 400, message: "The request path is not valid" },
  invalid_header: { status: 400, message: "A request header is not valid" },
  api_key_missing: {
    status: 401,
    message: "No API key found in request",
    hint: "No `apikey` request header or url param was found.",
  },
  api_key_invalid: {
    status: 401,
    message: "Invalid API key",
    hint: "Double check your Supabase `anon` or `service_role` API key.",
  },
  service_key_required: { status: 403, message: "You cannot consume this service" },
  route_forbidden: { status: 403, message: "This route is not open to the public" },
  service_worker_forbidden: {
    status: 403,
    message: "Service workers need a host of the project's own",
    hint: "Under /projects/<ref> all projects share one origin. Use <ref>.<base domain> or a custom host.",
  },
  project_not_found: { status: 404, message: "Project not found" },
  route_not_found: { status: 404, message: "no Route matched with those values" },
  method_not_allowed: { status: 405, message: "Method not allowed" },
  request_timeout: { status: 408, message: "The client did not go on with its request in time" },
  body_too_large: { status: 413, message: "The request body is larger than the project allows" },
  request_target_too_long: { status: 414, message: "The request path and query are longer than 48 KiB" },
  upgrade_required: { status: 400, message: "This route speaks WebSocket only" },
  invalid_upgrade: { status: 400, message: "The opening of the WebSocket is not valid" },
  unsupported_websocket_version: { status: 426, message: "This server speaks version 13 of the WebSocket protocol" },
  upgrade_refused: { status: 400, message: "This route does not speak WebSocket" },
  over_request_rate_limit: { status: 429, message: "Request rate limit of the project reached" },
  too_many_concurrent_requests: { status: 429, message: "Too many requests of the project are in flight" },
  too_many_bytes_held: { status: 429, message: "The project's requests and responses hold too much memory" },
  too_many_sockets: { status: 429, message: "Too many connected users" },
  internal_error: { status: 500, message: "Internal error" },
  service_not_available: { status: 501, message: "The project does not offer this service" },
  upstream_failed: { status: 502, message: "The service gave no valid response" },
  project_paused: { status: 503, message: "The project is paused" },
  project_closed: {
    status: 503,
    message: "The project is closed for some minutes",
    hint: "Its database sessions endangered other projects several times. The project's audit log says what was ended and why.",
  },
  project_unavailable: { status: 503, message: "The project is not available at the moment" },
  config_unavailable: { status: 503, message: "The project's configuration cannot be loaded at the moment" },
  upstream_unavailable: { status: 503, message: "The service cannot be reached at the moment" },
  upstream_timeout: { status: 504, message: "The service did not answer in time" },
} as const satisfies Record<string, { status: number; message: string; hint?: string }>;

export type GatewayErrorCode = keyof typeof ERROR_CATALOGUE;

export interface RenderedError {
  readonly status: number;
  readonly statusLine: string;
  /** JSON text. */
  readonly body: string;
}

/**
 * @param service Whose client will read it: auth-js looks for `error_code` and `msg`, storage-js for `statusCode` and
 * `error`, postgrest-js for `code`, `details` and `hint`. Null for an address outside of any service.
 */
export function renderError(code: GatewayErrorCode, service: ServiceName | null): RenderedError {
  const cached = rendered.get(`${service}/${code}`);
  if (cached) return cached;
  const entry: { status: number; message: string; hint?: string } = ERROR_CATALOGUE[code];
  const error = {
    status: entry.status,
    statusLine: statusLine(entry.status),
    body: JSON.stringify(shapeFor(service, code, entry)),
  };
  rendered.set(`${service}/${code}`, error);
  return error;
}

const rendered = new Map<string, RenderedError>();

const STORAGE_TOO_LARGE = {
  error: "Payload too large",
  message: "The object exceeded the maximum allowed size",
  code: "EntityTooLarge",
};

function shapeFor(
  service: ServiceName | null,
  code: GatewayErrorCode,
  { status, message, hint }: { status: number; message: string; hint?: string },
): object {
  switch (service) {
    case "auth":
      return { code: status, error_code: code, msg: message, message, ...(hint && { hint }) };
    case "storage":
      // As the service itself says it of a bucket's limit.
      if (code === "body_too_large") return { statusCode: String(status), ...STORAGE_TOO_LARGE };
      return { statusCode: String(status), error: code, message, ...(hint && { hint }) };
    case "rest":
      return { code, details: null, hint: hint ?? null, message };
    default:
      return { code, message, ...(hint && { hint }) };
  }
}
