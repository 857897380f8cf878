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

const MEMBER_COLUMNS = `memberships.organization_id as "organizationId", memberships.account_id as "accountId",
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

/** By e-mail. */
export async function listMembers(db: Queryable, organizationId: string, page: Page): Promise<MemberRow[]> {
  const keyset = keysetSql(page, {
    key: "lower(accounts.email)",
    keyOf: (cursor) => `lower(${cursor})`,
    direction: "asc",
    firstParameter: 3,
  });
  return db.query<MemberRow>(
    `/* listMembers */ select ${MEMBER_COLUMNS} from memberships join accounts on accounts.id = account_id
     where organization_id = $1 and ${keyset.where} order by ${keyset.orderBy} limit $2`,
    [organizationId, page.limit, ...keyset.values],
  );
}

export async function countMembers(db: Queryable, organizationId: string): Promise<number> {
  const [row] = await db.query<{ count: number }>(
    "/* countMembers */ select count(*) from memberships where organization_id = $1",
    [organizationId],
  );
  return row?.count ?? 0;
}

export async function setMemberRole(
  tx: Queryable,
  organizationId: string,
  accountId: string,
  role: Role,
): Promise<void> {
  await tx.query(
    "/* setMemberRole */ update memberships set role = $3 where organization_id = $1 and account_id = $2",
    [organizationId, accountId, role],
  );
}

export async function deleteMember(tx: Queryable, organizationId: string, accountId: string): Promise<void> {
  await tx.query("/* deleteMember */ delete from memberships where organization_id = $1 and account_id = $2", [
    organizationId,
    accountId,
  ]);
}

export async function haveCommonOrganization(tx: Queryable, accountId: string, otherId: string): Promise<boolean> {
  const shared = await tx.query(
    `/* haveCommonOrganization */ select from memberships mine join memberships theirs using (organization_id)
     where mine.account_id = $1 and theirs.account_id = $2 limit 1`,
    [accountId, otherId],
  );
  return shared.length > 0;
}

/** Those an account is a member of, by name. @param actsAsOwner Its role counts as owner in each. */
export async function listOrganizationsOfAccount(
  db: Queryable,
  accountId: string,
  actsAsOwner: boolean,
): Promise<OrganizationRow[]> {
  return db.query<OrganizationRow>(
    `/* listOrganizationsOfAccount */ select ${ORGANIZATION_COLUMNS},
       case when $2 then 'owner' else role::text end as "viewerRole"
     from memberships join organizations on organizations.id = organization_id
     where account_id = $1 order by organizations.name, organizations.id`,
    [accountId, actsAsOwner],
  );
}

export async function setOrganizationName(tx: Queryable, id: string, name: string): Promise<void> {
  await tx.query("/* setOrganizationName */ update organizations set name = $2 where id = $1", [id, name]);
}

/** False, and nothing is done, while it has projects. Deleted projects lose their organization. */
export async function deleteOrganizationWithoutProjects(tx: Queryable, id: string): Promise<boolean> {
  // The row's lock also keeps new projects out: their foreign key waits for it.
  await tx.query("/* deleteOrganizationWithoutProjects: lock */ select from organizations where id = $1 for update", [
    id,
  ]);
  const projects = await tx.query(
    `/* deleteOrganizationWithoutProjects: projects */ select from projects
     where organization_id = $1 and deleted_at is null limit 1`,
    [id],
  );
  if (projects.length > 0) return false;
  await tx.query(
    `/* deleteOrganizationWithoutProjects: tombstones */ update projects set organization_id = null
     where organization_id = $1`,
    [id],
  );
  await tx.query("/* deleteOrganizationWithoutProjects */ delete from organizations where id = $1", [id]);
  return true;
}

/**
 * Organizations that an account owns, with their numbers of owners. They are locked in the order of their ids, as every
 * change of members locks its one organization.
 */
export async function lockOwnedOrganizations(
  tx: Queryable,
  accountId: string,
): Promise<{ readonly name: string; readonly owners: number }[]> {
  return tx.query(
    `/* lockOwnedOrganizations */ with owned as (
       select organizations.id, name from organizations join memberships on organization_id = organizations.id
       where account_id = $1 and role = 'owner' order by organizations.id for no key update of organizations
     )
     select name, (select count(*) from memberships where organization_id = owned.id and role = 'owner') as owners
     from owned`,
    [accountId],
  );
}
