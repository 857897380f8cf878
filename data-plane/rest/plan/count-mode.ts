/** How the rows of a request are counted. */
import type { CountMode } from "../compiled-request.ts";
import type { ApiRequest } from "../request/api-request.ts";
import type { QueryParameters } from "../request/query-types.ts";

export function countModeOf(request: ApiRequest, query: QueryParameters, maxRows: number | null): CountMode {
  const { count } = request.preferences;
  if (count === null) return "none";
  if (count === "planned") return "planned";
  const hasPage = request.hasRange || query.pages.some(({ path }) => path.length === 0);
  // A call's rows are counted as they come: they are not planned a second time.
  if (count === "estimated" && (maxRows !== null || request.target.kind === "relation")) return "estimated";
  return hasPage || maxRows !== null ? "exact" : "page";
}
