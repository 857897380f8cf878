/**
 * `supalove storage move`: copies a project's bytes between the local disk and an S3 store. What is there already is passed
 * over, so it may be broken off and run again: before the installation is switched to the other store, and once more after.
 */
import type pg from "pg";
import { parseProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { createClient } from "../../control-plane/postgres-client.ts";
import type { ObjectAddress, ObjectBackend } from "../../data-plane/storage/backend/backend.ts";
import { openBackend } from "../../data-plane/storage/backend/open-backend.ts";
import type { S3StoreOptions } from "../../data-plane/storage/backend/storage-options.ts";
import type { GraphqlClient } from "./graphql-client.ts";
import { CommandError } from "./output.ts";
import { revealCredentials } from "./projects.ts";

export interface MoveOptions {
  readonly to: string;
  readonly directory: string;
  readonly s3: S3StoreOptions | null;
  readonly jobs: number;
}

export interface Moved {
  readonly copied: number;
  readonly present: number;
  /** Rows that have no bytes in the source either. */
  readonly missing: number;
}

export async function moveStorage(api: GraphqlClient, refText: string, options: MoveOptions): Promise<Moved> {
  if (options.to !== "s3" && options.to !== "disk") throw new CommandError("--to is either s3 or disk");
  if (options.s3 === null) throw new CommandError("Name the S3 store: SUPALOVE_STORAGE_S3_BUCKET and its companions");
  const ref = parseProjectRef(refText);
  const { directory, s3 } = options;
  const disk = (await openBackend({ directory, s3: null })).backend;
  const store = (await openBackend({ directory, s3 })).backend;
  const [from, to] = options.to === "s3" ? [disk, store] : [store, disk];
  const { databaseUrl } = await revealCredentials(api, ref);
  const client = createClient({ connectionString: databaseUrl });
  await client.connect();
  try {
    const counts = { copied: 0, present: 0, missing: 0 };
    for (let after = { bucket: "", name: "" }; ; ) {
      const page = await readPage(client, after);
      const last = page.at(-1);
      if (!last) return counts;
      after = last;
      let next = 0;
      const runner = async () => {
        for (let object = page[next++]; object; object = page[next++]) {
          counts[await moveObject(from, to, { project: ref, ...object })] += 1;
        }
      };
      await Promise.all(Array.from({ length: options.jobs }, runner));
    }
  } finally {
    await client.end();
  }
}

async function readPage(client: pg.Client, after: { readonly bucket: string; readonly name: string }) {
  const { rows } = await client.query<Omit<ObjectAddress, "project">>(
    `/* readObjectsToMove */ select bucket_id as bucket, name, version from storage.objects
     where version is not null and (bucket_id, name collate "C") > ($1, $2)
     order by bucket_id, name collate "C" limit 500`,
    [after.bucket, after.name],
  );
  return rows;
}

/** Written under the version's own address, or not at all: a broken copy leaves nothing that looks whole. */
export async function moveObject(
  from: ObjectBackend,
  to: ObjectBackend,
  address: ObjectAddress,
): Promise<"copied" | "present" | "missing"> {
  const source = await from.open(address);
  if (source === null) return "missing";
  const target = await to.open(address);
  await target?.close();
  if (target?.bytes === source.bytes) {
    await source.close();
    return "present";
  }
  if (target) await to.remove(address);
  await to.write(address, source.read(0, source.bytes), { maxBytes: source.bytes, declaredBytes: source.bytes });
  await source.close();
  return "copied";
}
