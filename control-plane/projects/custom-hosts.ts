/** Host names of people's own. A host has one project: the table's key decides, not a look before the leap. */
import type { Queryable } from "../database.ts";
import { InvalidInput } from "../errors.ts";
import type { PublicUrls } from "../public-urls.ts";

const FIELD = "settings.customHosts";

/** By name. */
export async function listCustomHosts(db: Queryable, ref: string): Promise<string[]> {
  const rows = await db.query<{ host: string }>(
    "/* listCustomHosts */ select host from custom_hosts where project_ref = $1 order by host",
    [ref],
  );
  return rows.map(({ host }) => host);
}

/**
 * Makes `hosts` the hosts of the project.
 * @throws {InvalidInput} one is taken, or belongs to the installation. That it is taken says no more than DNS does.
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
  // In the order of the names, so that two projects that claim the same hosts do not wait for each other.
  const claimed = await tx.query<{ host: string }>(
    `/* claimCustomHosts */ insert into custom_hosts (host, project_ref)
     select host, $1 from unnest($2::text[]) as host order by host
     on conflict (host) do update set project_ref = excluded.project_ref, created_at = now()
       where custom_hosts.project_ref = excluded.project_ref
         or exists (select from projects where ref = custom_hosts.project_ref and deleted_at is not null)
     returning host`,
    [ref, hosts],
  );
  const names = new Set(claimed.map(({ host }) => host));
  const taken = hosts.find((host) => !names.has(host));
  if (taken !== undefined) throw new InvalidInput(FIELD, `${taken} leads to another project already`);
}

/** The gateway's own name, the base domain and all below it: whoever had one would get requests of other projects. */
function isHostOfInstallation(publicUrls: PublicUrls, host: string): boolean {
  const label = "a".repeat(20);
  const baseDomain = new URL(publicUrls.hostUrl(label)).hostname.slice(label.length + 1);
  const gateway = new URL(publicUrls.projectUrl(label)).hostname;
  return host === gateway || host === baseDomain || host.endsWith(`.${baseDomain}`);
}
