/** A service request whose abort signal is made only when a service asks for it: most never do. */
import type { ServiceRequest } from "../service.ts";
import type { IncomingBody } from "./incoming-body.ts";

export interface ReceivedFields extends Omit<ServiceRequest, "signal" | "body"> {
  readonly body: IncomingBody | null;
}

export class ReceivedRequest implements ServiceRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: IncomingBody | null;
  readonly publicUrl: string;
  readonly publicPath: string;
  readonly clientAddress: string;
  readonly requestId: string;
  #controller: AbortController | null = null;
  #aborted = false;

  constructor(fields: ReceivedFields) {
    this.method = fields.method;
    this.path = fields.path;
    this.query = fields.query;
    this.headers = fields.headers;
    this.body = fields.body;
    this.publicUrl = fields.publicUrl;
    this.publicPath = fields.publicPath;
    this.clientAddress = fields.clientAddress;
    this.requestId = fields.requestId;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#aborted) this.#controller.abort();
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}
