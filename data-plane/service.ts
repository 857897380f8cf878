/**
 * What a data-plane service is: a function from a request of one project to a response. The gateway calls it in its
 * own process (a local upstream) or reaches it over HTTP (http-host.ts); the service cannot tell the difference.
 */
import type { ServiceSnapshot } from "../control-plane/client/config-snapshot.ts";

export interface ServiceRequest {
  /** Upper-case. */
  readonly method: string;
  /** The path below the service's prefix, still percent-encoded, starting with `/`: `/todos` of `/rest/v1/todos`. */
  readonly path: string;
  /** The raw query string without `?`; empty when there is none. */
  readonly query: string;
  /** Lower-case names; a repeated header is joined by ", ". The object has no prototype. */
  readonly headers: Readonly<Record<string, string>>;
  /** Null when the request has no body (no Content-Length or 0, and not chunked). */
  readonly body: RequestBody | null;
  /** Public base URL of the project as the client used it, no trailing slash: for links, Location, issuer. */
  readonly publicUrl: string;
  /** Path prefix that was removed from the request target, such as `/projects/<ref>/rest/v1`. */
  readonly publicPath: string;
  /** Address of the client as the gateway trusts it. */
  readonly clientAddress: string;
  readonly requestId: string;
  /**
   * The JWT in `apikey` and `authorization` when the client came with an opaque key. It is the installation's own:
   * nothing that a tenant can read (SQL, answers, logs) may hold it; see {@link clientHeaders}.
   */
  readonly roleToken?: string;
  /** Aborted when the client goes away or the gateway's timeout for the service has passed. Made on first use. */
  readonly signal: AbortSignal;
}

/** The headers of a request without those that the client has not sent: what may be shown to the project's own code. */
export function clientHeaders({
  headers,
  roleToken,
}: Pick<ServiceRequest, "headers" | "roleToken">): Readonly<Record<string, string>> {
  if (roleToken === undefined) return headers;
  const shown = Object.entries(headers).filter(([, value]) => !value.includes(roleToken));
  return Object.assign(Object.create(null), Object.fromEntries(shown));
}

/** A body is read once: either whole or as a stream. */
export interface RequestBody {
  /** From Content-Length; undefined when chunked. */
  readonly declaredBytes: number | undefined;
  /** @throws {BodyTooLarge} as soon as more than `maxBytes` have arrived. @throws {BodyAborted} */
  read(maxBytes: number): Promise<Buffer>;
  /**
   * Pauses the sender while the consumer is slow.
   * @throws {BodyTooLarge} at once when the announced length is beyond the project's limit for the route, else when
   * more has arrived. @throws {BodyAborted}
   */
  stream(options?: StreamOptions): AsyncIterable<Buffer>;
}

export interface StreamOptions {
  /** Each piece is only lent until the next one is asked for; who keeps one for longer copies it. */
  readonly lends?: boolean;
}

export class BodyTooLarge extends Error {
  readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`request body larger than ${maxBytes} bytes`);
    this.maxBytes = maxBytes;
  }
}

/** The client went away before its body had arrived. */
export class BodyAborted extends Error {}

/** The client is there and has sent nothing of its body for too long; whoever hosts the service answers 408. */
export class BodyStalled extends BodyAborted {
  constructor(idleMs: number) {
    super(`nothing of the request body has come for ${idleMs} ms`);
  }
}

export interface ServiceResponse {
  readonly status: number;
  /** Reason phrase when it is not the standard one. */
  readonly statusText?: string;
  /** In order; a name may repeat. Content-Length is set by the host from a string or Buffer body. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string | Buffer | AsyncIterable<Buffer> | null;
}

/** Never throws for a request's fault; what it throws becomes a bare 500 and is logged with the request id. */
export type Service = (request: ServiceRequest, project: ServiceSnapshot) => ServiceResponse | Promise<ServiceResponse>;
