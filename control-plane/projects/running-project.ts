/** What a feature needs to work in the database of a project that runs. */
import type { AuthenticatorSession } from "../clusters/authenticator-session.ts";
import type { ClusterConnections } from "../clusters/cluster-connections.ts";
import { setAuthenticatorPassword } from "../clusters/project-roles.ts";
import type { Database } from "../database.ts";
import { Conflict } from "../errors.ts";
import type { Vault } from "../secrets/vault.ts";
import type { ProjectRow } from "./project-row.ts";

/** The cluster of a project that is ACTIVE. @throws {Conflict} when it is paused, failed or not there yet. */
export function runningOn({ state, clusterId }: Pick<ProjectRow, "state" | "clusterId">): string {
  if (state !== "ACTIVE" || clusterId === null) throw new Conflict(`the project is ${state}, not ACTIVE`, { state });
  return clusterId;
}

/**
 * How to log in to a running project as its services do. Should the tenant have given that login another password, the
 * stored one is set again, which lets the services back in as well. @throws {Conflict} as {@link runningOn}.
 */
export async function findAuthenticatorLogin(
  context: { readonly database: Database; readonly vault: Vault; readonly clusters: ClusterConnections },
  project: Pick<ProjectRow, "ref" | "state" | "clusterId">,
): Promise<Omit<AuthenticatorSession, "role" | "searchPath">> {
  const clusterId = runningOn(project);
  const [password, address] = await Promise.all([
    context.vault.get(context.database, project.ref, "AUTHENTICATOR_PASSWORD"),
    context.clusters.address(clusterId),
  ]);
  if (password === null) throw new Conflict("the project has no database yet");
  const { ref } = project;
  const restorePassword = () =>
    context.clusters.withAdmin(clusterId, (client) => setAuthenticatorPassword(client, ref, password));
  return { ref, address, password, restorePassword };
}
