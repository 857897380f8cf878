/** Serves requests over HTTP/1.1, for the standalone form: one service, no projects, nobody in front. */
import { IncomingBody } from "../http/incoming-body.ts";
import { InFlight, openPort } from "../http/listen.ts";
import { ReceivedRequest } from "../http/received-request.ts";
import { ResponseChannel } from "../http/response-channel.ts";
import {
  App,
  closeListenSocket,
  type HttpRequest,
  type HttpResponse,
  type ListenSocket,
  localPort,
  type TemplatedApp,
} from "../http/uws.ts";
import { writeServiceResponse } from "../http/write-service-response.ts";
import { BodyAborted, BodyStalled, type ServiceRequest, type ServiceResponse } from "../service.ts";

export type Handler = (request: ServiceRequest) => Promise<ServiceResponse>;

export interface ListenAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Path of a Unix socket; goes before host and port. */
  readonly unixSocket?: string | undefined;
}

export interface HttpServer {
  /** @returns The port; 0 for a Unix socket. @throws When the address cannot be had. */
  listen(address: ListenAddress): Promise<number>;
  /** Takes no new connections and resolves when what is in flight is done, or after the deadline. */
  close(deadlineMs: number): Promise<void>;
}

/** @param onFailure Told what the handler threw; the client gets a bare 500. */
export function createHttpServer(handle: Handler, onFailure: (error: unknown) => void): HttpServer {
  const app = App();
  const inFlight = new InFlight();
  let listening: ListenSocket | null = null;
  app.any("/*", (response, request) => void serve(response, request));

  async function serve(native: HttpResponse, nativeRequest: HttpRequest): Promise<void> {
    const { request, channel } = receive(native, nativeRequest);
    inFlight.enter();
    channel.whenClosed(() => {
      request.abort();
      inFlight.leave();
    });
    let answer: ServiceResponse;
    try {
      answer = await handle(request);
    } catch (error) {
      if (error instanceof BodyStalled) answer = { status: 408, headers: [], body: "" };
      else if (error instanceof BodyAborted) return;
      else {
        onFailure(error);
        answer = { status: 500, headers: [], body: "" };
      }
    }
    if (channel.closed) return;
    channel.closeAfter ||= request.body !== null && !request.body.complete;
    request.body?.finish();
    await writeServiceResponse(channel, answer).catch(onFailure);
  }

  return {
    async listen({ host, port, unixSocket }) {
      listening = await (unixSocket === undefined ? openPort(app, port, host, false) : openSocket(app, unixSocket));
      return unixSocket === undefined ? localPort(listening) : 0;
    },
    async close(deadlineMs) {
      if (listening) closeListenSocket(listening);
      listening = null;
      await inFlight.idle(deadlineMs);
      app.close();
    },
  };
}

function receive(
  native: HttpResponse,
  nativeRequest: HttpRequest,
): { request: ReceivedRequest; channel: ResponseChannel } {
  const headers: Record<string, string> = Object.create(null);
  nativeRequest.forEach((name, value) => {
    const before = headers[name];
    headers[name] = before === undefined ? value : `${before}${name === "cookie" ? "; " : ", "}${value}`;
  });
  const method = nativeRequest.getCaseSensitiveMethod().toUpperCase();
  const declared = headers["content-length"];
  const hasBody = headers["transfer-encoding"] !== undefined || (declared !== undefined && declared !== "0");
  const body = hasBody ? new IncomingBody(native, declared === undefined ? undefined : Number(declared)) : null;
  const channel = new ResponseChannel(native, method === "HEAD");
  native.onAborted(() => {
    body?.abort();
    channel.clientGone();
  });
  const request = new ReceivedRequest({
    method,
    path: nativeRequest.getUrl(),
    query: nativeRequest.getQuery() ?? "",
    headers,
    body,
    publicUrl: `http://${headers.host ?? "localhost"}`,
    publicPath: "",
    clientAddress: "",
    requestId: headers["x-request-id"] ?? "",
  });
  return { request, channel };
}

function openSocket(app: TemplatedApp, path: string): Promise<ListenSocket> {
  return new Promise((resolve, reject) => {
    app.listen_unix((socket) => {
      if (socket) resolve(socket);
      else reject(new Error(`the socket ${path} cannot be had`));
    }, path);
  });
}
