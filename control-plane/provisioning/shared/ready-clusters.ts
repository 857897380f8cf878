/** What a cluster must have before a project goes onto it: the shared roles and the template. Made on first use. */
import { bootstrapCluster, type ClusterRoles } from "../../clusters/bootstrap.ts";
import type { ClusterConnections } from "../../clusters/cluster-connections.ts";
import { ensureReplicationLogin } from "../../clusters/replication-login.ts";
import { ensureTemplate, type Template } from "../../clusters/template.ts";
import { type ConcurrencyLimit, createConcurrencyLimit } from "../../concurrency-limit.ts";
import type { Database } from "../../database.ts";
import type { Vault } from "../../secrets/vault.ts";

export interface ReadyCluster {
  readonly roles: ClusterRoles;
  readonly template: Template;
  /** Around every copy of the template. */
  readonly copying: ConcurrencyLimit;
}

/**
 * Copies at a time on one cluster. They write through the same shared buffers and the same WAL: on two cores six at a
 * time took more than twice the CPU for each than two did.
 */
const COPIES_AT_ONCE = 2;

export class ReadyClusters {
  readonly #database: Database;
  readonly #vault: Vault;
  readonly #clusters: ClusterConnections;
  readonly #ready = new Map<string, Promise<ReadyCluster>>();

  constructor(database: Database, vault: Vault, clusters: ClusterConnections) {
    this.#database = database;
    this.#vault = vault;
    this.#clusters = clusters;
  }

  /** Bootstraps the cluster the first time this process asks (half a second), afterwards from memory. */
  get(clusterId: string): Promise<ReadyCluster> {
    const known = this.#ready.get(clusterId);
    if (known) return known;
    const ready = this.#prepare(clusterId);
    this.#ready.set(clusterId, ready);
    ready.catch(() => this.#ready.delete(clusterId)); // it was away: prepared when asked for again
    return ready;
  }

  /** The cluster is not as it was left (a template was dropped): {@link get} prepares it again. */
  forget(clusterId: string): void {
    this.#ready.delete(clusterId);
  }

  async #prepare(clusterId: string): Promise<ReadyCluster> {
    const connect = (database: string) => this.#clusters.projectAdmin(clusterId, database);
    const ready = await this.#clusters.withAdmin(clusterId, async (client) => {
      const roles = await bootstrapCluster(client);
      const template = await ensureTemplate(client, connect, roles);
      return { roles, template, copying: createConcurrencyLimit(COPIES_AT_ONCE) };
    });
    await ensureReplicationLogin(this.#database, this.#vault, this.#clusters, clusterId);
    await this.#database.query(
      `/* recordTemplateVersion */ update clusters set template_version = $2
       where id = $1 and template_version is distinct from $2`,
      [clusterId, ready.template.version],
    );
    return ready;
  }
}
