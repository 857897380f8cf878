/** One request, read as far as it can be without knowing the database. */
import { BodyTooLarge, type ServiceRequest } from "../../service.ts";
import type { RestConfig } from "../config.ts";
import { restError } from "../error.ts";
import { type MediaType, parseAccept } from "./media-type.ts";
import { type Page, parsePage } from "./page.ts";
import { LARGE_PAYLOAD_BYTES, needsScan, type Payload, type PayloadOptions, parsePayload } from "./payload.ts";
import { checkHandling, type Preferences, parsePreferences } from "./preferences.ts";
import { type QueryShape, shapeOfQuery } from "./shape.ts";
import { type Action, actionOf, chooseSchema, parseTarget, type Target } from "./target.ts";

export interface ApiRequest {
  readonly method: string;
  readonly action: Action;
  readonly target: Target;
  /** The root is asked for, which a function may stand for. */
  readonly isRoot: boolean;
  readonly schema: string;
  readonly shape: QueryShape;
  readonly page: Page;
  /** A Range header bounds the page, so that there is a limit although no parameter says so. */
  readonly hasRange: boolean;
  readonly preferences: Preferences;
  readonly accepted: readonly MediaType[];
  readonly payload: Payload;
  /** Form fields of a call, whose values are slots after those of the query. */
  readonly slots: readonly string[];
  /** Equal for requests that one compiled statement serves; null when it would be unreasonably long. */
  readonly shapeKey: string | null;
}

const NO_PAYLOAD: Payload = { kind: "none" };
const MAX_KEY_LENGTH = 4096;

/** As {@link parsePayload}, elsewhere than on the event loop. The bytes are given away. */
export type PayloadScanner = (bytes: Buffer, options: PayloadOptions) => Promise<Payload>;

/**
 * @param scanLarge For large bodies.
 * @throws {RestError} PGRST101, 102, 103, 106, 117, 122, 125 @throws what `scanLarge` throws.
 */
export async function readApiRequest(
  request: ServiceRequest,
  config: RestConfig,
  scanLarge: PayloadScanner,
): Promise<ApiRequest> {
  const { method, headers } = request;
  const target = targetOf(request, config);
  const action = target.kind === "routine" && request.path === "/" ? rootAction(method) : actionOf(method, target);
  const isRead = method === "GET" || method === "HEAD";
  const shape = shapeOfQuery(request.query, action === "call" && isRead);
  const schema = chooseSchema(method, headers, config.schemas);
  const preferences = parsePreferences(headers.prefer);
  checkHandling(preferences);
  const range = method === "GET" ? headers.range : undefined;
  const page = parsePage(shape, range);
  const payload = takesBody(action, method) ? await readPayload(request, config, action, shape, scanLarge) : NO_PAYLOAD;
  return {
    method,
    action,
    target,
    isRoot: request.path === "/",
    schema,
    shape,
    page,
    hasRange: range !== undefined,
    preferences,
    accepted: parseAccept(headers.accept),
    payload,
    slots: payload.kind === "form" ? [...shape.slots, ...payload.fields.map(([, value]) => value)] : shape.slots,
    shapeKey: shapeKeyOf(request, shape, schema, payload, range === undefined ? "" : `r${page.limit}`),
  };
}

/** With a root function the root is a call of it. */
function targetOf(request: ServiceRequest, config: RestConfig): Target {
  const target = parseTarget(request.path);
  if (target.kind === "root" && config.rootSpec !== null && request.method !== "OPTIONS") {
    return { kind: "routine", name: config.rootSpec };
  }
  return target;
}

function rootAction(method: string): Action {
  actionOf(method, { kind: "root" }); // refuses what the root does not know
  return "call";
}

function takesBody(action: Action, method: string): boolean {
  return action === "insert" || action === "update" || action === "replace" || (action === "call" && method === "POST");
}

async function readPayload(
  request: ServiceRequest,
  config: RestConfig,
  action: Action,
  shape: QueryShape,
  scanLarge: PayloadScanner,
): Promise<Payload> {
  const bytes = request.body === null ? Buffer.alloc(0) : await readBody(request.body, config.maxBodyBytes);
  const options: PayloadOptions = {
    contentType: request.headers["content-type"],
    hasColumns: shape.pairs.some((pair) => pair.kind === "whole" && pair.name === "columns"),
    forRoutine: action === "call",
  };
  if (bytes.length > LARGE_PAYLOAD_BYTES && needsScan(options)) return scanLarge(bytes, options);
  return parsePayload(bytes, options);
}

async function readBody(body: NonNullable<ServiceRequest["body"]>, maxBytes: number): Promise<Buffer> {
  try {
    return await body.read(maxBytes);
  } catch (failure) {
    if (!(failure instanceof BodyTooLarge)) throw failure;
    throw restError("PGRST102", { message: `Request body larger than ${maxBytes} bytes`, cause: failure });
  }
}

/** All but the slots that decides the statement and the form of its response. */
function shapeKeyOf(
  { method, path, headers }: ServiceRequest,
  shape: QueryShape,
  schema: string,
  payload: Payload,
  range: string,
): string | null {
  const parts = [method, path, shape.key, schema, headers.accept ?? "", headers.prefer ?? "", range];
  switch (payload.kind) {
    case "none":
      break;
    case "json":
      parts.push(
        payload.shape,
        payload.empty ? "empty" : "",
        payload.fromCsv ? "csv" : "",
        JSON.stringify(payload.keys),
      );
      break;
    case "form":
      parts.push("form", JSON.stringify(payload.fields.map(([name]) => name)));
      break;
    case "raw":
      parts.push(payload.type);
      break;
    case "unsupported":
      return null;
  }
  const key = parts.join("\n");
  return key.length > MAX_KEY_LENGTH ? null : key;
}
