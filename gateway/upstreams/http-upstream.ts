/** Services behind a socket: our own in another process, or a dedicated project's containers. */

import type { IncomingBody } from "../../data-plane/http/incoming-body.ts";
import { forbidsBody, type ResponseHead } from "../../data-plane/http/response-channel.ts";
import { BodyStalled, BodyTooLarge } from "../../data-plane/service.ts";
import type { AdmittedRequest } from "../admission/admitted.ts";
import type { GatewayErrorCode } from "../errors.ts";
import type { Exchange } from "../exchange.ts";
import type { Logger } from "../logger.ts";
import type { UpstreamClient } from "../proxy/client.ts";
import type { JobCarrier, UpstreamFailure, UpstreamJob } from "../proxy/job.ts";
import type { UpstreamHead } from "../proxy/response-parser.ts";
import { clientHeaders } from "../response-headers.ts";
import { publicPath, type Timeouts, type Upstream, upstreamHeaders } from "./upstream.ts";

export interface HttpUpstreamOptions {
  readonly client: UpstreamClient;
  readonly timeouts: Timeouts;
  /** Proves to our own services that a request comes from a gateway; never sent to a dedicated project's containers. */
  readonly serviceToken: string | null;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Bodies up to this size are awaited and sent in one write with their head. */
const SMALL_BODY_BYTES = 64 * 1024;

export function createHttpUpstream(options: HttpUpstreamOptions, origin: string): Upstream {
  const host = new URL(origin).host;
  return {
    send(admitted) {
      const { exchange, route } = admitted;
      const { body } = exchange;
      const head = requestHead(options, host, admitted);
      const { idleMs } = options.timeouts[route.service];
      body?.stallAfter(idleMs, () => exchange.reject("request_timeout"));
      if (body === null) new HttpForward(options, origin, admitted, head, null).start();
      else if ((body.declaredBytes ?? Number.POSITIVE_INFINITY) > SMALL_BODY_BYTES) {
        new HttpForward(options, origin, admitted, head, body).start();
      } else collect(exchange, body, (whole) => new HttpForward(options, origin, admitted, head, whole).start());
    },
  };
}

/** Upstreams by origin: they hold nothing but a parsed host name. */
export function createHttpUpstreams(options: HttpUpstreamOptions): (origin: string) => Upstream {
  const byOrigin = new Map<string, Upstream>();
  return (origin) => {
    let upstream = byOrigin.get(origin);
    if (!upstream) {
      upstream = createHttpUpstream(options, origin);
      byOrigin.set(origin, upstream);
    }
    return upstream;
  };
}

function collect(exchange: Exchange, body: IncomingBody, onWhole: (whole: Buffer) => void): void {
  const chunks: Buffer[] = [];
  body.pushTo(
    (chunk, last) => {
      chunks.push(chunk);
      if (last && !exchange.settled) onWhole(chunks.length === 1 ? chunk : Buffer.concat(chunks));
      return true;
    },
    (failure) => rejectBody(exchange, failure),
  );
}

function rejectBody(exchange: Exchange, failure: Error): void {
  if (failure instanceof BodyTooLarge) exchange.reject("body_too_large");
  else if (failure instanceof BodyStalled) exchange.reject("request_timeout");
}

function requestHead(options: HttpUpstreamOptions, host: string, admitted: AdmittedRequest): string {
  const { exchange, route, tenant, credentials } = admitted;
  const { request } = exchange;
  const target = credentials.query === "" ? route.path : `${route.path}?${credentials.query}`;
  // The realtime server knows a tenant by the first label of the host.
  const upstreamHost = route.service === "realtime" ? `${tenant.snapshot.projectRef}.${host}` : host;
  let head = `${request.method} ${target} HTTP/1.1\r\nhost: ${upstreamHost}\r\n`;
  const headers = upstreamHeaders(admitted);
  for (let index = 0; index < headers.length; index += 2) head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  if (tenant.snapshot.plan === "shared" && options.serviceToken !== null) {
    const internal = internalHeaders(options.serviceToken, admitted);
    for (const name in internal) head += `${name}: ${internal[name]}\r\n`;
  }
  if (request.chunked) head += "transfer-encoding: chunked\r\n";
  else if (request.contentLength !== undefined) head += `content-length: ${request.contentLength}\r\n`;
  return `${head}\r\n`;
}

/** What http-host.ts of the data plane reads. */
export function internalHeaders(serviceToken: string, admitted: AdmittedRequest): Record<string, string> {
  const { exchange, tenant, route, origin } = admitted;
  return {
    "x-supalove-token": serviceToken,
    "x-supalove-project": tenant.snapshot.projectRef,
    "x-supalove-service": route.service,
    "x-supalove-public-url": origin.url,
    "x-supalove-public-path": publicPath(admitted),
    "x-supalove-host": exchange.forwarded.host,
    "x-supalove-client-address": exchange.forwarded.clientAddress,
  };
}

const FAILURE_CODES: Readonly<Record<UpstreamFailure, GatewayErrorCode>> = {
  connect: "upstream_unavailable",
  overloaded: "upstream_unavailable",
  reset: "upstream_failed",
  protocol: "upstream_failed",
  timeout: "upstream_timeout",
  client: "request_timeout",
};

/** Where the fault lies elsewhere: a neighbour's requests have all connections, or the client does not go on. */
const BLAMELESS: ReadonlySet<UpstreamFailure> = new Set(["overloaded", "client"]);

/** Carries one request to the upstream and its response back. */
class HttpForward implements UpstreamJob {
  readonly project: string;
  readonly method: string;
  readonly head: string;
  readonly body: Buffer | IncomingBody | null;
  readonly responseMs: number;
  readonly idleMs: number;
  readonly #options: HttpUpstreamOptions;
  readonly #origin: string;
  readonly #admitted: AdmittedRequest;
  readonly #exchange: Exchange;
  connection: JobCarrier | null = null;
  waitUntilMs = 0;
  retried = false;
  alone = false;
  /** The upstream still has something to say. */
  #open = true;
  /** Its response is on its way to the client. */
  #streaming = false;

