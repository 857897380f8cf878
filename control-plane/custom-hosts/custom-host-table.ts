/**
 * Host names of people's own: who claims them, and to which project each leads. Several projects may claim a host; the
 * table's index decides that at most one has it, not a look before the leap.
 */
import type { Queryable } from "../database.ts";
import { InvalidInput } from "../errors.ts";
import type { PublicUrls } from "../public-urls.ts";

const FIELD = "settings.customHosts";

export interface CustomHostRow {
  readonly host: string;
  readonly projectRef: string;
  /** Proves a claim in a TXT record. */
  readonly token: string;
  readonly createdAt: Date;
  /** Null while the claim is pending: the host does not lead to the project. */
  readonly verifiedAt: Date | null;
  readonly failingSince: Date | null;
  readonly checkedAt: Date | null;
  readonly lastError: string | null;
}

const COLUMNS = `host, project_ref as "projectRef", token, created_at as "createdAt", verified_at as "verifiedAt",
  failing_since as "failingSince", checked_at as "checkedAt", last_error as "lastError"`;

/** Names of those that the project claims, verified or not, in their order. */
export async function listCustomHosts(db: Queryable, ref: string): Promise<string[]> {
  return (await listClaims(db, ref)).map(({ host }) => host);
}

/** By name. */
export async function listClaims(db: Queryable, ref: string): Promise<CustomHostRow[]> {
  return db.query(`/* listClaims */ select ${COLUMNS} from custom_hosts where project_ref = $1 order by host`, [ref]);
}

export async function findClaim(db: Queryable, ref: string, host: string): Promise<CustomHostRow | null> {
  const [row] = await db.query<CustomHostRow>(
    `/* findClaim */ select ${COLUMNS} from custom_hosts where project_ref = $1 and host = $2`,
    [ref, host],
  );
  return row ?? null;
}

/** The claim that has the host. */
export async function findHolder(db: Queryable, host: string): Promise<CustomHostRow | null> {
  const [row] = await db.query<CustomHostRow>(
    `/* findHolder */ select ${COLUMNS} from custom_hosts where host = $1 and verified_at is not null`,
    [host],
  );
  return row ?? null;
}

/**
 * Makes `hosts` the claims of the project. New ones are pending until their proof is found; those that are left out are
 * free at once, and whoever claims them needs a proof of his own.
 * @throws {InvalidInput} one belongs to the installation.
 */
export async function claimCustomHosts(
  tx: Queryable,
  publicUrls: PublicUrls,
  ref: string,
  hosts: readonly string[],
): Promise<void> {
  const own = hosts.find((host) => isHostOfInstallation(publicUrls, host));
  if (own !== undefined) throw new InvalidInput(FIELD, `${own} belongs to this installation`);
  await tx.query("/* releaseCustomHosts */ delete from custom_hosts where project_ref = $1 and host <> all ($2)", [
    ref,
    hosts,
  ]);
  await tx.query(
    `/* claimCustomHosts */ insert into custom_hosts (host, project_ref)
     select host, $1 from unnest($2::text[]) as host order by host
     on conflict (host, project_ref) do nothing`,
    [ref, hosts],
  );
}

/**
 * Claims whose check is due, at most one of an organization: nobody's slow name servers hold up the others' checks. They
 * are not due again for two minutes, so that no other instance checks them as well.
 */
export async function takeDueClaims(db: Queryable, limit: number): Promise<CustomHostRow[]> {
  return db.query(
    `/* takeDueClaims */
     with due as (
       select distinct on (organization_id) host, project_ref, next_check_at
       from custom_hosts join projects on ref = project_ref
       where next_check_at <= now() and deleted_at is null
       order by organization_id, next_check_at
     ), taken as (
       select c.host, c.project_ref from custom_hosts c join due using (host, project_ref)
       where c.next_check_at <= now() order by c.next_check_at limit $1 for update of c skip locked
     )
     update custom_hosts set next_check_at = now() + interval '2 minutes'
     where (host, project_ref) in (select host, project_ref from taken)
     returning ${COLUMNS}`,
    [limit],
  );
}

/** What a check has shown. */
export interface CheckedClaim extends Pick<CustomHostRow, "verifiedAt" | "failingSince" | "lastError"> {
  /** Null: not until somebody asks. */
  readonly nextCheckInMs: number | null;
}

/** @returns False when the claim is gone or a new one, or another project has the host by now. */
export async function recordCheck(
  tx: Queryable,
  { host, projectRef, token }: CustomHostRow,
  { verifiedAt, failingSince, lastError, nextCheckInMs }: CheckedClaim,
): Promise<boolean> {
  const rows = await tx.query(
    `/* recordCheck */ update custom_hosts
     set verified_at = $4, failing_since = $5, last_error = $6, checked_at = now(),
       next_check_at = now() + $7::bigint * interval '1 millisecond'
     where host = $1 and project_ref = $2 and token = $3
       and ($4::timestamptz is null or not exists (
         select from custom_hosts other where other.host = $1 and other.project_ref <> $2 and other.verified_at is not null))
     returning host`,
    [host, projectRef, token, verifiedAt, failingSince, lastError, nextCheckInMs],
  );
  return rows.length > 0;
}

/** Takes the host from the project that has it. @returns That project's ref; null when none has it. */
export async function deleteHolder(tx: Queryable, host: string): Promise<string | null> {
  const [row] = await tx.query<{ ref: string }>(
    "/* deleteHolder */ delete from custom_hosts where host = $1 and verified_at is not null returning project_ref as ref",
    [host],
  );
  return row?.ref ?? null;
}

/** The gateway's own name, the base domain and all below it: whoever had one would get requests of other projects. */
function isHostOfInstallation(publicUrls: PublicUrls, host: string): boolean {
  const label = "a".repeat(20);
  const baseDomain = new URL(publicUrls.hostUrl(label)).hostname.slice(label.length + 1);
  const gateway = new URL(publicUrls.projectUrl(label)).hostname;
  return host === gateway || host === baseDomain || host.endsWith(`.${baseDomain}`);
}
