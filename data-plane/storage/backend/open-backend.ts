/** The backend that an installation has chosen. The client of S3 stores is loaded where it is used. */
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
