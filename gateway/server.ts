/** The gateway: one port for every project. */
import { setTimeout as delay } from "node:timers/promises";
import { TrustedHops } from "../control-plane/client/client-address.ts";
import type { ServiceName } from "../control-plane/client/config-snapshot.ts";
import { DEFAULT_MAXIMA, type Maxima } from "../control-plane/client/maxima.ts";
import type { SendTraffic } from "../control-plane/client/traffic-reports.ts";
import { HeldBytes } from "../data-plane/held-bytes.ts";
import { IncomingBody } from "../data-plane/http/incoming-body.ts";
import { InFlight } from "../data-plane/http/listen.ts";
import { DEFAULT_TAKE_TIMEOUT_MS } from "../data-plane/http/response-channel.ts";
import type { HttpRequest, HttpResponse } from "../data-plane/http/uws.ts";
import type { LocalServices } from "../data-plane/local-services.ts";
import { type AccessLog, createAccessLog } from "./access-log.ts";
import { type AdmissionControl, createAdmissionControl } from "./admission/admit.ts";
import { type Tenant, Tenants } from "./admission/tenants.ts";
import { ClientRequest } from "./client-request.ts";
import type { GatewayConfigs } from "./configs.ts";
import { Deadlines } from "./deadlines.ts";
import { createGatewayEndpoint } from "./endpoints.ts";
import { Exchange, openChannel } from "./exchange.ts";
import { addressText, readForwarded } from "./forwarded.ts";
import { type Generation, Listener } from "./listener.ts";
import type { Logger } from "./logger.ts";
import { createGatewayMetrics, type GatewayMetrics } from "./metrics.ts";
import { handOverTo, type Peers, peerFor } from "./peers.ts";
import { UpstreamClient } from "./proxy/client.ts";
import type { PoolLimits } from "./proxy/pool.ts";
import { createRequestIds } from "./request-id.ts";
import type { TlsOptions } from "./tls.ts";
import { createHttpUpstreams } from "./upstreams/http-upstream.ts";
import { createLocalUpstream } from "./upstreams/local-upstream.ts";
import { DEFAULT_TIMEOUTS, type Timeouts, type Upstream } from "./upstreams/upstream.ts";
import { TrafficMeter } from "./usage/traffic-meter.ts";
import { TrafficReporter } from "./usage/traffic-reporter.ts";
import { SocketProxy } from "./websocket/socket-proxy.ts";

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
  readonly poolLimits?: PoolLimits;
  /** Shared with our own services in other processes (http-host.ts); left out when there are none. */
  readonly serviceToken?: string;
  /** Left out: plain HTTP. */
  readonly tls?: TlsOptions;
  /** Share the port with other gateways on this machine; else a port in use is an error. */
  readonly sharePort?: boolean;
  /** Other gateways on this port, with services in their processes; they know the same `serviceToken`. */
  readonly peers?: Peers;
  /** No project gets more, whatever its snapshot says. */
  readonly maxima?: Maxima;
  /** Shared with the services that run in this process; of its own when left out. */
  readonly heldBytes?: HeldBytes;
  /** A client that takes nothing of a response for so long is cut; 30 seconds when left out. */
  readonly takeTimeoutMs?: number;
  /** Projects whose budgets are remembered at once. */
  readonly tenantCapacity?: number;
  readonly logger: Logger;
  /** Takes lines of the access log; left out, there is none. */
  readonly accessLog?: (lines: string) => void;
  readonly metrics?: GatewayMetrics;
  /** Takes what was counted of each project's traffic; left out, it is not counted. */
  readonly sendTraffic?: SendTraffic;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

export interface Gateway {
  /** @param port 0 takes a free one. @throws When the port cannot be had. */
  listen(port: number, host: string): Promise<{ port: number }>;
  /**
   * Turns readiness red, takes no new connections and resolves when what is in flight is done, or after the deadline.
   * @param isReplaced Another gateway listens on the port: connections that clients keep open get a grace. Default: as
   *   {@link GatewayOptions.sharePort}.
   */
  drain(deadlineMs?: number, isReplaced?: boolean): Promise<void>;
  /** Breaks every connection. */
  close(): void;
}

