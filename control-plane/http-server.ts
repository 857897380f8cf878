/** The HTTP side of an instance: routes, CORS, request ids, health, and a close that lets requests end. */
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { CLIENT_HEADER } from "./accounts/same-origin.ts";
import { addressBlockOf, believedChain, type TrustedHops } from "./client/client-address.ts";
import type { DashboardPages } from "./dashboard/pages.ts";
import type { GraphqlHandler, RequestScope } from "./graphql-handler.ts";
import type { Logger } from "./logger.ts";
import type { Metrics } from "./metrics.ts";

export interface HttpServerOptions {
  readonly graphql: GraphqlHandler;
  readonly metrics: Metrics;
  readonly logger: Logger;
  /** Null where the dashboard is not served. */
  readonly dashboard: DashboardPages | null;
  /** Other origins whose pages may use the API with cookies, such as `http://localhost:5173`. */
  readonly dashboardOrigins: readonly string[];
  /** Proxies in front, whose X-Forwarded-For is believed. */
  readonly trustedProxies: TrustedHops;
  /** What readers of /metrics send as a bearer token; null: only this machine itself may read them. */
  readonly metricsToken: string | null;
  /** Whether requests can be served: the database answers and events arrive. Never throws. */
  readonly isReady: () => Promise<boolean>;
}

export interface HttpServer {
  listen(port: number, host: string): Promise<{ url: string; port: number }>;
  /** Stops taking requests and waits for those under way, at most `graceMs`; then cuts them off. */
  close(graceMs: number): Promise<void>;
}

const PREFLIGHT_SECONDS = 600;
const SWEEP_MS = 20;

export function createHttpServer(options: HttpServerOptions): HttpServer {
  let draining = false;
  const server: Server = createServer({ requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 65_000 });

  server.on("request", (request, response) => {
    const scope = scopeOf(request, options);
    response.setHeader("x-request-id", scope.requestId);
    response.setHeader("x-content-type-options", "nosniff");
    if (draining) response.setHeader("connection", "close");
    const route = routeOf(request);
    response.once("close", () => options.metrics.http(route, response.statusCode));
    handle(route, request, response, scope).catch((error) => {
      scope.logger.error({ err: error, route }, "a request failed");
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: "internal error", requestId: scope.requestId });
    });
  });

  async function handle(route: Route, request: IncomingMessage, response: ServerResponse, scope: RequestScope) {
    switch (route) {
      case "/graphql":
        return handleGraphql(request, response, scope);
      case "/health":
        return sendJson(response, 200, { status: "ok" });
      case "/ready": {
        const ready = !draining && (await options.isReady());
        return sendJson(response, ready ? 200 : 503, { status: ready ? "ready" : "not ready" });
      }
      case "/metrics":
        if (!mayReadMetrics(request, options)) return refuseMetrics(response, options);
        response.setHeader("content-type", options.metrics.registry.contentType);
        response.end(await options.metrics.registry.metrics());
        return;
      default:
        if (await options.dashboard?.handle(request, response)) return;
        return sendJson(response, 404, { error: "not found" });
    }
  }

  async function handleGraphql(request: IncomingMessage, response: ServerResponse, scope: RequestScope): Promise<void> {
    response.setHeader("vary", "Origin");
    response.setHeader("cache-control", "no-store");
    const { origin } = request.headers;
    const allowed = origin !== undefined && options.dashboardOrigins.includes(origin);
    if (allowed) {
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("access-control-allow-credentials", "true");
      response.setHeader("access-control-expose-headers", "x-request-id");
    }
    if (request.method === "OPTIONS") {
      if (allowed) {
        response.setHeader("access-control-allow-methods", "GET, POST");
        response.setHeader("access-control-allow-headers", `content-type, authorization, accept, ${CLIENT_HEADER}`);
        response.setHeader("access-control-max-age", PREFLIGHT_SECONDS);
      }
      response.writeHead(204).end();
      return;
    }
    // A form of a foreign page can send the other types that GraphQL over HTTP knows, without asking first.
    if (request.method === "POST" && !/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? "")) {
      sendJson(response, 415, { errors: [{ message: "send content-type: application/json" }] });
      return;
    }
    await options.graphql(request, response, scope);
  }

  return {
    listen(port, host) {
      return new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(port, host, () => {
          server.off("error", reject);
          const { port: bound } = server.address() as AddressInfo;
          resolve({ url: `http://${urlHost(host)}:${bound}`, port: bound });
        });
      });
    },
    close(graceMs) {
      draining = true;
      return new Promise((resolve) => {
        if (!server.listening) return resolve();
        const cutOff = setTimeout(() => server.closeAllConnections(), graceMs);
        // A response that began before the close keeps its connection alive when it ends: such ones are idle only then.
        const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
        server.close(() => {
          clearTimeout(cutOff);
          clearInterval(sweep);
          resolve();
        });
      });
    },
  };
}

type Route = "/graphql" | "/health" | "/ready" | "/metrics" | "other";
const ROUTES: readonly string[] = ["/graphql", "/health", "/ready", "/metrics"];

function routeOf({ url = "/" }: IncomingMessage): Route {
  const path = url.split("?", 1)[0] ?? "/";
  return ROUTES.includes(path) ? (path as Route) : "other";
}

function scopeOf(request: IncomingMessage, { logger, trustedProxies }: HttpServerOptions): RequestScope {
  const given = request.headers["x-request-id"];
  const requestId = typeof given === "string" && /^[\w-]{8,64}$/.test(given) ? given : randomUUID();
  const { remoteAddress = "" } = request.socket;
  const [clientAddress] = believedChain(trustedProxies, remoteAddress, request.headers["x-forwarded-for"]);
  return {
    requestId,
    clientAddress,
    addressBlock: addressBlockOf(clientAddress),
    logger: logger.child({ requestId, clientAddress }),
  };
}

/** Fields, traffic and failures of everybody: nothing for strangers. Behind a proxy everybody comes from this machine. */
function mayReadMetrics(
  { headers, socket }: IncomingMessage,
  { metricsToken, trustedProxies }: HttpServerOptions,
): boolean {
  if (metricsToken !== null) return isSame(headers.authorization ?? "", `Bearer ${metricsToken}`);
  if (!trustedProxies.isEmpty || headers["x-forwarded-for"] !== undefined || headers.forwarded !== undefined)
    return false;
  return /^(::ffff:)?127\.|^::1$/.test(socket.remoteAddress ?? "");
}

function refuseMetrics(response: ServerResponse, { metricsToken }: HttpServerOptions): void {
  if (metricsToken !== null) response.setHeader("www-authenticate", "Bearer");
  const status = metricsToken === null ? 403 : 401;
  sendJson(response, status, {
    error: "metrics are for this machine, or for whoever has the token where there is one",
  });
}

/** In a time that tells nothing of where they differ. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}

function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "localhost";
  return host.includes(":") ? `[${host}]` : host;
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
