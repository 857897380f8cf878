/** Services that run in this process: a call instead of a connection. */
import type { ServiceName } from "../../control-plane/client/config-snapshot.ts";
import { type HeldBytes, HeldBytesExhausted } from "../../data-plane/held-bytes.ts";
import type { IncomingBody } from "../../data-plane/http/incoming-body.ts";
import { ReceivedRequest } from "../../data-plane/http/received-request.ts";
import { writeServiceResponse } from "../../data-plane/http/write-service-response.ts";
import { LocalServiceError, type LocalServices } from "../../data-plane/local-services.ts";
import { BodyAborted, BodyStalled, BodyTooLarge, type ServiceResponse } from "../../data-plane/service.ts";
import type { AdmittedRequest } from "../admission/admitted.ts";
import type { Deadlines } from "../deadlines.ts";
import type { Exchange } from "../exchange.ts";
import type { Logger } from "../logger.ts";
import { clientHeaders } from "../response-headers.ts";
import { publicPath, type Timeouts, type Upstream, upstreamHeaders } from "./upstream.ts";

export interface LocalUpstreamOptions {
  readonly services: LocalServices;
  readonly timeouts: Timeouts;
  readonly deadlines: Deadlines;
  readonly heldBytes: HeldBytes;
  readonly logger: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export function createLocalUpstream(options: LocalUpstreamOptions): Upstream {
  return { send: (admitted) => void serve(options, admitted) };
}

async function serve(options: LocalUpstreamOptions, admitted: AdmittedRequest): Promise<void> {
  const { exchange, tenant, route } = admitted;
  const { channel } = exchange;
  const ref = tenant.snapshot.projectRef;
  if (!options.services.offers(route.service)) {
    exchange.reject("service_not_available");
    return;
  }
  const held = options.heldBytes.account(ref);
  exchange.body?.chargeTo(held);
  const request = toServiceRequest(admitted);
  const onLate = () => {
    tenant.breakers.failure(route.service, options.now());
    exchange.reject("upstream_timeout");
    request.abort();
  };
  const deadline = answerDeadline(options, exchange.body, route.service, onLate);
  exchange.body?.stallAfter(options.timeouts[route.service].idleMs, () => {
    exchange.reject("request_timeout");
    request.abort();
  });
  let isAnswered = false;
  exchange.whenSettled(() => {
    deadline.stop();
    held.close();
    if (!isAnswered) request.abort(); // costs an event and an exception object: only for a service that still works
  });
  try {
    const response = await options.services.handle(ref, route.service, request);
    deadline.stop();
    if (exchange.settled) return;
    isAnswered = response.body === null || typeof response.body === "string" || Buffer.isBuffer(response.body);
    exchange.upstreamAnsweredMs = performance.now();
    exchange.status = response.status;
    tenant.breakers.success(route.service);
    exchange.body?.finish();
    channel.closeAfter ||= exchange.body !== null && !exchange.body.complete;
    const answer = isAnswered ? response : withIdleLimit(options, admitted, response);
    await writeServiceResponse(channel, answer, {
      held,
      toClient: (headers) => clientHeaders(admitted, headers),
    });
  } catch (error) {
    deadline.stop();
    refuse(options, exchange, error);
  }
}

/**
 * The service's time begins when the last byte of the request is there. Before, it is the client's turn, or the service
 * keeps it from sending by not reading.
 */
function answerDeadline(
  { deadlines, timeouts }: LocalUpstreamOptions,
  body: IncomingBody | null,
  service: ServiceName,
  onLate: () => void,
): { stop(): void } {
  const { responseMs, idleMs } = timeouts[service];
  if (body === null || body.complete) return deadlines.start(responseMs, onLate);
  const look = () => {
    if (!body.complete) {
      const leftMs = idleMs - body.pausedMs(performance.now());
      if (leftMs > 0) {
        deadline = deadlines.start(leftMs, look);
        return;
      }
    }
    onLate();
  };
  let deadline = deadlines.start(idleMs, look);
  body.whenComplete(() => deadline.extend(responseMs));
  return { stop: () => deadline.stop() };
}

/** A stream that stands still is cut, so that it does not stay the project's request in flight for ever. */
function withIdleLimit(
  options: LocalUpstreamOptions,
  { exchange, tenant, route }: AdmittedRequest,
  response: ServiceResponse,
): ServiceResponse {
  const { idleMs } = options.timeouts[route.service];
  const onPassed = () => {
    tenant.breakers.failure(route.service, options.now());
    exchange.channel.destroy();
  };
  async function* limited(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    const pieces = body[Symbol.asyncIterator]();
    try {
      while (true) {
        const deadline = options.deadlines.start(idleMs, onPassed);
        const piece = await pieces.next().finally(() => deadline.stop());
        if (piece.done) return;
        yield piece.value;
      }
    } finally {
      await pieces.return?.();
    }
  }
  return { ...response, body: limited(response.body as AsyncIterable<Buffer>) };
}

function refuse(options: LocalUpstreamOptions, exchange: Exchange, error: unknown): void {
  if (error instanceof BodyTooLarge) exchange.reject("body_too_large");
  else if (error instanceof HeldBytesExhausted) exchange.reject("too_many_bytes_held", ["retry-after", "1"]);
  else if (error instanceof BodyStalled) exchange.reject("request_timeout");
  else if (error instanceof LocalServiceError) exchange.reject(error.code);
  else if (!(error instanceof BodyAborted)) {
    options.logger.error({ err: error, requestId: exchange.requestId }, "a service failed to handle a request");
    exchange.reject("internal_error");
  }
}

/** The request as a service in this process sees it. */
export function toServiceRequest(admitted: AdmittedRequest): ReceivedRequest {
  const { exchange, route, credentials, origin } = admitted;
  return new ReceivedRequest({
    method: exchange.request.method,
    path: route.path,
    query: credentials.query,
    headers: headerObject(upstreamHeaders(admitted), exchange),
    body: exchange.body,
    publicUrl: origin.url,
    publicPath: publicPath(admitted),
    clientAddress: exchange.forwarded.clientAddress,
    requestId: exchange.requestId,
  });
}

function headerObject(pairs: readonly string[], exchange: Exchange): Record<string, string> {
  const headers: Record<string, string> = Object.create(null);
  headers.host = exchange.forwarded.host;
  if (exchange.request.contentLength !== undefined) headers["content-length"] = String(exchange.request.contentLength);
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index] as string;
    const value = pairs[index + 1] as string;
    const before = headers[name];
    headers[name] = before === undefined ? value : `${before}, ${value}`;
  }
  return headers;
}
