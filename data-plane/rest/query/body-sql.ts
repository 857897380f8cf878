/** The one row a request's statement answers: counts, the finished body, and what SQL wants of the response. */
import type { BodyForm } from "../plan/media.ts";
import type { Relation } from "../schema-cache/types.ts";
import { quoteQualified } from "./sql.ts";

/** Positions of the answer's columns. */
export const ANSWER = { total: 0, pageTotal: 1, body: 2, headers: 3, status: 4, updated: 5, location: 6 } as const;

export interface AnswerParts {
  /** Expression; null when nothing is counted. */
  readonly total: string | null;
  /** Null when no body is wanted. */
  readonly body: string | null;
  /** Further expressions, of writes. */
  readonly updated?: string | null;
  readonly location?: string | null;
}

/** @param rows A FROM item whose alias is `"rows"`. */
export function answerSelect(parts: AnswerParts, rows: string): string {
  const columns = [
    `${parts.total ?? "NULL"} AS "total"`,
    'count(*) AS "page_total"',
    `${parts.body ?? "NULL"} AS "body"`,
    `nullif(current_setting('response.headers', true), '') AS "response_headers"`,
    `nullif(current_setting('response.status', true), '') AS "response_status"`,
  ];
  if (parts.updated !== undefined) columns.push(`${parts.updated ?? "NULL"} AS "updated"`);
  if (parts.location !== undefined) columns.push(`${parts.location ?? "NULL"} AS "location"`);
  return `SELECT ${columns.join(", ")} FROM ${rows}`;
}

export interface BodySubject {
  /** Of a function's single value: the rows' one column is `"value"`. */
  readonly scalar: boolean;
  /** One value or row, not a list of them. */
  readonly single: boolean;
  /** For handlers of a row type. */
  readonly relation: Relation | null;
  /** Name of a CTE that has the rows too, for forms that read them twice. */
  readonly rows: string;
}

export function bodyExpression(form: BodyForm, subject: BodySubject): string {
  const item = subject.scalar ? '"rows"."value"' : '"rows"';
  switch (form.kind) {
    case "json": {
      const single = form.single || subject.single;
      const list = form.stripNulls ? `json_strip_nulls(json_agg(${item}))` : `json_agg(${item})`;
      return single ? `coalesce((${list}->0)::text, 'null')` : `coalesce(${list}, '[]')::text`;
    }
    case "csv": {
      const header = `(SELECT string_agg("name", ',') FROM (SELECT json_object_keys(row_to_json("first")) AS "name" FROM (SELECT * FROM ${subject.rows} LIMIT 1) AS "first") AS "names")`;
      const lines = `string_agg(substring("rows"::text, 2, length("rows"::text) - 2), E'\\n')`;
      return `coalesce(${header}, '') || E'\\n' || coalesce(${lines}, '')`;
    }
    case "geojson": {
      const feature = form.function === null ? "ST_AsGeoJSON" : quoteQualified(form.function);
      return `json_build_object('type', 'FeatureCollection', 'features', coalesce(json_agg(${feature}("rows")::json), '[]'))::text`;
    }
    case "aggregate": {
      const { aggregate, relation } = form.handler;
      const row = relation === null ? item : `ROW("rows".*)::${quoteQualified(relation)}`;
      return `${quoteQualified(aggregate)}(${row})`;
    }
    case "value":
      // The function gave one value; an aggregate is needed only because the row is grouped.
      return '(array_agg("rows"."value"))[1]';
  }
}

/** Whether the form needs its rows under a name. */
export function readsRowsTwice(form: BodyForm): boolean {
  return form.kind === "csv";
}
