/** Organizations and who belongs to them. None of these functions authorizes; the mutations do. */
import { randomBytes } from "node:crypto";
import { keysetSql, type Page } from "../connections.ts";
import { containsPattern, type Queryable } from "../database.ts";
import { ORGANIZATION_COLUMNS, type OrganizationRow, type Role } from "../permissions.ts";

export interface MemberRow {
  readonly organizationId: string;
  readonly accountId: string;
  readonly email: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAt: Date;
}

export const MEMBER_COLUMNS = `memberships.organization_id as "organizationId", memberships.account_id as "accountId",
  accounts.email, accounts.name, memberships.role, memberships.created_at as "createdAt"`;

/** Makes the organization with its first owner. The slug comes from the name; a taken one gets random digits. */
export async function insertOrganization(tx: Queryable, name: string, ownerId: string): Promise<OrganizationRow> {
  const [row] = await tx.query<Omit<OrganizationRow, "viewerRole">>(
    `/* insertOrganization */ insert into organizations (name, slug)
     select $1, case when exists (select from organizations where slug = $2) then $3 else $2 end
     returning ${ORGANIZATION_COLUMNS}`,
    [name, slugOf(name), `${slugOf(name)}-${randomBytes(4).toString("hex")}`],
  );
  if (!row) throw new Error("an insert returned no row");
  await insertMember(tx, row.id, ownerId, "owner");
  return { ...row, viewerRole: "owner" };
}

/** All of the installation, by name; the reader acts as owner of each. */
export async function listOrganizations(db: Queryable, search: string | null, page: Page): Promise<OrganizationRow[]> {
  const keyset = keysetSql(page, {
    key: "(organizations.name, organizations.slug)",
    keyOf: (cursor) => `(select name, slug from organizations where slug = ${cursor})`,
    direction: "asc",
    firstParameter: 3,
  });
  return db.query<OrganizationRow>(
    `/* listOrganizations */ select ${ORGANIZATION_COLUMNS}, 'owner' as "viewerRole" from organizations
     where ($1::text is null or name ilike $1) and ${keyset.where} order by ${keyset.orderBy} limit $2`,
    [search === null ? null : containsPattern(search), page.limit, ...keyset.values],
  );
}

export async function countOrganizations(db: Queryable, search: string | null): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    "/* countOrganizations */ select count(*) from organizations where $1::text is null or name ilike $1",
    [search === null ? null : containsPattern(search)],
  );
  return row?.count ?? 0;
}

/** Of one account, in the order of the organizations' ids. */
export async function listMemberships(
  db: Queryable,
  accountId: string,
): Promise<{ readonly organizationId: string; readonly role: Role }[]> {
  return db.query(
    `/* listMemberships */ select organization_id as "organizationId", role from memberships
     where account_id = $1 order by organization_id`,
    [accountId],
  );
}

export async function countOwnedOrganizations(db: Queryable, accountId: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    "/* countOwnedOrganizations */ select count(*) from memberships where account_id = $1 and role = 'owner'",
    [accountId],
  );
  return row?.count ?? 0;
}

/** Lower-case letters, digits and single hyphens, at most 50 characters: room for a suffix of nine. Pure. */
export function slugOf(name: string): string {
  const slug = name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 50)
    .replace(/^-+|-+$/g, "");
  return slug === "" ? "organization" : slug;
}

/** False when the account is a member already. */
export async function insertMember(
  tx: Queryable,
  organizationId: string,
  accountId: string,
  role: Role,
): Promise<boolean> {
  const rows = await tx.query(
    `/* insertMember */ insert into memberships (organization_id, account_id, role) values ($1, $2, $3)
     on conflict do nothing returning account_id`,
    [organizationId, accountId, role],
  );
  return rows.length > 0;
}

export async function findMember(db: Queryable, organizationId: string, accountId: string): Promise<MemberRow | null> {
  const [row] = await db.query<MemberRow>(
    `/* findMember */ select ${MEMBER_COLUMNS} from memberships join accounts on accounts.id = account_id
     where organization_id = $1 and account_id = $2`,
    [organizationId, accountId],
  );
  return row ?? null;
}

/** Holds the organization's row until the transaction ends, so that two changes of its members cannot cross. */
export async function lockOrganization(tx: Queryable, organizationId: string): Promise<boolean> {
  const rows = await tx.query("/* lockOrganization */ select from organizations where id = $1 for no key update", [
    organizationId,
  ]);
  return rows.length > 0;
}

export async function countOwners(tx: Queryable, organizationId: string): Promise<number> {
  const [row] = await tx.query<{ owners: number }>(
    "/* countOwners */ select count(*) as owners from memberships where organization_id = $1 and role = 'owner'",
    [organizationId],
  );
  return row?.owners ?? 0;
}
