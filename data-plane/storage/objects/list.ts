/** Lists of objects. PostgreSQL writes the JSON; what is listed is what the caller's policies show. */
import type { ServiceResponse } from "../../service.ts";
import type { StorageContext } from "../context.ts";
import type { Fields } from "../http/json-body.ts";
import { json, jsonText } from "../http/responses.ts";
import { isoTime } from "../sql.ts";
import { decodeCursor, encodeCursor, type ListCursor } from "./list-cursor.ts";

const COLUMNS = ["name", "updated_at", "created_at", "last_accessed_at"] as const;
const ORDERS = ["asc", "desc"] as const;

const LIST = `/* listObjects */ select coalesce(json_agg(json_build_object('name', s.name, 'id', s.id,
    'updated_at', ${isoTime("s.updated_at")}, 'created_at', ${isoTime("s.created_at")},
    'last_accessed_at', ${isoTime("s.last_accessed_at")}, 'metadata', s.metadata)), '[]')
  from storage.search($1, $2, $3, 1, $4, $5, $6, $7) s`;

/** Version 1: one level below a prefix, ignoring case. A bucket that is not there has no objects. */
export async function listObjects(context: StorageContext, bucket: string, fields: Fields): Promise<ServiceResponse> {
  const given = fields.text("prefix");
  const prefix = given === "" || given.endsWith("/") ? given : `${given}/`;
  const sortBy = fields.object("sortBy");
  const column = sortBy ? (sortBy.choice("column", COLUMNS) ?? sortBy.text("column")) : "name";
  const values = [
    prefix,
    bucket,
    String(fields.optionalInteger("limit", { min: 1 }) ?? 100),
    String(fields.optionalInteger("offset", { min: 0 }) ?? 0),
    fields.optionalText("search") ?? "",
    column,
    sortBy?.choice("order", ORDERS) ?? "asc",
  ];
  const [, result] = await context.run([context.asCaller(), context.ofCaller(LIST, values)]);
  return jsonText(result?.bytes(0, 0) ?? "[]");
}

const MAX_PAGE = 1000;
const COLUMNS_V2 = ["name", "updated_at", "created_at"] as const;

const ENTRY = (key: string) => `json_build_object(${key}'id', l.id, 'name', l.name,
    'updated_at', ${isoTime("l.updated_at")}, 'created_at', ${isoTime("l.created_at")},
    'last_accessed_at', ${isoTime("l.last_accessed_at")}, 'metadata', l.metadata)`;
/** A folder is an entry without an id. */
const LIST_LEVEL = `/* listLevel */ select l.id is null, case when l.id is null
      then json_build_object('key', l.key, 'name', l.name || '/', 'id', null, 'updated_at', ${isoTime("l.updated_at")},
        'created_at', ${isoTime("l.created_at")}, 'last_accessed_at', null, 'metadata', null)
      else ${ENTRY("'key', l.key, ")} end, l.name, ${isoTime("l.created_at")}, ${isoTime("l.updated_at")}
  from storage.search_v2($1, $2, $3, 1, $4, $5, $6, $7) l`;
const LIST_FLAT_BY_NAME = (order: string) => `/* listFlat */ select false, ${ENTRY("")}, l.name, null, null
  from storage.objects l
  where l.bucket_id = $1 and l.name collate "C" >= $2 and ($2 = '' or l.name collate "C" < $2 || chr(1114111))
    and ($3 = '' or l.name collate "C" ${order === "asc" ? ">" : "<"} $3)
  order by l.name collate "C" ${order} limit $4`;
const LIST_FLAT_BY_TIME = (column: string, order: string) => {
  const time = `date_trunc('milliseconds', l.${column})`;
  return `/* listFlatByTime */ select false, ${ENTRY("")}, l.name, ${isoTime("l.created_at")}, ${isoTime("l.updated_at")}
  from storage.objects l
  where l.bucket_id = $1 and l.name collate "C" >= $2 and ($2 = '' or l.name collate "C" < $2 || chr(1114111))
    and ($5 = '' or (${time}, l.name collate "C") ${order === "asc" ? ">" : "<"} (nullif($5, '')::timestamptz, $3 collate "C"))
  order by ${time} ${order}, l.name collate "C" ${order} limit $4`;
};

/** Version 2: literal prefix, bytewise order, pages by cursor; with a delimiter one level, else everything below. */
export async function listObjectsV2(context: StorageContext, bucket: string, fields: Fields): Promise<ServiceResponse> {
  const prefix = fields.optionalText("prefix") ?? "";
  const limit = Math.min(fields.optionalInteger("limit", { min: 0 }) || MAX_PAGE, MAX_PAGE);
  const withDelimiter = fields.flag("with_delimiter") ?? false;
  const sortBy = fields.object("sortBy");
  const cursorText = fields.optionalText("cursor");
  const cursor: ListCursor = cursorText
    ? decodeCursor(cursorText)
    : {
        last: "",
        column: sortBy?.choice("column", COLUMNS_V2) ?? "name",
        order: sortBy?.choice("order", ORDERS) ?? "asc",
        after: "",
      };
  const { column, order, last, after } = cursor;
  const statement = withDelimiter
    ? context.ofCaller(LIST_LEVEL, [prefix, bucket, String(limit + 1), last, order, column, after])
    : column === "name"
      ? context.ofCaller(LIST_FLAT_BY_NAME(order), [bucket, prefix, last, String(limit + 1)])
      : context.ofCaller(LIST_FLAT_BY_TIME(column, order), [bucket, prefix, last, String(limit + 1), after]);
  const [, result] = await context.run([context.asCaller(), statement]);
  const rows = result?.rows ?? [];
  const page = rows.slice(0, limit);
  const hasNext = rows.length > limit;
  const [isFolder, , name = "", createdAt, updatedAt] = page.at(-1) ?? [];
  const lastName = isFolder === "t" ? `${name}/` : (name ?? "");
  const time = column === "created_at" ? createdAt : column === "updated_at" ? updatedAt : "";
  const next = hasNext ? { nextCursor: encodeCursor({ last: lastName, column, order, after: time ?? "" }) } : {};
  const entries = (folders: boolean) =>
    page.filter(([folder]) => (folder === "t") === folders).map(([, text]) => JSON.parse(text ?? "null"));
  return json({
    hasNext,
    ...next,
    ...(hasNext ? { nextCursorKey: lastName } : {}),
    folders: entries(true),
    objects: entries(false),
  });
}
