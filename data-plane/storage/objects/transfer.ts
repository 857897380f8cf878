/** Moving and copying: the bytes under a new version first, then the row, as with an upload. */
import { randomUUID } from "node:crypto";
import type { ServiceResponse } from "../../service.ts";
import { BytesMissing, type ObjectAddress } from "../backend/backend.ts";
import type { StorageContext } from "../context.ts";
import {
  type FileMetadata,
  findObjectAsCaller,
  findObjectAsService,
  type ObjectRow,
  readObject,
} from "../database/rows.ts";
import { sqlError, storageError } from "../errors.ts";
import { json } from "../http/responses.ts";
import { ownerUuid } from "../identity.ts";
import type { StorageParts } from "../service.ts";
import { objectJson } from "../sql.ts";
import { addressOf } from "./download.ts";
import { probeUpload, readProbe, reserveVersion, undo } from "./upload.ts";

export interface Transfer {
  readonly bucket: string;
  readonly name: string;
  readonly toBucket: string;
  readonly toName: string;
}

const PROBE_MOVE = "/* probeMove */ select * from supalove.storage_probe_move($1, $2, $3, $4, $5, $6)";
const MOVE = `/* moveObject */ with claimed as (
    delete from supalove.storage_versions where version = $5 and state = 'pending' returning version
  )
  update storage.objects o set bucket_id = $3, name = $4, version = claimed.version,
    owner = case when $7::text is null then o.owner else $6::uuid end, owner_id = coalesce($7, o.owner_id)
  from claimed where o.bucket_id = $1 and o.name = $2 and o.version is not distinct from $8
  returning o.id`;

export async function moveObject(
  parts: StorageParts,
  context: StorageContext,
  transfer: Transfer,
): Promise<ServiceResponse> {
  const { bucket, name, toBucket, toName } = transfer;
  const moved = json({ message: "Successfully moved" });
  const address = newAddress(context, toBucket, toName);
  const owner = context.caller.subject;
  const isSame = bucket === toBucket && name === toName;
  const [, probe, , found] = await context.run([
    context.asCaller(),
    context.ofCaller(PROBE_MOVE, [bucket, name, toBucket, toName, ownerUuid(owner), owner]),
    context.asService(),
    findObjectAsService(context, bucket, name),
    ...(isSame ? [] : [reserveVersion(context, address, true)]),
  ]);
  const [code = "XX000", message, detail] = probe?.rows[0] ?? [];
  const object = readObject(found);
  if (code === "hidden" || object === null) throw storageError("objectNotFound");
  if (code !== "00000") throw sqlError({ code: code ?? "", message: message ?? "", detail }, "resourceExists");
  if (isSame) return moved;
  await withBytes(parts, context, object, address, async () => {
    const [, result] = await context.run(
      [
        context.asService(),
        context.ofService(MOVE, [
          ...[bucket, name, toBucket, toName, address.version],
          ...[ownerUuid(owner), owner, object.version],
        ]),
      ],
      "resourceExists",
    );
    // Somebody has replaced, moved or deleted it meanwhile.
    if (result?.rowCount !== 1) throw storageError("objectNotFound");
  });
  return moved;
}

export interface CopyOptions {
  readonly upsert: boolean;
  /** What replaces the source's; null keeps it. JSON text. */
  readonly userMetadata: string | null | "source";
  /** Overrides members of the source's metadata. */
  readonly metadata: FileMetadata;
}

const COPY_COLUMNS = `insert into storage.objects as o (bucket_id, name, owner, owner_id, metadata, user_metadata, version)
  select $1, $2, $3::uuid, $4, $5::jsonb, $6::jsonb, version from claimed`;
const CLAIM = `with claimed as (
    delete from supalove.storage_versions where version = $7 and state = 'pending' returning version
  ), written as (`;
const COPY = `/* copyObject */ ${CLAIM} ${COPY_COLUMNS} returning o.*) select ${objectJson("written")} from written`;
const COPY_UPSERT = `/* copyOver */ ${CLAIM} ${COPY_COLUMNS}
  on conflict (bucket_id, name) do update set metadata = excluded.metadata, user_metadata = excluded.user_metadata,
    version = excluded.version,
    owner = case when excluded.owner_id is null then o.owner else excluded.owner end,
    owner_id = coalesce(excluded.owner_id, o.owner_id)
  returning o.*) select ${objectJson("written")} from written`;

/** @returns The new row as the API shows it. @throws {StorageError} */
export async function copyObject(
  parts: StorageParts,
  context: StorageContext,
  { bucket, name, toBucket, toName }: Transfer,
  { upsert, userMetadata, metadata }: CopyOptions,
  condition?: (source: ObjectRow) => void,
): Promise<Record<string, unknown>> {
  const address = newAddress(context, toBucket, toName);
  const owner = context.caller.subject;
  const [, source] = await context.run([context.asCaller(), findObjectAsCaller(context, bucket, name)]);
  const object = readObject(source);
  if (object === null) throw storageError("objectNotFound");
  condition?.(object);
  const newMetadata = { ...object.metadata, ...metadata, lastModified: new Date().toISOString() };
  const newUserMetadata =
    userMetadata === "source"
      ? object.userMetadata === null
        ? null
        : JSON.stringify(object.userMetadata)
      : userMetadata;
  const probed = {
    ...{ bucket: toBucket, name: toName, owner, upsert, userMetadata: newUserMetadata },
    ...{ contentType: newMetadata.mimetype, announcedBytes: newMetadata.size },
  };
  const [, probe] = await context.run([
    context.asCaller(),
    probeUpload(context, probed),
    context.asService(),
    reserveVersion(context, address, true),
  ]);
  readProbe(probe);
  return withBytes(parts, context, object, address, async () => {
    const [, result] = await context.run(
      [
        context.asService(),
        context.ofService(upsert ? COPY_UPSERT : COPY, [
          ...[toBucket, toName, ownerUuid(owner), owner, JSON.stringify(newMetadata), newUserMetadata],
          address.version,
        ]),
      ],
      "objectExists",
    );
    const text = result?.rows[0]?.[0];
    if (!text) throw storageError("aborted");
    return JSON.parse(text) as Record<string, unknown>;
  });
}

function newAddress(context: StorageContext, bucket: string, name: string): ObjectAddress {
  return { project: context.project.projectRef, bucket, name, version: randomUUID() };
}

/** Gives the bytes a second address, runs what makes it known, and takes it back when that fails. */
async function withBytes<T>(
  parts: StorageParts,
  context: StorageContext,
  object: ObjectRow,
  address: ObjectAddress,
  commit: () => Promise<T>,
): Promise<T> {
  parts.upkeep.noteWork(address.project);
  try {
    await parts.backend.copy(addressOf(context, object), address);
    return await commit();
  } catch (error) {
    await undo(parts, context, address, error);
    throw error instanceof BytesMissing ? storageError("bytesMissing") : error;
  }
}
