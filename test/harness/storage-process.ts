/** The storage service behind a gateway in a process of its own, which a test kills. Told all it needs in its first message. */
import type { GatewaySnapshot, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { HeldBytes } from "../../data-plane/held-bytes.ts";
import { createLocalServices } from "../../data-plane/local-services.ts";
import { DiskBackend } from "../../data-plane/storage/backend/disk-backend.ts";
import { DiskStore } from "../../data-plane/storage/backend/disk-store.ts";
import { createStorageService } from "../../data-plane/storage/service.ts";
import { createGateway } from "../../gateway/server.ts";
import { MemoryConfigs } from "../gateway/support.ts";

export interface ServingOrder {
  readonly directory: string;
  readonly port: number;
  readonly service: ServiceSnapshot;
  readonly gateway: GatewaySnapshot;
}

process.once("message", async ({ directory, port, service, gateway }: ServingOrder) => {
  const logger = { info() {}, warn() {}, error() {} };
  const store = new DiskStore({ root: directory, reservedBytes: 0 });
  const storage = createStorageService({
    databases: createProjectDatabases({ maxConnections: 20 }),
    backend: new DiskBackend(store),
    staging: store,
    snapshotOf: async () => service,
    heldBytes: new HeldBytes(256 * 1024 * 1024),
    logger,
    now: Date.now,
  });
  const running = createGateway({
    configs: new MemoryConfigs(gateway),
    localServices: createLocalServices({
      configs: { peek: () => service, get: async () => service },
      services: { storage: { handle: storage.handle, probe: async () => {} } },
    }),
    publicUrl: "http://127.0.0.1",
    baseDomains: ["localhost"],
    logger,
  });
  const { port: listening } = await running.listen(port, "127.0.0.1");
  process.send?.({ port: listening });
});