  constructor(
    options: HttpUpstreamOptions,
    origin: string,
    admitted: AdmittedRequest,
    head: string,
    body: Buffer | IncomingBody | null,
  ) {
    const { exchange, tenant, route } = admitted;
    this.#options = options;
    this.#origin = origin;
    this.#admitted = admitted;
    this.#exchange = exchange;
    this.project = tenant.snapshot.projectRef;
    this.method = exchange.request.method;
    this.head = head;
    this.body = body;
    this.responseMs = options.timeouts[route.service].responseMs;
    this.idleMs = options.timeouts[route.service].idleMs;
  }

  start(): void {
    this.#exchange.whenSettled(() => {
      // A response that has gone out whole has come in whole: its connection is about to be free.
      if (!this.#streaming || this.#exchange.channel.aborted) this.#stop();
    });
    this.#options.client.send(this.#origin, this);
  }

  #stop(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#options.client.cancel(this.#origin, this);
  }

  onResponse(head: UpstreamHead, body: Buffer): void {
    this.#open = false;
    const channel = this.#begin(head);
    if (!channel) return;
    const responseHead = this.#responseHead(head);
    channel.send(responseHead, forbidsBody(head.status) ? null : body, head.contentLength);
  }

  onHead(head: UpstreamHead, first: Buffer): boolean {
    const channel = this.#begin(head);
    if (!channel) {
      this.#stop();
      return true;
    }
    this.#streaming = true;
    channel.whenDrained(() => this.connection?.resume(this));
    return channel.start(this.#responseHead(head), head.contentLength, first);
  }

  onBody(chunk: Buffer): boolean {
    return this.#exchange.channel.write(chunk);
  }

  onEnd(): void {
    this.#open = false;
    this.#exchange.channel.end();
  }

  onRequestBodyFailure(failure: Error): void {
    this.#open = false;
    rejectBody(this.#exchange, failure);
  }

  onFailure(failure: UpstreamFailure, detail: string): void {
    const { exchange, tenant, route } = this.#admitted;
    this.#open = false;
    if (!BLAMELESS.has(failure)) tenant.breakers.failure(route.service, this.#options.now());
    const project = this.project;
    const { service } = route;
    this.#options.logger.warn({ requestId: exchange.requestId, project, service, failure, detail }, "upstream failed");
    if (exchange.channel.started) exchange.channel.destroy();
    else exchange.reject(FAILURE_CODES[failure], failure === "reset" ? [] : ["retry-after", "1"]);
  }

  /** @returns Null when there is nobody to answer any more. */
  #begin(head: UpstreamHead) {
    const { exchange, tenant, route } = this.#admitted;
    if (exchange.settled) return null;
    exchange.upstreamAnsweredMs = performance.now();
    exchange.status = head.status;
    tenant.breakers.success(route.service);
    if (exchange.body !== null && !exchange.body.complete) {
      exchange.channel.closeAfter = true;
      exchange.body.finish();
    }
    return exchange.channel;
  }

  #responseHead({ status, reason, headers, hopByHop }: UpstreamHead): ResponseHead {
    return { statusLine: `${status} ${reason}`, headers: clientHeaders(this.#admitted, headers, hopByHop) };
  }
}
