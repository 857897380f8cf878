/** The backend that an installation has chosen. The client of S3 stores is loaded where it is used. */
import type { ProjectRef } from "../../../control-plane/client/config-snapshot.ts";
import type { ObjectBackend } from "./backend.ts";
import { DiskBackend } from "./disk-backend.ts";
import { DiskStore } from "./disk-store.ts";
import type { StorageOptions } from "./storage-options.ts";

export async function openBackend({ directory, s3 }: StorageOptions): Promise<{
  readonly backend: ObjectBackend;
  readonly staging: DiskStore;
}> {
  const staging = new DiskStore({ root: directory });
  if (s3 === null) return { backend: new DiskBackend(staging), staging };
  const { S3Backend } = await import("./s3-backend.ts");
  return { backend: new S3Backend(s3, staging), staging };
}

/** The last thing that is done for a deleted project; may run again. */
export async function eraseProjectStorage(options: StorageOptions, project: ProjectRef): Promise<void> {
  const { backend } = await openBackend(options);
  await backend.eraseProject(project);
}
