/** GET /admin/audit. */
import type { ServiceResponse } from "../../service.ts";
import type { AuthContext } from "../context.ts";
import { databaseStep } from "../database/failures.ts";
import { type Sql, sql } from "../database/sql.ts";
import { AuthError } from "../errors.ts";
import { json } from "../http/responses.ts";
import { requireAdmin } from "../sessions/bearer.ts";
import { wireTime } from "../users/user.ts";
import { type Page, pageHeaders, parsePage } from "./pagination.ts";

/** Members of an entry that a query may look into. */
const SCOPES: Readonly<Record<string, readonly string[]>> = {
  author: ["actor_username", "actor_name"],
  action: ["action"],
  type: ["log_type"],
};

interface AuditEntry {
  readonly id: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly created_at: string;
  readonly ip_address: string;
}

interface AuditFilter {
  readonly members: readonly string[];
  readonly part: string;
}

export async function listAuditEntries(context: AuthContext): Promise<ServiceResponse> {
  await requireAdmin(context);
  const page = parsePage(context.query);
  const filter = parseFilter(context.query.get("query"));
  const [entries, [count]] = await databaseStep(
    "Error searching for audit logs",
    context.database.batch([findEntries(filter, page), countEntries(filter)]),
  );
  const body = entries.map((entry) => ({ ...entry, created_at: wireTime(entry.created_at) }));
  return json(body, { headers: pageHeaders(context, page, Number(count ?? 0)) });
}

function parseFilter(query: string | null): AuditFilter {
  if (!query) return { members: [], part: "" };
  const [scope = "", ...rest] = query.split(":");
  const members = Object.hasOwn(SCOPES, scope) ? SCOPES[scope] : undefined;
  if (!members || rest.length === 0) throw new AuthError("validation_failed", `Invalid query scope: ${query}`);
  return { members, part: rest.join(":") };
}

/** $1: comma-separated members, empty for no filter; $2: the part to look for, letter by letter. */
const MATCHES = `($1 = '' or exists (
  select from unnest(string_to_array($1, ',')) member where strpos(lower(e.payload ->> member), lower($2)) > 0))`;

const findEntries = ({ members, part }: AuditFilter, { perPage, offset }: Page): Sql<AuditEntry> =>
  sql(
    `/* findEntries */ select json_build_object(
       'id', e.id, 'payload', e.payload, 'created_at', e.created_at, 'ip_address', e.ip_address) as row
     from auth.audit_log_entries e where ${MATCHES} order by e.created_at desc, e.id limit $3 offset $4`,
    [members.join(","), part, perPage, offset],
  );

const countEntries = ({ members, part }: AuditFilter): Sql<number> =>
  sql(`/* countEntries */ select to_json(count(*)) as row from auth.audit_log_entries e where ${MATCHES}`, [
    members.join(","),
    part,
  ]);
