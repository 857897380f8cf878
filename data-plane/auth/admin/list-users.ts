/** GET /admin/users. */
import type { ServiceResponse } from "../../service.ts";
import { Slices } from "../../work/slices.ts";
import { AUDIENCE, type AuthContext, NIL_UUID } from "../context.ts";
import { databaseStep } from "../database/failures.ts";
import { type Sql, sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { requireAdmin } from "../sessions/bearer.ts";
import { plainUserJson, type UserRow } from "../users/user.ts";
import { type Page, pageHeaders, parsePage } from "./pagination.ts";

export async function listUsers(context: AuthContext): Promise<ServiceResponse> {
  await requireAdmin(context);
  const page = parsePage(context.query);
  const filter = context.query.get("filter") ?? "";
  const [users, [count]] = await databaseStep(
    "Database error finding users",
    context.database.batch([findUsers(filter, parseSort(context.query.get("sort")), page), countUsers(filter)]),
  );
  const texts = await new Slices(context.project.projectRef).map(users, (user) => JSON.stringify(plainUserJson(user)));
  return {
    status: 200,
    headers: [["Content-Type", "application/json"], ...pageHeaders(context, page, Number(count ?? 0))],
    body: `{"users":[${texts.join(",")}],"aud":${JSON.stringify(AUDIENCE)}}`,
  };
}

function parseSort(text: string | null): "asc" | "desc" {
  const [, direction = "desc"] = /^created_at(?: (asc|desc))?$/i.exec(text || "created_at desc") ?? [null, null];
  if (direction === null) throw new AuthError("validation_failed", `Bad Sort Parameters: ${JSON.stringify(text)}`);
  return direction.toLowerCase() === "asc" ? "asc" : "desc";
}

/** $1 is part of the address, letter by letter, or of the full name; empty matches all. */
const MATCHES = `(u.instance_id = '${NIL_UUID}' or u.instance_id is null) and u.aud = '${AUDIENCE}'
  and ($1 = '' or strpos(u.email, $1) > 0 or strpos(lower(u.raw_user_meta_data ->> 'full_name'), lower($1)) > 0)`;

/** A larger user is listed without metadata, which the project's own SQL may have made of any size. */
const MAX_LISTED_BYTES = 256 * 1024;

const findUsers = (filter: string, direction: "asc" | "desc", { perPage, offset }: Page): Sql<UserRow> =>
  sql(
    `/* findUsers */ select case when octet_length(to_json(u)::text) <= ${MAX_LISTED_BYTES} then to_json(u)
       else (to_jsonb(u) || '{"raw_user_meta_data": {}, "raw_app_meta_data": {}}')::json end as row
     from (select u.* from auth.users u where ${MATCHES}
       order by u.created_at ${direction}, u.id ${direction} limit $2 offset $3) u
     order by u.created_at ${direction}, u.id ${direction}`,
    [filter, perPage, offset],
  );

const countUsers = (filter: string): Sql<number> =>
  sql(`/* countUsers */ select to_json(count(*)) as row from auth.users u where ${MATCHES}`, [filter]);
