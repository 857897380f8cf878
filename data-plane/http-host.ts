/**
 * Serves services over HTTP to gateways in other processes. A request names its project and service in `x-supalove-*`
 * headers, which are believed because of the token that comes with them; everything else is as the gateway got it.
 */
import { timingSafeEqual } from "node:crypto";
import type { Registry } from "prom-client";
import { isProjectRef, type ProjectRef, SERVICES, type ServiceName } from "../control-plane/client/config-snapshot.ts";
import { type HeldBytes, HeldBytesExhausted } from "./held-bytes.ts";
import { headerList } from "./http/header-list.ts";
import { IncomingBody } from "./http/incoming-body.ts";
import { LateUpgrade } from "./http/late-upgrade.ts";
import { InFlight, openPort } from "./http/listen.ts";
import { ReceivedRequest } from "./http/received-request.ts";
import { ResponseChannel, statusLine } from "./http/response-channel.ts";
import { openingFault, ServedSocket } from "./http/served-socket.ts";
import {
  App,
  closeListenSocket,
  type HttpRequest,
  type HttpResponse,
  type ListenSocket,
  localPort,
} from "./http/uws.ts";
import { writeServiceResponse } from "./http/write-service-response.ts";
import { LocalServiceError, type LocalServices } from "./local-services.ts";
import { BodyAborted, BodyStalled, BodyTooLarge } from "./service.ts";
import { CLOSE, MAX_FRAME_BYTES, type SocketOpening } from "./socket-service.ts";

export interface HttpHostOptions {
  readonly services: LocalServices;
  readonly heldBytes: HeldBytes;
  /** At least 32 characters; shared with the gateways. */
  readonly serviceToken: string;
  /** Whether the process may be sent requests, besides not being about to stop. */
  readonly isReady: () => boolean;
  readonly registry: Registry;
  readonly logger: { error(details: object, message: string): void };
}

export interface HttpHost {
  /** @param port 0 takes a free one. @throws When the port cannot be had. */
  listen(port: number, host: string): Promise<{ port: number }>;
  /** Takes no new connections and resolves when what is in flight is done, or after the deadline. */
  drain(deadlineMs?: number): Promise<void>;
  close(): void;
}

const DRAIN_MS = 30_000;
const JSON_TYPE = headerList(["content-type", "application/json; charset=utf-8"]);
/** Clients that connect again all at once would be a storm for the next process. */
const SOCKET_SPREAD_MS = 5_000;
/** What the server library may keep for a client; services close a slow one long before. */
const MAX_BACKPRESSURE_BYTES = 32 * 1024 * 1024;

interface SocketData {
  readonly socket: ServedSocket<SocketData>;
}

/** What only the native request knows, and only in its first turn. */
interface Upgrade {
  readonly native: HttpResponse;
  readonly context: Parameters<HttpResponse["upgrade"]>[4];
  readonly key: string;
  isFirstTurn: boolean;
}

export function createHttpHost(options: HttpHostOptions): HttpHost {
  return new UwsHost(options);
}

class UwsHost implements HttpHost {
  readonly #options: HttpHostOptions;
  readonly #token: Buffer;
  readonly #app = App();
  #listening: ListenSocket | null = null;
  #draining = false;
  readonly #inFlight = new InFlight();
  readonly #late = new LateUpgrade();
  readonly #sockets = new Set<ServedSocket<SocketData>>();

