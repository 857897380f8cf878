/** What a feature needs to work in the database of a project that runs. */
import type { ClusterAddress } from "../clusters/cluster-connections.ts";
import type { GraphqlContext } from "../context.ts";
import { Conflict } from "../errors.ts";
import type { ProjectRow } from "./project-row.ts";

/** The cluster of a project that is ACTIVE. @throws {Conflict} when it is paused, failed or not there yet. */
export function runningOn({ state, clusterId }: Pick<ProjectRow, "state" | "clusterId">): string {
  if (state !== "ACTIVE" || clusterId === null) throw new Conflict(`the project is ${state}, not ACTIVE`, { state });
  return clusterId;
}

/** Where the services' login of a running project connects to. @throws {Conflict} as {@link runningOn}. */
export async function findAuthenticatorLogin(
  context: Pick<GraphqlContext, "database" | "vault" | "clusters">,
  project: Pick<ProjectRow, "ref" | "state" | "clusterId">,
): Promise<{ ref: string; address: ClusterAddress; password: string }> {
  const clusterId = runningOn(project);
  const [password, address] = await Promise.all([
    context.vault.get(context.database, project.ref, "AUTHENTICATOR_PASSWORD"),
    context.clusters.address(clusterId),
  ]);
  if (password === null) throw new Conflict("the project has no database yet");
  return { ref: project.ref, address, password };
}