const DRAIN_MS = 30_000;
/** Clients that connect again all at once would be a storm for the next gateway. */
const SOCKET_SPREAD_MS = 5_000;
/**
 * Beside another gateway on the port, connections that clients keep open are served for so long and told to close with
 * each response: closed at once, one of them could just be carrying the next request.
 */
const KEEP_ALIVE_GRACE_MS = 2_000;

export function createGateway(options: GatewayOptions): Gateway {
  return new UwsGateway(options);
}

class UwsGateway implements Gateway {
  readonly #listener: Listener;
  readonly #sharePort: boolean;
  readonly #admission: AdmissionControl;
  readonly #hops: TrustedHops;
  readonly #requestIds = createRequestIds();
  readonly #deadlines = new Deadlines();
  readonly #client: UpstreamClient;
  readonly #sockets: SocketProxy;
  readonly #stopWatching: () => void;
  readonly #metrics: GatewayMetrics;
  readonly #accessLog: AccessLog | null;
  readonly #traffic: TrafficMeter | null;
  readonly #trafficReporter: TrafficReporter | null;
  #draining = false;
  #closed = false;
  readonly #inFlight = new InFlight();
  readonly #heldBytes: HeldBytes;
  readonly #takeTimeoutMs: number;

  constructor(options: GatewayOptions) {
    const { logger, timeouts = DEFAULT_TIMEOUTS, now = Date.now, maxima = DEFAULT_MAXIMA } = options;
    this.#heldBytes = options.heldBytes ?? new HeldBytes(maxima.heldBytes);
    this.#takeTimeoutMs = options.takeTimeoutMs ?? DEFAULT_TAKE_TIMEOUT_MS;
    this.#sharePort = options.sharePort ?? false;
    this.#hops = new TrustedHops(options.trustedHops ?? []);
    this.#metrics = options.metrics ?? createGatewayMetrics();
    this.#accessLog = options.accessLog ? createAccessLog(options.accessLog, now) : null;
    const local = options.localServices
      ? createLocalUpstream({
          services: options.localServices,
          timeouts,
          deadlines: this.#deadlines,
          heldBytes: this.#heldBytes,
          logger,
          now,
        })
      : MISSING;
    this.#client = new UpstreamClient(options.poolLimits);
    this.#metrics.watch({
      requestsInFlight: () => this.#inFlight.count,
      sockets: () => this.#sockets.count,
      upstreamConnections: () => this.#client.connections,
    });
    const remote = createHttpUpstreams({
      client: this.#client,
      timeouts,
      serviceToken: options.serviceToken ?? null,
      logger,
      now,
    });
    const upstreamOf = (tenant: Tenant, service: ServiceName): Upstream => {
      const upstream = tenant.snapshot.upstreams[service];
      if (upstream.kind === "http") return remote(upstream.origin);
      const owner = options.peers ? peerFor(options.peers, tenant, service, now()) : null;
      return owner === null ? local : handOverTo(owner, remote);
    };
    this.#admission = createAdmissionControl({
      configs: options.configs,
      tenants: new Tenants(options.tenantCapacity ?? 20_000, maxima, options.peers?.count ?? 1),
      hosts: {
        baseDomains: options.baseDomains.map((domain) => domain.toLowerCase()),
        ownHosts: [new URL(options.publicUrl).hostname, ...(options.ownHosts ?? []).map((host) => host.toLowerCase())],
      },
      publicUrl: options.publicUrl,
      upstreamOf,
      gatewayEndpoint: createGatewayEndpoint({
        configs: options.configs,
        isReady: () => !this.#draining,
        metrics: this.#metrics,
        peers: options.peers ?? null,
        metricsReaders: new TrustedHops(options.metricsReaders ?? ["127.0.0.0/8", "::1"]),
      }),
      logger,
      now,
    });
    this.#sockets = new SocketProxy({
      admission: this.#admission,
      currentSnapshot: (ref) => options.configs.peek(ref),
      localServices: options.localServices,
      peers: options.peers ?? null,
      serviceToken: options.serviceToken ?? null,
      logger,
      now,
      onSocketClosed: (socket, code) => {
        this.#metrics.observeSocket(socket);
        this.#accessLog?.writeSocket(socket, code);
        this.#traffic?.observeSocket(socket);
      },
    });
    const { sendTraffic } = options;
    this.#traffic = sendTraffic ? new TrafficMeter({ now, openSockets: () => this.#sockets.byProject() }) : null;
    this.#trafficReporter =
      sendTraffic && this.#traffic
        ? new TrafficReporter({
            take: () => this.#traffic?.take() ?? [],
            send: sendTraffic,
            registry: this.#metrics.registry,
            logger,
          })
        : null;
    this.#stopWatching = options.configs.onChange(({ projectRef, snapshot }) => {
      this.#sockets.configChanged(projectRef, snapshot);
    });
    this.#listener = new Listener({
      ...(options.tls && { tls: options.tls }),
      sharePort: this.#sharePort,
      register: (generation) => this.#register(generation),
      sendAway: (generation, withinMs) => this.#sockets.drain(withinMs, generation),
      logger,
    });
  }

  async listen(port: number, host: string): Promise<{ port: number }> {
    await this.#sockets.open();
    return this.#listener.listen(port, host);
  }

  async drain(deadlineMs = DRAIN_MS, isReplaced = this.#sharePort): Promise<void> {
    this.#draining = true;
    this.#listener.stop();
    await Promise.all([
      this.#inFlight.idle(deadlineMs),
      this.#sockets.drain(Math.min(SOCKET_SPREAD_MS, deadlineMs / 2)),
      isReplaced ? delay(Math.min(KEEP_ALIVE_GRACE_MS, deadlineMs)) : undefined,
    ]);
    await this.#inFlight.idle(deadlineMs);
    await this.#trafficReporter?.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#draining = true;
    this.#stopWatching();
    this.#listener.close();
    this.#sockets.close();
    this.#client.close();
    this.#deadlines.close();
    this.#accessLog?.close();
  }

  #register(generation: Generation): void {
    const open = (native: HttpResponse, request: HttpRequest) => this.#open(native, request, generation);
    this.#sockets.register(generation, open);
    generation.app.any("/*", (native, request) => this.#admission.run(open(native, request)));
  }

  /** Copies all that is needed out of the native objects while they are there. */
  #open(native: HttpResponse, nativeRequest: HttpRequest, { retired }: Generation): Exchange {
    const startedMs = performance.now();
    const request = new ClientRequest(nativeRequest);
    const body = request.hasBody ? new IncomingBody(native, request.contentLength) : null;
    const channel = openChannel(native, request.method === "HEAD", body);
    channel.takeTimeoutMs = this.#takeTimeoutMs;
    const forwarded = readForwarded(this.#hops, addressText(native.getRemoteAddress()), this.#listener.isTls, request);
    const exchange = new Exchange(request, this.#requestIds(request.requestId), forwarded, channel, body, startedMs);
    this.#inFlight.enter();
    channel.closeAfter = this.#draining || retired;
    channel.whenClosed(() => this.#settle(exchange));
    return exchange;
  }

  #settle(exchange: Exchange): void {
    exchange.leave();
    const durationMs = performance.now() - exchange.startedMs;
    this.#metrics.observe(exchange, durationMs);
    this.#accessLog?.write(exchange, durationMs);
    this.#traffic?.observe(exchange, durationMs);
    this.#inFlight.leave();
  }
}

/** A local upstream in a gateway that runs no services. */
const MISSING: Upstream = { send: ({ exchange }) => exchange.reject("service_not_available") };
