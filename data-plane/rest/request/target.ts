/** What a request addresses, and as which kind of action. */
import { restError } from "../error.ts";
import { decodeComponent } from "./shape.ts";

export type Target =
  | { readonly kind: "root" }
  | { readonly kind: "relation"; readonly name: string }
  | { readonly kind: "routine"; readonly name: string };

export type Action =
  | "read"
  | "insert"
  | "update"
  | "replace"
  | "delete"
  | "call"
  /** OpenAPI. */
  | "describe"
  /** OPTIONS: says which methods there are. */
  | "options";

/**
 * @param path Percent-encoded, beginning with `/`.
 * @throws {RestError} PGRST125
 */
export function parseTarget(path: string): Target {
  const segments = path.slice(1).split("/");
  const [first = "", second] = segments;
  if (segments.length === 1) return first === "" ? { kind: "root" } : { kind: "relation", name: decodeSegment(first) };
  if (segments.length === 2 && first === "rpc" && second) return { kind: "routine", name: decodeSegment(second) };
  throw restError("PGRST125");
}

/** In a path `+` is itself. */
function decodeSegment(segment: string): string {
  return decodeComponent(segment.replaceAll("+", "%2B"));
}

const RELATION_ACTIONS: Readonly<Record<string, Action>> = {
  GET: "read",
  HEAD: "read",
  POST: "insert",
  PATCH: "update",
  PUT: "replace",
  DELETE: "delete",
  OPTIONS: "options",
};
const ROUTINE_ACTIONS: Readonly<Record<string, Action>> = {
  GET: "call",
  HEAD: "call",
  POST: "call",
  OPTIONS: "options",
};
const ROOT_ACTIONS: Readonly<Record<string, Action>> = { GET: "describe", HEAD: "describe", OPTIONS: "options" };

/** @throws {RestError} PGRST101, PGRST117 */
export function actionOf(method: string, target: Target): Action {
  const actions =
    target.kind === "relation" ? RELATION_ACTIONS : target.kind === "routine" ? ROUTINE_ACTIONS : ROOT_ACTIONS;
  const action = Object.hasOwn(actions, method) ? actions[method] : undefined;
  if (action) return action;
  if (target.kind === "routine" && Object.hasOwn(RELATION_ACTIONS, method)) {
    throw restError("PGRST101", { message: `Cannot use the ${method} method on RPC` });
  }
  throw restError("PGRST117", { message: `Unsupported HTTP method: ${method}` });
}

/**
 * The schema a request works in.
 * @throws {RestError} PGRST106 for one that is not exposed.
 */
export function chooseSchema(
  method: string,
  headers: Readonly<Record<string, string>>,
  schemas: readonly string[],
): string {
  const header = profileOf(method, headers);
  if (header === undefined) return schemas[0] ?? "";
  if (schemas.includes(header)) return header;
  throw restError("PGRST106", {
    message: `Invalid schema: ${header}`,
    hint: `Only the following schemas are exposed: ${schemas.join(", ")}`,
  });
}

/** The profile of what is asked for or of what is sent; OPTIONS may ask about either. */
function profileOf(method: string, headers: Readonly<Record<string, string>>): string | undefined {
  const { "accept-profile": accepted, "content-profile": sent } = headers;
  if (method === "GET" || method === "HEAD") return accepted;
  return method === "OPTIONS" ? (accepted ?? sent) : sent;
}
