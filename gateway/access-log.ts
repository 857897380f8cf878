/** One JSON line a request, and one for the life of a WebSocket, without keys, tokens or anything else that grants access. */
import type { Exchange } from "./exchange.ts";
import type { OpenSocket } from "./websocket/open-socket.ts";

/** Query parameters whose values are credentials, one-time codes or signatures. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set([
  ...["apikey", "token", "access_token", "refresh_token", "provider_token", "id_token", "jwt", "secret", "password"],
  ...["code", "token_hash", "code_verifier", "code_challenge", "state", "nonce", "email", "phone"],
  ...["x-amz-signature", "x-amz-credential", "x-amz-security-token", "signature"],
]);

const FLUSH_BYTES = 32 * 1024;
const FLUSH_MS = 100;

/** Replaces secret values by `redacted`; names are compared decoded and in lower case. */
export function redactQuery(query: string): string {
  if (query === "") return "";
  return query
    .split("&")
    .map((pair) => {
      const equals = pair.indexOf("=");
      if (equals === -1) return pair;
      const name = pair.slice(0, equals);
      return SECRET_PARAMETERS.has(decodedName(name)) ? `${name}=redacted` : pair;
    })
    .join("&");
}

function decodedName(name: string): string {
  if (!name.includes("%")) return name.toLowerCase();
  try {
    return decodeURIComponent(name).toLowerCase();
  } catch {
    return "token"; // a name that cannot be read hides its value
  }
}

export interface AccessLog {
  write(exchange: Exchange, durationMs: number): void;
  /** When a WebSocket is over; its opening was a request with status 101 and the same id. */
  writeSocket(socket: OpenSocket, code: number): void;
  close(): void;
}

/**
 * @param sink Takes whole lines, several at once; lines wait up to 100 ms for company.
 * @param now Milliseconds since the epoch.
 */
export function createAccessLog(sink: (lines: string) => void, now: () => number): AccessLog {
  let pending = "";
  const flush = () => {
    if (pending === "") return;
    const lines = pending;
    pending = "";
    sink(lines);
  };
  const timer = setInterval(flush, FLUSH_MS);
  timer.unref();
  const add = (entry: object) => {
    pending += `${JSON.stringify(entry)}\n`;
    if (pending.length >= FLUSH_BYTES) flush();
  };
  return {
    write: (exchange, durationMs) => add(logEntry(exchange, durationMs, now())),
    writeSocket: (socket, code) => add(socketEntry(socket, code, now())),
    close() {
      clearInterval(timer);
      flush();
    },
  };
}

function logEntry(exchange: Exchange, durationMs: number, nowMs: number): object {
  const { request, subject, channel, errorCode } = exchange;
  const upstreamMs = exchange.upstreamAnsweredMs - exchange.upstreamStartedMs;
  return {
    time: nowMs,
    requestId: exchange.requestId,
    project: subject.projectRef,
    service: subject.service,
    method: request.method,
    path: request.path,
    query: redactQuery(request.query) || undefined,
    // 499 as nginx has it: the client went away before there was an answer.
    status: exchange.status || 499,
    error: errorCode ?? undefined,
    client: exchange.forwarded.clientAddress,
    bytesIn: exchange.body?.receivedBytes,
    bytesOut: channel.bodyBytes,
    ms: round(durationMs),
    upstreamMs: exchange.upstreamAnsweredMs > 0 ? round(upstreamMs) : undefined,
    aborted: channel.aborted || undefined,
  };
}

function socketEntry({ admission, traffic, kind }: OpenSocket, code: number, nowMs: number): object {
  return {
    time: nowMs,
    requestId: admission.requestId,
    project: admission.tenant.snapshot.projectRef,
    service: "realtime",
    socket: kind,
    closeCode: code,
    client: admission.clientAddress,
    framesIn: traffic.framesIn,
    framesOut: traffic.framesOut,
    bytesIn: traffic.bytesIn,
    bytesOut: traffic.bytesOut,
    ms: round(performance.now() - admission.openedMs),
  };
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