  constructor(options: HttpHostOptions) {
    this.#options = options;
    this.#token = Buffer.from(options.serviceToken);
    this.#app.ws<SocketData>("/*", {
      maxPayloadLength: MAX_FRAME_BYTES,
      // Silence is the service's affair: it knows what its clients promise.
      idleTimeout: 0,
      sendPingsAutomatically: false,
      maxBackpressure: MAX_BACKPRESSURE_BYTES,
      closeOnBackpressureLimit: true,
      upgrade: (native, request, context) => {
        const key = request.getHeader("sec-websocket-key");
        const upgrade: Upgrade = { native, context, key, isFirstTurn: true };
        void this.#openSocket(upgrade, request);
        upgrade.isFirstTurn = false;
      },
      open: (native) => native.getUserData().socket.opened(native),
      message: (native, data, isBinary) => native.getUserData().socket.message(data, isBinary),
      drain: (native) => native.getUserData().socket.drained(),
      close: (native, code) => {
        const { socket } = native.getUserData();
        this.#sockets.delete(socket);
        socket.closed(code);
      },
    });
    this.#app.any("/*", (response, request) => void this.#serve(response, request));
  }

  async listen(port: number, host: string): Promise<{ port: number }> {
    await this.#late.open();
    this.#listening = await openPort(this.#app, port, host, false);
    return { port: localPort(this.#listening) };
  }

  drain(deadlineMs = DRAIN_MS): Promise<void> {
    this.#draining = true;
    if (this.#listening) closeListenSocket(this.#listening);
    this.#listening = null;
    const spreadMs = Math.min(SOCKET_SPREAD_MS, deadlineMs / 2);
    return Promise.all([this.#inFlight.idle(deadlineMs), this.#drainSockets(spreadMs)]).then(() => undefined);
  }

  close(): void {
    this.#late.close();
    this.#app.close();
  }

  async #drainSockets(spreadMs: number): Promise<void> {
    const sockets = [...this.#sockets];
    const perTick = Math.max(1, Math.ceil(sockets.length / Math.max(1, spreadMs / 50)));
    for (let index = 0; index < sockets.length; index += perTick) {
      for (const socket of sockets.slice(index, index + perTick)) socket.close(CLOSE.restart, "server restarting");
      if (index + perTick < sockets.length) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #openSocket(upgrade: Upgrade, nativeRequest: HttpRequest): Promise<void> {
    const { native } = upgrade;
    const fault = openingFault(nativeRequest);
    const hosted = readHostedRequest(native, nativeRequest, this.#token);
    if (hosted === null) {
      const body = JSON.stringify({ code: "forbidden", message: "Not a gateway" });
      answer(native, 403, "application/json", body, true);
      return;
    }
    const { request, channel } = hosted;
    if (fault !== null || this.#draining) {
      const status = this.#draining ? 503 : 400;
      answer(native, status, "application/json", JSON.stringify({ code: fault ?? "restarting" }), true);
      return;
    }
    this.#inFlight.enter();
    channel.whenClosed(() => {
      request.abort();
      this.#inFlight.leave();
    });
    try {
      const judged = this.#options.services.openSocket(hosted.project, hosted.service, request);
      // Not awaited when there is nothing to wait for: only in its first turn a request may become a socket by itself.
      const opening: SocketOpening = judged instanceof Promise ? await judged : judged;
      if (opening.kind === "refuse") {
        await writeServiceResponse(channel, opening.response);
        return;
      }
      const { handler } = opening;
      if (channel.closed || this.#draining) {
        handler.closed(1006);
        if (!channel.closed) throw new LocalServiceError("project_unavailable");
        return;
      }
      const socket = new ServedSocket<SocketData>(handler);
      this.#sockets.add(socket);
      channel.upgraded();
      const { key, context } = upgrade;
      if (upgrade.isFirstTurn) native.upgrade<SocketData>({ socket }, key, "", "", context);
      else this.#late.upgrade<SocketData>(native, { socket }, key, "", "", context);
    } catch (error) {
      this.#refuse(error, request, channel);
    }
  }

  /** To whom shows no token. With one these paths are the services' own: a project may have a table named metrics. */
  #answerForItself(native: HttpResponse, request: HttpRequest): void {
    const path = request.getMethod() === "get" ? request.getUrl() : "";
    if (path === "/health") answer(native, 200, "text/plain", "ok");
    else if (path === "/ready") {
      const ready = this.#options.isReady() && !this.#draining;
      answer(native, ready ? 200 : 503, "text/plain", ready ? "ready" : "not ready");
    } else if (path === "/metrics") void this.#answerMetrics(native);
    else {
      const body = JSON.stringify({ code: "forbidden", message: "Not a gateway" });
      answer(native, 403, "application/json", body, true);
    }
  }

  async #answerMetrics(response: HttpResponse): Promise<void> {
    let aborted = false;
    response.onAborted(() => {
      aborted = true;
    });
    const { registry } = this.#options;
    const text = await registry.metrics().catch(() => null);
    if (aborted) return;
    if (text === null) answer(response, 500, "text/plain", "the metrics cannot be read");
    else answer(response, 200, registry.contentType, text);
  }

  async #serve(native: HttpResponse, nativeRequest: HttpRequest): Promise<void> {
    const hosted = readHostedRequest(native, nativeRequest, this.#token);
    if (hosted === null) {
      this.#answerForItself(native, nativeRequest);
      return;
    }
    const { request, channel } = hosted;
    const held = this.#options.heldBytes.account(hosted.project);
    request.body?.chargeTo(held);
    this.#inFlight.enter();
    channel.closeAfter = this.#draining;
    channel.whenClosed(() => {
      request.abort();
      held.close();
      this.#inFlight.leave();
    });
    try {
      const response = await this.#options.services.handle(hosted.project, hosted.service, request);
      if (channel.closed) return;
      channel.closeAfter ||= request.body !== null && !request.body.complete;
      request.body?.finish();
      await writeServiceResponse(channel, response, { held });
    } catch (error) {
      this.#refuse(error, request, channel);
    }
  }

  #refuse(error: unknown, request: ReceivedRequest, channel: ResponseChannel): void {
    if (channel.started || channel.closed) return;
    if (error instanceof BodyAborted && !(error instanceof BodyStalled)) return;
    const { status, code, message } = describe(error);
    if (status === 500) {
      this.#options.logger.error({ err: error, requestId: request.requestId }, "a service failed to handle a request");
    }
    channel.closeAfter ||= request.body !== null && !request.body.complete;
    request.body?.finish();
    const head = { statusLine: statusLine(status), headers: JSON_TYPE };
    channel.send(head, JSON.stringify({ code, message }));
  }
}

function describe(error: unknown): { status: number; code: string; message: string } {
  if (error instanceof BodyTooLarge) return { status: 413, code: "body_too_large", message: "Request body too large" };
  if (error instanceof HeldBytesExhausted) return { status: 429, code: "too_many_bytes_held", message: error.message };
  if (error instanceof BodyStalled) return { status: 408, code: "request_timeout", message: error.message };
  if (!(error instanceof LocalServiceError)) return { status: 500, code: "internal_error", message: "Internal error" };
  switch (error.code) {
    case "project_not_found":
      return { status: 404, code: error.code, message: "Project not found" };
    case "service_not_available":
      return { status: 501, code: error.code, message: "This process does not run the service" };
    default:
      return { status: 503, code: error.code, message: "The project cannot be served at the moment" };
  }
}

function answer(response: HttpResponse, status: number, contentType: string, body: string, close = false): void {
  response.cork(() => {
    response.writeStatus(statusLine(status)).writeHeader("content-type", contentType).end(body, close);
  });
}

const INTERNAL_PREFIX = "x-supalove-";

interface Hosted {
  readonly project: ProjectRef;
  readonly service: ServiceName;
  readonly request: ReceivedRequest;
  readonly channel: ResponseChannel;
}

/** @returns Null when the request does not prove that it comes from a gateway, or is not complete. */
function readHostedRequest(native: HttpResponse, nativeRequest: HttpRequest, token: Buffer): Hosted | null {
  const internal: Record<string, string> = {};
  const headers: Record<string, string> = Object.create(null);
  nativeRequest.forEach((name, value) => {
    if (name.startsWith(INTERNAL_PREFIX)) internal[name.slice(INTERNAL_PREFIX.length)] = value;
    else headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  });
  const given = Buffer.from(internal.token ?? "");
  if (given.length !== token.length || !timingSafeEqual(given, token)) return null;
  const project = internal.project ?? "";
  const service = SERVICES.find((name) => name === internal.service);
  if (!isProjectRef(project) || !service) return null;

  const declared = headers["content-length"];
  const chunked = headers["transfer-encoding"] !== undefined;
  delete headers["transfer-encoding"];
  const declaredBytes = declared === undefined ? undefined : Number(declared);
  const body = chunked || (declaredBytes ?? 0) > 0 ? new IncomingBody(native, declaredBytes) : null;
  const method = nativeRequest.getCaseSensitiveMethod();
  const channel = new ResponseChannel(native, method === "HEAD");
  native.onAborted(() => {
    channel.clientGone();
    body?.abort();
  });
  headers.host = internal.host ?? headers.host ?? "";
  const request = new ReceivedRequest({
    method,
    path: nativeRequest.getUrl(),
    // Undefined, against the package's types, when the target has no question mark.
    query: (nativeRequest.getQuery() as string | undefined) ?? "",
    headers,
    body,
    publicUrl: internal["public-url"] ?? "",
    publicPath: internal["public-path"] ?? "",
    clientAddress: internal["client-address"] ?? "",
    requestId: headers["x-request-id"] ?? "",
  });
  return { project, service, request, channel };
}
