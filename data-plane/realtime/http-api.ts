/** The HTTP interface: broadcasts without a socket, and signs of life. */
import type { ServiceRequest, ServiceResponse } from "../service.ts";
import { BodyTooLarge } from "../service.ts";
import { AuthorizationUnavailable } from "./authorization.ts";
import { policyHeaders } from "./handshake.ts";
import type { RealtimeProject } from "./project.ts";
import type { Broadcast } from "./rooms/room.ts";
import { isFault, type VerifiedToken } from "./tokens/token-verifier.ts";

const MAX_BODY_BYTES = 8_000_000;
/** Messages of one batch. */
const MAX_BATCH = 1_000;
const SINGLE_PATH = /^\/api\/broadcast\/([^/]+)\/events\/([^/]+)$/;

export async function handleHttp(request: ServiceRequest, project: RealtimeProject): Promise<ServiceResponse> {
  const { path, method } = request;
  if (method === "GET" || method === "HEAD") {
    if (path === "/api/ping") return json(200, { message: "Success" });
    if (path === "/healthcheck" || path === "/api/healthcheck") {
      return { status: 200, headers: [["content-type", "text/plain"]], body: "ok" };
    }
  }
  const single = SINGLE_PATH.exec(path);
  if (path !== "/api/broadcast" && !single) return json(404, { message: "Not found" });
  if (method === "OPTIONS") return preflight();
  if (method !== "POST") return json(405, { message: "Method not allowed" });
  try {
    const response = await broadcast(request, project, single);
    return { ...response, headers: [...response.headers, ...rateHeaders(project)] };
  } catch (error) {
    if (!(error instanceof BodyTooLarge)) throw error;
    return json(413, { message: "Payload Too Large" });
  }
}

async function broadcast(
  request: ServiceRequest,
  project: RealtimeProject,
  single: RegExpExecArray | null,
): Promise<ServiceResponse> {
  if (project.settings.suspended) return json(403, { message: "Tenant is suspended" });
  const token = authenticate(request, project);
  if (token === null) return json(401, { message: "Unauthorized" });
  if (project.hasTooManyEvents) return json(429, { message: "You have exceeded your rate limit" });
  return single ? sendOne(request, project, token, single) : sendBatch(request, project, token);
}

function authenticate({ headers }: ServiceRequest, project: RealtimeProject): VerifiedToken | null {
  const bearer = /^bearer\s+(.+)$/i.exec(headers.authorization ?? "")?.[1];
  const text = bearer && !bearer.startsWith("sb_") ? bearer : headers.apikey;
  if (!text) return null;
  const token = project.verifier.verify(text, project.around.now());
  return isFault(token) ? null : token;
}

// ---- one message -------------------------------------------------------------------------------------------------

async function sendOne(
  request: ServiceRequest,
  project: RealtimeProject,
  token: VerifiedToken,
  path: RegExpExecArray,
): Promise<ServiceResponse> {
  const topic = decodePart(path[1]);
  const event = decodePart(path[2]);
  if (topic === null || event === null || topic === "" || event === "") return json(404, { message: "Not found" });
  const type = (request.headers["content-type"] ?? "application/json").split(";")[0]?.trim().toLowerCase();
  const encoding = type === "application/json" ? "json" : type === "application/octet-stream" ? "binary" : null;
  if (encoding === null) {
    return json(415, { error: "Unsupported Media Type. Use application/json or application/octet-stream" });
  }
  const payload = (await request.body?.read(MAX_BODY_BYTES)) ?? Buffer.from(encoding === "json" ? "{}" : "");
  if (encoding === "json" && !isJson(payload.toString("utf8"))) return json(422, { message: "Invalid JSON" });
  if (payload.length > project.maxPayloadBytes) {
    return json(422, { message: "Payload size exceeds tenant limit" });
  }
  const isPrivate = new URLSearchParams(request.query).get("private") === "true";
  if (isPrivate) {
    try {
      const asker = { token, topic, headers: policyHeaders(request.headers) };
      if (!(await project.authorization.mayWrite(asker, "broadcast"))) return json(403, { message: "Unauthorized" });
    } catch (error) {
      if (!(error instanceof AuthorizationUnavailable)) throw error;
      return json(422, { message: error.message });
    }
  }
  project.broadcast(topic, isPrivate, { kind: "user", event, encoding, payload, metadata: "" }, null);
  return accepted();
}

// ---- many ----------------------------------------------------------------------------------------------------------

interface Message {
  readonly topic: string;
  readonly isPrivate: boolean;
  readonly broadcast: Broadcast;
}

