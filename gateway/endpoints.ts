/** What the gateway answers on its own behalf: health, readiness, metrics. */

import type { TrustedHops } from "../control-plane/client/client-address.ts";
import { headerList } from "../data-plane/http/header-list.ts";
import type { GatewayConfigs } from "./configs.ts";
import type { Exchange } from "./exchange.ts";
import type { GatewayMetrics } from "./metrics.ts";
import { mergeMetrics, type Peers } from "./peers.ts";

export interface EndpointOptions {
  readonly configs: Pick<GatewayConfigs, "status">;
  readonly isReady: () => boolean;
  readonly metrics: GatewayMetrics;
  /** Their metrics are told together with the own ones. */
  readonly peers: Peers | null;
  /** Clients that may read the metrics. */
  readonly metricsReaders: TrustedHops;
}

export function createGatewayEndpoint(options: EndpointOptions): (exchange: Exchange, path: string) => void {
  return (exchange, path) => {
    if (exchange.request.isPreflight) answerJson(exchange, 204, "204 No Content", null);
    else if (path === "/health") answerHealth(options, exchange);
    else if (path === "/ready") answerReadiness(options, exchange);
    else if (path === "/metrics" && mayReadMetrics(options, exchange)) answerMetrics(options, exchange);
    else exchange.reject(path.startsWith("/projects/") ? "project_not_found" : "route_not_found");
  };
}

/** Alive either way: without the feed what is known is served, but no change arrives, and somebody should know. */
function answerHealth({ configs }: EndpointOptions, exchange: Exchange): void {
  const { connected } = configs.status();
  answerJson(exchange, 200, "200 OK", { status: "ok", configFeed: connected ? "connected" : "lost" });
}

function answerReadiness(options: EndpointOptions, exchange: Exchange): void {
  if (options.isReady()) answerJson(exchange, 200, "200 OK", { status: "ready" });
  else answerJson(exchange, 503, "503 Service Unavailable", { status: "draining" });
}

/** A proxy that is not configured as trusted makes every client look like itself: its headers give it away. */
function mayReadMetrics(options: EndpointOptions, exchange: Exchange): boolean {
  const { request, forwarded } = exchange;
  const throughUnknownProxy = request.forwardedFor !== "" && forwarded.forwardedFor === forwarded.clientAddress;
  return !throughUnknownProxy && options.metricsReaders.has(forwarded.clientAddress);
}

function answerMetrics(options: EndpointOptions, exchange: Exchange): void {
  const { registry } = options.metrics;
  Promise.all([registry.metrics(), options.peers?.metrics() ?? []]).then(
    ([own, others]) => {
      const text = others.length === 0 ? own : mergeMetrics([own, ...others]);
      exchange.answer(200, "200 OK", headerList(["content-type", registry.contentType]), text);
    },
    () => exchange.reject("internal_error"),
  );
}

function answerJson(exchange: Exchange, status: number, statusLine: string, body: object | null): void {
  const headers = ["content-type", "application/json; charset=utf-8", "cache-control", "no-store"];
  exchange.answer(status, statusLine, headerList([...headers, ...exchange.ownHeaders()]), body && JSON.stringify(body));
}
