/** The gateway: one port for every project. */
import type { GatewaySnapshot, ServiceName } from "../control-plane/client/config-snapshot.ts";
import { IncomingBody } from "../data-plane/http/incoming-body.ts";
import {
  App,
  closeListenSocket,
  EXCLUSIVE_PORT,
  type HttpRequest,
  type HttpResponse,
  type ListenSocket,
  localPort,
} from "../data-plane/http/uws.ts";
import type { LocalServices } from "../data-plane/local-services.ts";
import { type AccessLog, createAccessLog } from "./access-log.ts";
import { ClientRequest } from "./client-request.ts";
import type { GatewayConfigs } from "./configs.ts";
import { Deadlines } from "./deadlines.ts";
import { createGatewayEndpoint } from "./endpoints.ts";
import { Exchange, openChannel } from "./exchange.ts";
import { addressText, readForwarded, TrustedHops } from "./forwarded.ts";
import { createLocalUpstream } from "./local-upstream.ts";
import type { Logger } from "./logger.ts";
import { createGatewayMetrics, type GatewayMetrics } from "./metrics.ts";
import { createPasses, type Passes } from "./passes.ts";
import { createRequestIds } from "./request-id.ts";
import { Tenants } from "./tenants.ts";
import { DEFAULT_TIMEOUTS, type Timeouts, type Upstream } from "./upstream.ts";

export interface GatewayOptions {
  readonly configs: GatewayConfigs;
  /** The services of this process; null when every upstream is remote. */
  readonly localServices: LocalServices | null;
  /** Base URL by which people reach the gateway, such as `http://localhost:8083`; no trailing slash. */
  readonly publicUrl: string;
  /** Projects are also reached as `<ref>.<base domain>`. */
  readonly baseDomains: readonly string[];
  /** Further host names of the gateway itself. */
  readonly ownHosts?: readonly string[];
  /** Addresses or CIDR ranges of proxies whose X-Forwarded-* headers are believed. */
  readonly trustedHops?: readonly string[];
  /** Clients that may read /metrics; default: this machine. */
  readonly metricsReaders?: readonly string[];
  readonly timeouts?: Timeouts;
  /** Share the port with other gateways on this machine; else a port in use is an error. */
  readonly sharePort?: boolean;
  /** Projects whose budgets are remembered at once. */
  readonly tenantCapacity?: number;
  readonly logger: Logger;
  /** Takes lines of the access log; left out, there is none. */
  readonly accessLog?: (lines: string) => void;
  readonly metrics?: GatewayMetrics;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

export interface Gateway {
  /** @param port 0 takes a free one. @throws When the port cannot be had. */
  listen(port: number, host: string): Promise<{ port: number }>;
  /** Turns readiness red, takes no new connections and resolves when what is in flight is done, or after the deadline. */
  drain(deadlineMs?: number): Promise<void>;
  /** Breaks every connection. */
  close(): void;
}

const DRAIN_MS = 30_000;

export function createGateway(options: GatewayOptions): Gateway {
  return new UwsGateway(options);
}

class UwsGateway implements Gateway {
  readonly #app = App();
  readonly #sharePort: boolean;
  readonly #passes: Passes;
  readonly #hops: TrustedHops;
  readonly #requestIds = createRequestIds();
  readonly #deadlines = new Deadlines();
  readonly #metrics: GatewayMetrics;
  readonly #accessLog: AccessLog | null;
  #listening: ListenSocket | null = null;
  #draining = false;
  #closed = false;
  #inFlight = 0;
  #onIdle: (() => void) | null = null;

  constructor(options: GatewayOptions) {
    const { logger, timeouts = DEFAULT_TIMEOUTS, now = Date.now } = options;
    this.#sharePort = options.sharePort ?? false;
    this.#hops = new TrustedHops(options.trustedHops ?? []);
    this.#metrics = options.metrics ?? createGatewayMetrics();
    this.#metrics.watch({ requestsInFlight: () => this.#inFlight, sockets: () => 0 });
    this.#accessLog = options.accessLog ? createAccessLog(options.accessLog, now) : null;
    const local = options.localServices
      ? createLocalUpstream({ services: options.localServices, timeouts, deadlines: this.#deadlines, logger, now })
      : MISSING;
    const upstreamOf = (snapshot: GatewaySnapshot, service: ServiceName): Upstream =>
      snapshot.upstreams[service].kind === "local" ? local : MISSING;
    this.#passes = createPasses({
      configs: options.configs,
      tenants: new Tenants(options.tenantCapacity ?? 20_000),
      hosts: {
        baseDomains: options.baseDomains.map((domain) => domain.toLowerCase()),
        ownHosts: [new URL(options.publicUrl).hostname, ...(options.ownHosts ?? [])],
      },
      publicUrl: options.publicUrl,
      upstreamOf,
      gatewayEndpoint: createGatewayEndpoint({
        isReady: () => !this.#draining,
        metrics: this.#metrics,
        metricsReaders: new TrustedHops(options.metricsReaders ?? ["127.0.0.0/8", "::1"]),
      }),
      logger,
      now,
    });
    this.#app.any("/*", (response, request) => this.#onRequest(response, request));
  }

  listen(port: number, host: string): Promise<{ port: number }> {
    return new Promise((resolve, reject) => {
      const onListening = (socket: ListenSocket | false) => {
        if (!socket) {
          reject(new Error(`port ${port} on ${host} cannot be had: it is in use or not allowed`));
          return;
        }
        this.#listening = socket;
        resolve({ port: localPort(socket) });
      };
      // The package's types know two of the three forms.
      const listen = this.#app.listen.bind(this.#app) as unknown as (
        host: string,
        port: number,
        flags: number,
        listening: (socket: ListenSocket | false) => void,
      ) => void;
      listen(host, port, this.#sharePort ? 0 : EXCLUSIVE_PORT, onListening);
    });
  }

  async drain(deadlineMs = DRAIN_MS): Promise<void> {
    this.#draining = true;
    if (this.#listening) closeListenSocket(this.#listening);
    this.#listening = null;
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#draining = true;
    this.#app.close();
    this.#deadlines.close();
    this.#accessLog?.close();
  }

  #onRequest(native: HttpResponse, nativeRequest: HttpRequest): void {
    this.#passes.run(this.#open(native, nativeRequest));
  }

  /** Copies all that is needed out of the native objects while they are there. */
  #open(native: HttpResponse, nativeRequest: HttpRequest): Exchange {
    const startedMs = performance.now();
    const request = new ClientRequest(nativeRequest);
    const body = request.hasBody ? new IncomingBody(native, request.contentLength) : null;
    const channel = openChannel(native, request.method === "HEAD", body);
    const forwarded = readForwarded(this.#hops, addressText(native.getRemoteAddress()), false, request);
    const exchange = new Exchange(request, this.#requestIds(request.requestId), forwarded, channel, body, startedMs);
    this.#inFlight += 1;
    channel.closeAfter = this.#draining;
    channel.onClosed = () => this.#settle(exchange);
    return exchange;
  }

  #settle(exchange: Exchange): void {
    exchange.leave();
    const durationMs = performance.now() - exchange.startedMs;
    this.#metrics.observe(exchange, durationMs);
    this.#accessLog?.write(exchange, durationMs);
    this.#inFlight -= 1;
    if (this.#inFlight === 0) this.#onIdle?.();
  }
}

/** A local upstream in a gateway that runs no services. */
const MISSING: Upstream = { send: (exchange) => exchange.reject("service_not_available") };
