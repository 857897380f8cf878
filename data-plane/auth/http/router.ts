/** Finds the handler of a method and path in a table; parameters are `:name` segments. */
export interface Route<H> {
  /** `GET /admin/users/:id`. */
  readonly pattern: string;
  readonly handler: H;
}

export type RouteMatch<H> =
  | { readonly kind: "found"; readonly handler: H; readonly params: Readonly<Record<string, string>> }
  /** The path exists, but not with this method. */
  | { readonly kind: "wrong_method"; readonly methods: readonly string[] }
  | { readonly kind: "unknown" };

interface Compiled<H> {
  readonly segments: readonly string[];
  readonly handlers: Map<string, H>;
}

/**
 * Compiles a table of routes. A trailing slash of the request is ignored; a fixed segment wins over a parameter when it
 * is listed first. @throws {Error} on a pattern given twice.
 */
export function createRouter<H>(routes: readonly Route<H>[]): (method: string, path: string) => RouteMatch<H> {
  const fixed = new Map<string, Compiled<H>>();
  const withParams: Compiled<H>[] = [];
  for (const { pattern, handler } of routes) {
    const [method = "", path = ""] = pattern.split(" ");
    const segments = path.split("/");
    const same = fixed.get(path) ?? withParams.find((one) => one.segments.join("/") === path);
    const entry = same ?? { segments, handlers: new Map<string, H>() };
    if (entry.handlers.has(method)) throw new Error(`route given twice: ${pattern}`);
    entry.handlers.set(method, handler);
    if (same) continue;
    if (path.includes(":")) withParams.push(entry);
    else fixed.set(path, entry);
  }

  return (method, requestPath) => {
    const path = requestPath.length > 1 && requestPath.endsWith("/") ? requestPath.slice(0, -1) : requestPath;
    const exact = fixed.get(path);
    if (exact) return select(exact, method, {});
    const segments = path.split("/");
    for (const candidate of withParams) {
      const params = readParams(candidate.segments, segments);
      if (params) return select(candidate, method, params);
    }
    return { kind: "unknown" };
  };
}

function select<H>(entry: Compiled<H>, method: string, params: Record<string, string>): RouteMatch<H> {
  const handler = entry.handlers.get(method);
  return handler ? { kind: "found", handler, params } : { kind: "wrong_method", methods: [...entry.handlers.keys()] };
}

function readParams(pattern: readonly string[], segments: readonly string[]): Record<string, string> | null {
  if (pattern.length !== segments.length) return null;
  const params: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const given = segments[index] ?? "";
    if (!expected.startsWith(":")) {
      if (expected !== given) return null;
      continue;
    }
    const value = decodeSegment(given);
    if (!value) return null;
    params[expected.slice(1)] = value;
  }
  return params;
}

function decodeSegment(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null; // a malformed escape names nothing
  }
}
