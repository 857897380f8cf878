/**
 * WebSockets of clients: served by a service in this process, or by a remote realtime server, with which the handshake
 * is made first.
 */
import type { IncomingMessage } from "node:http";
import { WebSocket as UpstreamSocket } from "ws";
import type { ApiKeyEntry, GatewaySnapshot, ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { headerList } from "../../data-plane/http/header-list.ts";
import { LateUpgrade } from "../../data-plane/http/late-upgrade.ts";
import { statusLine } from "../../data-plane/http/response-channel.ts";
import { openingFault } from "../../data-plane/http/served-socket.ts";
import type { HttpRequest, HttpResponse } from "../../data-plane/http/uws.ts";
import { writeServiceResponse } from "../../data-plane/http/write-service-response.ts";
import { LocalServiceError, type LocalServices } from "../../data-plane/local-services.ts";
import { CLOSE, MAX_FRAME_BYTES, type SocketOpening } from "../../data-plane/socket-service.ts";
import type { AdmissionControl } from "../admission/admit.ts";
import type { AdmittedRequest } from "../admission/admitted.ts";
import type { Tenant } from "../admission/tenants.ts";
import type { GatewayErrorCode } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { Generation } from "../listener.ts";
import type { Logger } from "../logger.ts";
import type { Peer, Peers } from "../peers.ts";
import { clientHeaders } from "../response-headers.ts";
import { internalHeaders } from "../upstreams/http-upstream.ts";
import { toServiceRequest } from "../upstreams/local-upstream.ts";
import { upstreamHeaders } from "../upstreams/upstream.ts";
import { LocalSocket } from "./local-socket.ts";
import type { Admission, OpenSocket, SocketData } from "./open-socket.ts";
import { ProxiedSocket } from "./proxied-socket.ts";

export interface SocketProxyOptions {
  readonly admission: AdmissionControl;
  /** What is known of a project now; undefined when it is not cached. */
  readonly currentSnapshot: (ref: ProjectRef) => GatewaySnapshot | null | undefined;
  /** The services of this process; null when every upstream is remote. */
  readonly localServices: LocalServices | null;
  /** Other processes that share the port; null when this one is alone. */
  readonly peers: Peers | null;
  /** Proves to our own services in other processes that a handshake comes from a gateway. */
  readonly serviceToken: string | null;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told of every socket that is over. */
  readonly onSocketClosed: (socket: OpenSocket, code: number) => void;
}

const MAX_UPSTREAM_FRAME_BYTES = 16 * 1024 * 1024;
const HANDSHAKE_MS = 10_000;
/** Silence in both directions. Realtime servers have a shorter limit of their own. */
const IDLE_SECONDS = 120;
/** Of a refused handshake's response. */
const MAX_REFUSAL_BYTES = 64 * 1024;

/** What only the native request knows, and only in its first turn. */
interface Upgrade {
  readonly generation: Generation;
  readonly native: HttpResponse;
  readonly context: Parameters<HttpResponse["upgrade"]>[4];
  readonly key: string;
  readonly protocol: string;
  /** Still in the first turn of the request. */
  isFirstTurn: boolean;
}

export class SocketProxy {
  readonly #options: SocketProxyOptions;
  readonly #byProject = new Map<ProjectRef, Set<OpenSocket>>();
  readonly #late = new LateUpgrade();
  #draining = false;
  count = 0;

  constructor(options: SocketProxyOptions) {
    this.#options = options;
  }

  /** Those that are open. */
  byProject(): Iterable<readonly [ProjectRef, ReadonlySet<OpenSocket>]> {
    return this.#byProject;
  }

  /** Before the first handshake. */
  open(): Promise<void> {
    return this.#late.open();
  }

  close(): void {
    this.#late.close();
  }

  /** @param open Copies a request out of the native objects, as for a plain request. */
  register(generation: Generation, open: (native: HttpResponse, nativeRequest: HttpRequest) => Exchange): void {
    generation.app.ws<SocketData>("/*", {
      maxPayloadLength: MAX_FRAME_BYTES,
      idleTimeout: IDLE_SECONDS,
      sendPingsAutomatically: false,
      // The upstream is paused long before: what exceeds this is a client that takes nothing.
      maxBackpressure: 2 * MAX_UPSTREAM_FRAME_BYTES,
      closeOnBackpressureLimit: true,
      upgrade: (native, request, context) => {
        const key = request.getHeader("sec-websocket-key");
        const protocol = request.getHeader("sec-websocket-protocol");
        const fault = openingFault(request);
        const exchange = open(native, request);
        if (fault !== null || exchange.body !== null) {
          exchange.reject(fault ?? "invalid_upgrade", ["sec-websocket-version", "13"]);
          return;
        }
        const upgrade: Upgrade = { generation, native, context, key, protocol, isFirstTurn: true };
        this.#options.admission.runUpgrade(exchange, (admitted) => this.#connect(admitted, upgrade));
        upgrade.isFirstTurn = false;
      },
      open: (socket) => socket.getUserData().socket.clientOpened(socket),
      message: (socket, message, binary) => this.#fromClient(socket.getUserData().socket, message, binary),
      ping: (socket, data) => socket.getUserData().socket.pingFromClient(data),
      drain: (socket) => socket.getUserData().socket.clientDrained(),
      close: (socket, code, reason) => socket.getUserData().socket.clientClosed(code, Buffer.from(reason).toString()),
    });
  }

  #fromClient(socket: OpenSocket, message: ArrayBuffer, binary: boolean): void {
    const { usage, limits } = socket.admission.tenant;
    if (usage.admitFrame(limits, this.#options.now())) socket.fromClient(message, binary);
    else socket.close(CLOSE.policy, "too many messages");
  }

  /** Closes sockets that the project's new configuration does not admit any more. */
  configChanged(ref: ProjectRef, snapshot: GatewaySnapshot | null): void {
    for (const socket of this.#byProject.get(ref) ?? []) {
      const { tenant, key } = socket.admission;
      if (snapshot === null || snapshot.state !== "active") socket.close(CLOSE.restart, "the project is not available");
      else if (!isStillValid(snapshot, key)) socket.close(CLOSE.policy, "the API key was revoked");
      else if (!sameOrigin(snapshot, tenant.snapshot.upstreams)) socket.close(CLOSE.restart, "the project has moved");
    }
  }

  /**
   * Tells all clients to connect again, spread over the given time so that they do not all come at once.
   * @param only Those on this app; left out: all, and nobody gets a new socket.
   */
  async drain(spreadMs: number, only?: Generation): Promise<void> {
    this.#draining ||= only === undefined;
    const all = [...this.#byProject.values()].flatMap((set) => [...set]);
    const sockets = only ? all.filter(({ admission }) => admission.generation === only) : all;
    const perTick = Math.max(1, Math.ceil(sockets.length / Math.max(1, spreadMs / 50)));
    for (let index = 0; index < sockets.length; index += perTick) {
      for (const socket of sockets.slice(index, index + perTick)) socket.close(CLOSE.restart, "server restarting");
      if (index + perTick < sockets.length) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #connect(admitted: AdmittedRequest, upgrade: Upgrade): void {
    const { exchange, tenant, route } = admitted;
    const upstream = tenant.snapshot.upstreams[route.service];
    if (this.#draining) exchange.reject("upstream_unavailable", ["retry-after", "1"]);
    else if (!route.socket) exchange.reject("upgrade_refused");
    else if (tenant.usage.sockets >= tenant.limits.sockets) exchange.reject("too_many_sockets");
    else {
      // Counted from here on: handshakes under way are sockets too.
      tenant.usage.sockets += 1;
      this.count += 1;
      const owner =
        upstream.kind === "local" ? (this.#options.peers?.ownerOf(tenant.snapshot.projectRef) ?? null) : null;
      if (upstream.kind === "http") this.#shakeHands(admitted, upgrade, upstream.origin);
      else if (owner === null) void this.#openLocally(admitted, upgrade);
      else void this.#handOver(admitted, upgrade, owner);
    }
  }

  /** The project's sockets are in another process that shares the port. */
  async #handOver(admitted: AdmittedRequest, upgrade: Upgrade, owner: Peer): Promise<void> {
    const { exchange, tenant } = admitted;
    let isGone = false;
    exchange.whenSettled(() => {
      isGone = true;
      this.#release(tenant);
    });
    const origin = owner.origin ?? (await owner.untilThere());
    if (isGone) return;
    if (origin === null) exchange.reject("upstream_unavailable", ["retry-after", "1"]);
    else this.#shakeHands(admitted, upgrade, origin);
  }

  #release({ usage }: Tenant): void {
    usage.sockets -= 1;
    this.count -= 1;
  }

  async #openLocally(admitted: AdmittedRequest, upgrade: Upgrade): Promise<void> {
    const { exchange, tenant, route, key } = admitted;
    const { localServices, logger } = this.#options;
    const ref = tenant.snapshot.projectRef;
    exchange.upstreamStartedMs = performance.now();
    const request = toServiceRequest(admitted);
    const headers = { ...request.headers, ...socketHeaders(admitted) };
    const opened = { ...request, headers };
    let isOver = false;
    exchange.whenSettled(() => {
      if (isOver) return;
      isOver = true;
      this.#release(tenant);
      request.abort();
    });
    try {
      if (!localServices) throw new LocalServiceError("service_not_available");
      const judged = localServices.openSocket(ref, route.service, {
        ...opened,
        get signal() {
          return request.signal;
        },
      });
      // Not awaited when there is nothing to wait for: only in its first turn a request may become a socket by itself.
      const opening: SocketOpening = judged instanceof Promise ? await judged : judged;
      exchange.upstreamAnsweredMs = performance.now();
      if (isOver) {
        if (opening.kind === "accept") opening.handler.closed(1006);
        return;
      }
      if (opening.kind === "refuse") {
        exchange.status = opening.response.status;
        await writeServiceResponse(exchange.channel, opening.response, {
          toClient: (headers) => clientHeaders(admitted, headers),
        });
        return;
      }
      const refusal = this.#refusalByNow(tenant, key);
      if (refusal !== null) {
        opening.handler.closed(1006);
        exchange.reject(refusal);
        return;
      }
      isOver = true;
      const admission = admissionOf(admitted, upgrade);
      this.#accept(exchange, upgrade, new LocalSocket(admission, opening.handler, this.#forget), "");
    } catch (error) {
      if (error instanceof LocalServiceError) exchange.reject(error.code);
      else {
        logger.error({ err: error, requestId: exchange.requestId }, "a service failed to open a WebSocket");
        exchange.reject("internal_error");
      }
    }
  }

  /** The handshake's answer to the client; from here on the socket is tracked. */
  #accept(exchange: Exchange, upgrade: Upgrade, socket: OpenSocket, protocol: string): void {
    this.#track(socket);
    exchange.upgraded();
    const { native, key, context } = upgrade;
    if (upgrade.isFirstTurn) native.upgrade<SocketData>({ socket }, key, protocol, "", context);
    else this.#late.upgrade<SocketData>(native, { socket }, key, protocol, "", context);
  }

  #shakeHands(admitted: AdmittedRequest, upgrade: Upgrade, origin: string): void {
    const { exchange, tenant, route, credentials, key } = admitted;
    const target = new URL(route.path, origin);
    const host = `${tenant.snapshot.projectRef}.${target.host}`;
    target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
    target.search = credentials.query;
    const protocols = upgrade.protocol === "" ? [] : upgrade.protocol.split(",").map((name) => name.trim());
    let upstream: UpstreamSocket;
    try {
      upstream = new UpstreamSocket(target, protocols, {
        headers: {
          ...socketHeaders(admitted),
          ...ownServiceHeaders(admitted, this.#options.serviceToken),
          host,
        },
        handshakeTimeout: HANDSHAKE_MS,
        maxPayload: MAX_UPSTREAM_FRAME_BYTES,
        perMessageDeflate: false,
        followRedirects: false,
      });
    } catch {
      this.#release(tenant); // a subprotocol that is none
      exchange.whenSettled(() => {});
      exchange.reject("invalid_header");
      return;
    }
    exchange.upstreamStartedMs = performance.now();
    let handedOver = false;
    exchange.whenSettled(() => {
      if (handedOver) return;
      this.#release(tenant);
      upstream.terminate();
    });
    upstream.on("error", (error) => {
      if (handedOver || exchange.settled) return;
      this.#options.logger.warn({ err: error, requestId: exchange.requestId }, "a WebSocket upstream failed");
      exchange.reject("upstream_unavailable", ["retry-after", "1"]);
    });
    upstream.once("unexpected-response", (_request, response: IncomingMessage) => void passRefusal(admitted, response));
    upstream.once("open", () => {
      if (exchange.settled) return;
      const refusal = this.#refusalByNow(tenant, key);
      if (refusal !== null) {
        exchange.reject(refusal);
        return;
      }
      handedOver = true;
      const proxied = new ProxiedSocket(admissionOf(admitted, upgrade), upstream, this.#forget);
      this.#accept(exchange, upgrade, proxied, upstream.protocol);
    });
  }

  /** What may have changed while the server shook hands: nobody has closed this socket then. */
  #refusalByNow(tenant: Tenant, key: ApiKeyEntry | null): GatewayErrorCode | null {
    if (this.#draining) return "upstream_unavailable";
    const snapshot = this.#options.currentSnapshot(tenant.snapshot.projectRef);
    if (snapshot === undefined || snapshot === tenant.snapshot) return null;
    if (snapshot === null) return "project_not_found";
    if (snapshot.state !== "active") return `project_${snapshot.state}`;
    return isStillValid(snapshot, key) ? null : "api_key_invalid";
  }

  #track(socket: OpenSocket): void {
    const ref = socket.admission.tenant.snapshot.projectRef;
    const sockets = this.#byProject.get(ref) ?? new Set();
    sockets.add(socket);
    this.#byProject.set(ref, sockets);
  }

  readonly #forget = (socket: OpenSocket, code: number): void => {
    const { tenant } = socket.admission;
    const ref = tenant.snapshot.projectRef;
    const sockets = this.#byProject.get(ref);
    sockets?.delete(socket);
    if (sockets?.size === 0) this.#byProject.delete(ref);
    this.#release(tenant);
    this.#options.onSocketClosed(socket, code);
  };
}

function admissionOf({ exchange, tenant, key }: AdmittedRequest, { generation }: Upgrade): Admission {
  const { requestId, forwarded } = exchange;
  return { tenant, key, generation, requestId, clientAddress: forwarded.clientAddress, openedMs: performance.now() };
}

function isStillValid(snapshot: GatewaySnapshot, key: ApiKeyEntry | null): boolean {
  if (key === null) return !snapshot.requireApiKey;
  return snapshot.apiKeys.some((entry) => entry.hash === key.hash && !entry.revoked);
}

function sameOrigin(snapshot: GatewaySnapshot, before: GatewaySnapshot["upstreams"]): boolean {
  const now = snapshot.upstreams.realtime;
  if (now.kind === "local") return before.realtime.kind === "local";
  return before.realtime.kind === "http" && now.origin === before.realtime.origin;
}

/** The server reads the token from `x-api-key`; the client's own handshake headers are not its business. */
function socketHeaders(admitted: AdmittedRequest): Record<string, string> {
  const { credentials } = admitted;
  const pairs = upstreamHeaders(admitted);
  const headers: Record<string, string> = {};
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index] as string;
    if (!name.startsWith("sec-websocket-")) headers[name] = pairs[index + 1] as string;
  }
  if (credentials.apikey !== "") headers["x-api-key"] = credentials.apikey;
  return headers;
}

/** What http-host.ts asks of a handshake; a dedicated project's containers are told nothing of it. */
function ownServiceHeaders(admitted: AdmittedRequest, serviceToken: string | null): Record<string, string> {
  if (serviceToken === null || admitted.tenant.snapshot.plan !== "shared") return {};
  return internalHeaders(serviceToken, admitted);
}

async function passRefusal(admitted: AdmittedRequest, response: IncomingMessage): Promise<void> {
  const { exchange } = admitted;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_REFUSAL_BYTES) break;
      chunks.push(chunk);
    }
  } catch {
    exchange.reject("upstream_failed");
    return;
  }
  if (exchange.settled) return;
  const status = response.statusCode ?? 502;
  // A redirect would make the client open its socket at a place that the server, not the gateway, has chosen.
  if (status < 400) {
    exchange.reject("upstream_failed");
    return;
  }
  const type = headerList(["content-type", response.headers["content-type"] ?? "application/json"]);
  exchange.answer(status, statusLine(status), clientHeaders(admitted, type), Buffer.concat(chunks).toString());
}
