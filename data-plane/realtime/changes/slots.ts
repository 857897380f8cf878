/**
 * How many replication slots there may be on a cluster. Each active one decodes everything that is written in the whole
 * cluster, whoever wrote it, so they are few; who gets none is told and tries again.
 */
export class SlotBudget {
  readonly max: number;
  readonly #byCluster = new Map<string, number>();

  constructor(max: number) {
    this.max = max;
  }

  get count(): number {
    let sum = 0;
    for (const count of this.#byCluster.values()) sum += count;
    return sum;
  }

  take(cluster: string): boolean {
    const count = this.#byCluster.get(cluster) ?? 0;
    if (count >= this.max) return false;
    this.#byCluster.set(cluster, count + 1);
    return true;
  }

  giveBack(cluster: string): void {
    const count = (this.#byCluster.get(cluster) ?? 1) - 1;
    if (count > 0) this.#byCluster.set(cluster, count);
    else this.#byCluster.delete(cluster);
  }
}

/** Names of our slots begin so; they are counted over all processes by it. */
export const SLOT_PREFIX = "supalove_realtime_";
