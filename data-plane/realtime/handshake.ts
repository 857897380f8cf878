/** The opening handshake: which version, whose token, and what is answered in place of a WebSocket. */
import type { ServiceResponse } from "../service.ts";
import type { SocketRequest } from "../socket-service.ts";
import type { RealtimeProject } from "./project.ts";
import type { Version } from "./protocol/client-frame.ts";
import type { SocketOrigin } from "./socket.ts";
import { isFault, type TokenFault } from "./tokens/token-verifier.ts";

export interface Refusal {
  readonly status: number;
  /** Empty: an answer without a body, at once. */
  readonly text: string;
}

/** Seconds since the epoch. */
const NEVER = 253_402_300_799;
const MAX_POLICY_HEADERS_LENGTH = 4_000;

/** The checks of Supabase Realtime, in its order. */
export function judgeHandshake(request: SocketRequest, project: RealtimeProject): SocketOrigin | Refusal {
  const { settings, around, verifier, users, joins, seconds } = project;
  const query = new URLSearchParams(request.query);
  const version = parseVersion(query.get("vsn") ?? "1.0.0");
  if (version === null) return { status: 403, text: "" };
  if (settings.suspended) return { status: 403, text: "Realtime was disabled for this tenant" };
  const text = request.headers["x-api-key"] ?? query.get("apikey");
  if (!text) return { status: 401, text: "API key is missing" };
  const token = verifier.verify(text, around.now());
  if (isFault(token)) return { status: 401, text: handshakeText(token) };
  if (users >= settings.maxConcurrentUsers) return { status: 429, text: "Too many connected users" };
  if (joins.isOver(settings.maxJoinsPerSecond, seconds)) return { status: 429, text: "Too many joins per second" };
  // What stands for an opaque key lives for minutes; the key holds until it is revoked, and the gateway ends its sockets.
  const lasting = request.roleToken === undefined ? token : { ...token, expiresAt: NEVER };
  return { version, token: lasting, headers: policyHeaders(request.headers) };
}

export function refusalResponse({ status, text }: Refusal): ServiceResponse {
  if (text === "") return { status, headers: [], body: "" };
  return { status, headers: [["content-type", "application/json"]], body: JSON.stringify({ error: text }) };
}

function handshakeText({ text }: TokenFault): string {
  return text;
}

function parseVersion(text: string): Version | null {
  if (/^1\.0\.\d+$/.test(text)) return 1;
  return /^2\.0\.\d+$/.test(text) ? 2 : null;
}

/** JSON text of what policies see in `request.headers`: the client's own headers that begin with `x-`. */
export function policyHeaders(headers: Readonly<Record<string, string>>): string {
  const own = Object.entries(headers).filter(([name]) => name.startsWith("x-") && name !== "x-api-key");
  const text = JSON.stringify(Object.fromEntries(own));
  return text.length > MAX_POLICY_HEADERS_LENGTH ? "{}" : intern(text);
}

/** Thousands of sockets of one page send the same headers. */
let lastHeaders = "{}";
function intern(text: string): string {
  if (text !== lastHeaders) lastHeaders = text;
  return lastHeaders;
}
