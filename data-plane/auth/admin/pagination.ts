/** Pages of an administrator's list: `page` and `per_page` in, `X-Total-Count` and `Link` out. */
import type { AuthContext } from "../context.ts";
import { AuthError } from "../errors.ts";

const DEFAULT_PER_PAGE = 50;
const MAX_PER_PAGE = 1000;

export interface Page {
  /** From 1. */
  readonly page: number;
  readonly perPage: number;
  readonly offset: number;
}

/** @throws {AuthError} `validation_failed` for what is no number of a page. */
export function parsePage(query: URLSearchParams): Page {
  const page = parseCount(query.get("page"), 1);
  const perPage = Math.min(parseCount(query.get("per_page"), DEFAULT_PER_PAGE), MAX_PER_PAGE);
  const offset = (page - 1) * perPage;
  if (!Number.isSafeInteger(offset)) throw badParameters(`value out of range: ${page}`);
  return { page, perPage, offset };
}

/** Absent, empty and 0 are the default. */
function parseCount(text: string | null, fallback: number): number {
  if (text === null || text === "") return fallback;
  if (!/^\d{1,15}$/.test(text)) throw badParameters(`invalid number ${JSON.stringify(text)}`);
  return Number(text) || fallback;
}

const badParameters = (reason: string): AuthError =>
  new AuthError("validation_failed", `Bad Pagination Parameters: ${reason}`);

/**
 * auth-js reads the first character after the first `=` of each link, so `page` comes first, and splits at exactly `, `
 * and `; `. Other parameters of the request are repeated.
 */
export function pageHeaders(
  { request, query }: AuthContext,
  { page, perPage }: Page,
  total: number,
): [string, string][] {
  const lastPage = Math.ceil(total / perPage);
  const linkTo = (number: number, relation: string): string => {
    const others = [...query].filter(([name]) => name !== "page" && name !== "per_page");
    const parameters = new URLSearchParams([["page", String(number)], ["per_page", String(perPage)], ...others]);
    return `<${request.publicPath}${request.path}?${parameters}>; rel="${relation}"`;
  };
  const links = [...(page < lastPage ? [linkTo(page + 1, "next")] : []), linkTo(lastPage, "last")];
  return [
    ["X-Total-Count", String(total)],
    ["Link", links.join(", ")],
  ];
}
