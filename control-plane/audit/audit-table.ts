/** Reading the table `audit_log`; record-audit.ts writes it. */
import { keysetSql, type Page } from "../connections.ts";
import { containsPattern, type Queryable } from "../database.ts";

export interface AuditRow {
  readonly id: number;
  readonly at: Date;
  readonly actor: string;
  readonly projectRef: string | null;
  readonly action: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly ipAddress: string | null;
}

export interface AuditFilter {
  readonly actor?: string | null | undefined;
  readonly action?: string | null | undefined;
  readonly from?: Date | null | undefined;
  readonly to?: Date | null | undefined;
}

export interface AuditSelection {
  /** A condition on parameters $1 to $5. */
  readonly where: string;
  readonly values: readonly unknown[];
}

/** @param where A condition of ours on parameter $1. */
export function selectAudit(where: string, values: readonly [string | null], filter: AuditFilter): AuditSelection {
  const { actor, action, from, to } = filter;
  const pattern = (text: string | null | undefined) => (text ? containsPattern(text) : null);
  return {
    where: `${where} and ($2::text is null or actor ilike $2) and ($3::text is null or action ilike $3)
      and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)`,
    values: [...values, pattern(actor), pattern(action), from ?? null, to ?? null],
  };
}

/** Newest first. */
export async function listAudit(db: Queryable, selection: AuditSelection, page: Page): Promise<AuditRow[]> {
  const keyset = keysetSql(page, {
    key: "id",
    // A cursor that is no number names no row: the comparison with null leaves an empty page.
    keyOf: (cursor) => `(case when ${cursor} ~ '^[0-9]{1,18}$' then ${cursor}::bigint end)`,
    direction: "desc",
    firstParameter: 7,
  });
  return db.query<AuditRow>(
    `/* listAudit */ select id, at, actor, project_ref as "projectRef", action, details, host(ip_address) as "ipAddress"
     from audit_log where ${selection.where} and ${keyset.where} order by ${keyset.orderBy} limit $6`,
    [...selection.values, page.limit, ...keyset.values],
  );
}

export async function countAudit(db: Queryable, selection: AuditSelection): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    `/* countAudit */ select count(*) from audit_log where ${selection.where}`,
    [...selection.values],
  );
  return row?.count ?? 0;
}
