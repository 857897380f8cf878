/** One request to an upstream and who waits for its response. */
import type { IncomingBody } from "../../data-plane/http/incoming-body.ts";
import type { UpstreamHead } from "./response-parser.ts";

export type UpstreamFailure =
  /** No connection could be made; the request was not sent. */
  | "connect"
  /** No connection was free and too many wait, or for too long; the request was not sent. */
  | "overloaded"
  /** The connection ended before the response did. */
  | "reset"
  | "timeout"
  /** The client took nothing of the response, or sent nothing of its body, for too long. */
  | "client"
  /** The response broke the protocol. */
  | "protocol";

/** What carries a job, as far as whoever works on the job may use it. */
export interface JobCarrier {
  /** Nobody waits for the response any more. */
  cancel(job: UpstreamJob): void;
  /** There is room again for more of the response. */
  resume(job: UpstreamJob): void;
}

export interface UpstreamJob {
  /** Whose request it is: connections and places in the queue are shared out between these. */
  readonly project: string;
  readonly method: string;
  /** Request line and headers, with the framing of the body and the empty line that ends them. */
  readonly head: string;
  /** A Buffer is sent together with the head; a stream follows it, in chunks when its length is not declared. */
  readonly body: Buffer | IncomingBody | null;
  /** Until the response's head, counted from the last byte of the request. */
  readonly responseMs: number;
  /** Between two pieces of a body, in either direction. */
  readonly idleMs: number;

  /** Where the pool has put the job; null while it waits. This and the next three are the pool's own notes. */
  connection: JobCarrier | null;
  /** Until when it waits for a connection. */
  waitUntilMs: number;
  /** It had its second try. */
  retried: boolean;
  /** It must not be pipelined any more. */
  alone: boolean;

  /** The whole response came at once. The body's memory is valid during the call. */
  onResponse(head: UpstreamHead, body: Buffer): void;
  /** The head and the first piece of a longer response; as {@link onBody}. */
  onHead(head: UpstreamHead, first: Buffer): boolean;
  /** @returns False to pause the upstream until it is resumed. Memory is valid during the call. */
  onBody(chunk: Buffer): boolean;
  onEnd(): void;
  /** The request's own body broke off or grew too large; the upstream has been left. Nothing else is called then. */
  onRequestBodyFailure(failure: Error): void;
  /** Called at most once, instead of {@link onResponse} or {@link onEnd}. */
  onFailure(failure: UpstreamFailure, detail: string): void;
}

/** Requests that may be repeated: they change nothing and carry nothing. */
export function isRepeatable(job: UpstreamJob): boolean {
  return job.body === null && (job.method === "GET" || job.method === "HEAD" || job.method === "OPTIONS");
}