async function sendBatch(
  request: ServiceRequest,
  project: RealtimeProject,
  token: VerifiedToken,
): Promise<ServiceResponse> {
  const body = (await request.body?.read(MAX_BODY_BYTES))?.toString("utf8") ?? "";
  const batch = parseBatch(body, project.maxPayloadBytes);
  if ("response" in batch) return batch.response;
  const { messages } = batch;
  const { maxEventsPerSecond } = project.settings;
  if (messages.length > Math.min(MAX_BATCH, Math.max(1, maxEventsPerSecond * 60))) {
    return json(429, { message: "Too many messages to broadcast, please reduce the batch size" });
  }
  const topics = new Set(messages.filter(({ isPrivate }) => isPrivate).map(({ topic }) => topic));
  const allowed = new Set<string>();
  for (const topic of topics) {
    const asker = { token, topic, headers: policyHeaders(request.headers) };
    const mayWrite = await project.authorization.mayWrite(asker, "broadcast").catch(() => false);
    if (mayWrite) allowed.add(topic);
  }
  for (const { topic, isPrivate, broadcast: message } of messages) {
    if (!isPrivate || allowed.has(topic)) project.broadcast(topic, isPrivate, message, null);
  }
  return accepted();
}

function parseBatch(
  text: string,
  maxPayloadBytes: number,
): { readonly messages: readonly Message[] } | { readonly response: ServiceResponse } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { response: json(400, { message: "Invalid JSON" }) };
  }
  const entries = (body as { messages?: unknown } | null)?.messages;
  if (!Array.isArray(entries)) return { response: json(422, { errors: { messages: ["can't be blank"] } }) };
  const parsed = entries.map((entry) => parseMessage(entry, maxPayloadBytes));
  if (parsed.some(({ errors }) => Object.keys(errors).length > 0)) {
    return { response: json(422, { errors: { messages: parsed.map(({ errors }) => errors) } }) };
  }
  return { messages: parsed.map(({ message }) => message) };
}

function parseMessage(entry: unknown, maxPayloadBytes: number) {
  const given = (typeof entry === "object" && entry !== null ? entry : {}) as Readonly<Record<string, unknown>>;
  const { topic, event, payload, private: isPrivate = false, id } = given;
  const errors: Record<string, string[]> = {};
  if (isBlank(topic)) errors.topic = ["can't be blank"];
  else if (typeof topic !== "string") errors.topic = ["is invalid"];
  if (isBlank(event)) errors.event = ["can't be blank"];
  else if (typeof event !== "string") errors.event = ["is invalid"];
  if (payload === undefined || payload === null) errors.payload = ["can't be blank"];
  else if (typeof payload !== "object") errors.payload = ["is invalid"];
  if (typeof isPrivate !== "boolean") errors.private = ["is invalid"];
  const payloadText = JSON.stringify(payload ?? null);
  if (payloadText.length > maxPayloadBytes) errors.payload = ["Payload size exceeds tenant limit"];
  const meta = typeof id === "string" ? `,"meta":${JSON.stringify({ id })}` : "";
  const text = `{"payload":${payloadText},"event":${JSON.stringify(event ?? null)},"type":"broadcast"${meta}}`;
  const message: Message = {
    topic: String(topic),
    isPrivate: isPrivate === true,
    broadcast: { kind: "text", payload: text },
  };
  return { errors, message };
}

function isBlank(value: unknown): boolean {
  return value === undefined || value === null || value === "";
}

// ---- answers -------------------------------------------------------------------------------------------------------

function rateHeaders(project: RealtimeProject): readonly (readonly [string, string])[] {
  const limit = project.settings.maxEventsPerSecond;
  const average = project.events.average(project.seconds);
  return [
    ["x-rate-rolling", String(Math.round(average * 100) / 100)],
    ["x-rate-limit", String(limit)],
    ["x-rate-limit-remaining", String(Math.max(0, Math.floor(limit - average)))],
  ];
}

function json(status: number, body: object): ServiceResponse {
  return { status, headers: [["content-type", "application/json; charset=utf-8"]], body: JSON.stringify(body) };
}

function accepted(): ServiceResponse {
  return { status: 202, headers: [], body: "" };
}

function preflight(): ServiceResponse {
  return {
    status: 204,
    headers: [
      ["access-control-allow-origin", "*"],
      ["access-control-allow-methods", "POST, OPTIONS"],
      ["access-control-allow-headers", "apikey, authorization, content-type, x-client-info"],
    ],
    body: null,
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function decodePart(part: string | undefined): string | null {
  try {
    return decodeURIComponent(part ?? "");
  } catch {
    return null;
  }
}
