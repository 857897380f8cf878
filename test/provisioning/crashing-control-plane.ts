/**
 * A whole control plane as a process of its own that kills itself (SIGKILL: no handler, no flush) at one step.
 * Environment: DATABASE_URL, MASTER_KEYS, LEASE_MS, and CRASH_AT as `<kind>/<step>/before` or `…/after`: before the
 * step's work, or after it and before it is recorded. Left out, it does not crash. Prints its URL as one line of JSON.
 */
import { createLogger } from "../../control-plane/logger.ts";
import { parseMasterKeys } from "../../control-plane/secrets/master-keys.ts";
import { createControlPlane } from "../../control-plane/server.ts";

const { DATABASE_URL = "", MASTER_KEYS = "", LEASE_MS = "", CRASH_AT } = process.env;

const controlPlane = await createControlPlane({
  databaseUrl: DATABASE_URL,
  masterKeys: parseMasterKeys(MASTER_KEYS),
  publicGatewayUrl: "http://localhost:8083",
  baseDomain: "localhost",
  logger: createLogger("fatal"),
  version: "test",
  provisioning: {
    leaseMs: Number(LEASE_MS),
    pollMs: 100,
    wrapStep: (step, kind) => ({
      name: step.name,
      async run(signal) {
        if (CRASH_AT === `${kind}/${step.name}/before`) die();
        await step.run(signal);
        if (CRASH_AT === `${kind}/${step.name}/after`) die();
      },
    }),
  },
});
const { url } = await controlPlane.listen(0, "127.0.0.1");
console.log(JSON.stringify({ url }));

process.once("SIGTERM", () => void controlPlane.close());

function die(): never {
  process.kill(process.pid, "SIGKILL");
  throw new Error("still alive");
}
