/**
 * Rotation of the master key. First the new key is given to every instance after the old one, so that all can unwrap
 * with it; then before the old one: each instance that starts wraps again what is left under the old key. When none is
 * left, the old key can be taken away. Secrets themselves are not touched, only the keys around them.
 */
import { resealClusterPasswords } from "../clusters/cluster-table.ts";
import { resealReplicationPasswords } from "../clusters/replication-login.ts";
import type { Database } from "../database.ts";
import type { Vault } from "./vault.ts";

/** Does nothing when all is under the current key. @throws {MasterKeyError} something is under a key that is not given. */
export async function moveToCurrentMasterKey(
  database: Database,
  vault: Vault,
): Promise<{ dataKeys: number; clusterPasswords: number }> {
  return database.transaction(async (tx) => ({
    dataKeys: await vault.rewrapDataKeys(tx),
    clusterPasswords: (await resealClusterPasswords(tx, vault)) + (await resealReplicationPasswords(tx, vault)),
  }));
}
