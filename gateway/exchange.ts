/** One request and its response on their way through the gateway. */
import type { ProjectRef, ServiceName } from "../control-plane/client/config-snapshot.ts";
import { checkedHeaderList, type HeaderList, headerList } from "../data-plane/http/header-list.ts";
import type { IncomingBody } from "../data-plane/http/incoming-body.ts";
import { ResponseChannel } from "../data-plane/http/response-channel.ts";
import type { ProjectUsage } from "./admission/limits.ts";
import type { ClientRequest } from "./client-request.ts";
import { type CorsPolicy, OPEN_CORS } from "./cors.ts";
import { type GatewayErrorCode, renderError } from "./errors.ts";
import type { Forwarded } from "./forwarded.ts";

/** How much of a refused request's body is taken in, so that the client reads the refusal instead of a reset. */
const LINGER_BYTES = 16 * 1024 * 1024;
const LINGER_MS = 5_000;

/** Whom and what a request is for, as far as answers, the log and the metrics tell of it. */
export interface ExchangeSubject {
  /** Undefined when there is no such project. */
  readonly projectRef: ProjectRef | undefined;
  /** Undefined when the path leads to no service. */
  readonly service: ServiceName | undefined;
  readonly cors: CorsPolicy;
}

const NOBODY: ExchangeSubject = { projectRef: undefined, service: undefined, cors: OPEN_CORS };

export class Exchange {
  readonly request: ClientRequest;
  readonly requestId: string;
  readonly forwarded: Forwarded;
  readonly channel: ResponseChannel;
  /** Null when the request has none. */
  readonly body: IncomingBody | null;
  /** In milliseconds of performance.now(). */
  readonly startedMs: number;

  /** Replaced once, when the project is looked up. */
  subject: ExchangeSubject = NOBODY;
  /** When the request was handed to its upstream; 0 until then. */
  upstreamStartedMs = 0;
  /** When the head of the upstream's answer was there; 0 until then. */
  upstreamAnsweredMs = 0;
  status = 0;
  /** Why the gateway answered itself. */
  errorCode: GatewayErrorCode | null = null;
  #enteredUsage: ProjectUsage | null = null;
  #onSettled: (() => void) | null = null;

  constructor(
    request: ClientRequest,
    requestId: string,
    forwarded: Forwarded,
    channel: ResponseChannel,
    body: IncomingBody | null,
    startedMs: number,
  ) {
    this.request = request;
    this.requestId = requestId;
    this.forwarded = forwarded;
    this.channel = channel;
    this.body = body;
    this.startedMs = startedMs;
  }

  /** Sets what is called when the client is gone or the response is out: whoever works for the exchange stops. */
  whenSettled(callback: () => void): void {
    this.#onSettled = callback;
  }

  /** Counts as one of the project's requests in flight until it is settled. */
  enter(usage: ProjectUsage): void {
    usage.requestsInFlight += 1;
    this.#enteredUsage = usage;
    this.upstreamStartedMs = performance.now();
  }

  /** The connection has become a WebSocket: for plain requests it is over. */
  upgraded(): void {
    this.status = 101;
    this.channel.upgraded();
  }

  /** Called once when the response is out or the client is gone. */
  leave(): void {
    if (this.#enteredUsage) this.#enteredUsage.requestsInFlight -= 1;
    this.#enteredUsage = null;
    this.#onSettled?.();
  }

  /** There is an answer, or nobody left to take it. */
  get settled(): boolean {
    return this.errorCode !== null || this.channel.started || this.channel.closed;
  }

  /** Answers with an error of the gateway's own; nothing happens when there is an answer. */
  reject(code: GatewayErrorCode, extraHeaders: readonly string[] = []): void {
    if (this.settled) return;
    const error = renderError(code, this.subject.service ?? null);
    this.errorCode = code;
    const headers = ["content-type", "application/json; charset=utf-8", ...extraHeaders];
    this.answer(error.status, error.statusLine, headerList([...headers, ...this.ownHeaders()]), error.body);
  }

  /** Sends a small answer of the gateway's own, after what is left of the request's body has been taken in. */
  answer(status: number, statusLine: string, headers: HeaderList, text: string | null): void {
    const body = this.body;
    const send = () => {
      clearTimeout(timer);
      if (this.channel.started || this.channel.closed) return;
      this.status = status;
      this.channel.closeAfter ||= body !== null && !body.complete;
      body?.finish();
      this.channel.send({ statusLine, headers }, text);
    };
    let timer: NodeJS.Timeout | undefined;
    if (body === null || body.complete) {
      send();
    } else if (status === 408 || (body.declaredBytes ?? 0) - body.receivedBytes > LINGER_BYTES) {
      send(); // the client sends nothing, or waiting would only invite it to go on
    } else {
      timer = setTimeout(send, LINGER_MS);
      body.discard(send, LINGER_BYTES);
    }
  }

  /** Headers of every answer: CORS, which is a checked list, and the request's id, of which request-id.ts takes only plain characters. */
  ownHeaders(): HeaderList {
    const cors = this.subject.cors.responseHeaders(this.request.origin);
    return checkedHeaderList(["x-request-id", this.requestId, ...cors]);
  }
}

/** Wires a channel to the native abort event; both must exist in the request's first turn. */
export function openChannel(
  native: ConstructorParameters<typeof ResponseChannel>[0],
  headOnly: boolean,
  body: IncomingBody | null,
): ResponseChannel {
  const channel = new ResponseChannel(native, headOnly);
  native.onAborted(() => {
    channel.clientGone();
    body?.abort();
  });
  return channel;
}
