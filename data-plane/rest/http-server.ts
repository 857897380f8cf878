/** Serves a {@link Service}-like function over HTTP/1.1, for the standalone form. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { BodyAborted, BodyTooLarge, type RequestBody, type ServiceRequest, type ServiceResponse } from "../service.ts";

export type Handler = (request: ServiceRequest) => Promise<ServiceResponse>;

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
  /** Path of a Unix socket; goes before host and port. */
  readonly unixSocket?: string | undefined;
}

/** @param onFailure Told what the handler threw; the client gets a bare 500. */
export function createHttpServer(handle: Handler, onFailure: (error: unknown) => void): Server {
  return createServer((incoming, outgoing) => {
    const controller = new AbortController();
    outgoing.once("close", () => {
      if (!outgoing.writableFinished) controller.abort();
    });
    handle(toServiceRequest(incoming, controller.signal)).then(
      (response) => send(outgoing, incoming.method, response),
      (error: unknown) => {
        if (error instanceof BodyAborted) return;
        onFailure(error);
        if (!outgoing.headersSent) outgoing.writeHead(500, { "Content-Length": 0 }).end();
      },
    );
  });
}

/** Resolves when the server listens; its port when it was asked for any (0). */
export async function listen(server: Server, address: ListenAddress): Promise<number> {
  await new Promise<void>((listening, failed) => {
    server.once("error", failed);
    const done = () => {
      server.off("error", failed);
      listening();
    };
    if (address.unixSocket !== undefined) server.listen(address.unixSocket, done);
    else server.listen(address.port, address.host, done);
  });
  const bound = server.address();
  return typeof bound === "object" && bound !== null ? bound.port : 0;
}

function toServiceRequest(incoming: IncomingMessage, signal: AbortSignal): ServiceRequest {
  const url = incoming.url ?? "/";
  const question = url.indexOf("?");
  const headers: Record<string, string> = Object.create(null);
  const raw = incoming.rawHeaders;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] ?? "").toLowerCase();
    const value = raw[index + 1] ?? "";
    const before = headers[name];
    headers[name] = before === undefined ? value : `${before}${name === "cookie" ? "; " : ", "}${value}`;
  }
  const declared = headers["content-length"];
  const hasBody = headers["transfer-encoding"] !== undefined || (declared !== undefined && declared !== "0");
  return {
    method: incoming.method ?? "GET",
    path: question < 0 ? url : url.slice(0, question),
    query: question < 0 ? "" : url.slice(question + 1),
    headers,
    body: hasBody ? new IncomingBody(incoming, declared === undefined ? undefined : Number(declared)) : null,
    publicUrl: `http://${headers.host ?? "localhost"}`,
    publicPath: "",
    clientAddress: incoming.socket.remoteAddress ?? "",
    requestId: headers["x-request-id"] ?? "",
    signal,
  };
}

class IncomingBody implements RequestBody {
  private readonly incoming: IncomingMessage;
  readonly declaredBytes: number | undefined;

  constructor(incoming: IncomingMessage, declaredBytes: number | undefined) {
    this.incoming = incoming;
    this.declaredBytes = declaredBytes;
  }

  async read(maxBytes: number): Promise<Buffer> {
    if (this.declaredBytes !== undefined) {
      if (this.declaredBytes > maxBytes) throw new BodyTooLarge(maxBytes);
      return this.readDeclared(this.declaredBytes);
    }
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of this.stream()) {
      length += chunk.length;
      if (length > maxBytes) throw new BodyTooLarge(maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, length);
  }

  /** Into one buffer of the size told, so that a large body is in memory once. */
  private async readDeclared(bytes: number): Promise<Buffer> {
    const whole = Buffer.allocUnsafe(bytes);
    let length = 0;
    for await (const chunk of this.stream()) length += chunk.copy(whole, length);
    return whole.subarray(0, length);
  }

  async *stream(): AsyncIterable<Buffer> {
    try {
      for await (const chunk of this.incoming) yield chunk as Buffer;
    } catch (error) {
      throw new BodyAborted("the client went away", { cause: error });
    }
  }
}

function send(outgoing: ServerResponse, method: string | undefined, response: ServiceResponse): void {
  const { status, statusText, headers, body } = response;
  const flat: string[] = [];
  for (const [name, value] of headers) flat.push(name, value);
  const content = typeof body === "string" ? Buffer.from(body) : Buffer.isBuffer(body) ? body : null;
  if (status !== 204 && method !== "HEAD") flat.push("Content-Length", String(content?.length ?? 0));
  if (statusText === undefined) outgoing.writeHead(status, flat);
  else outgoing.writeHead(status, statusText, flat);
  outgoing.end(content ?? undefined);
}
