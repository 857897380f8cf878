/** Deleting objects: rows first. A trigger notes their versions in the same transaction, and the upkeep removes the bytes. */
import type { ServiceResponse } from "../../service.ts";
import type { StorageContext } from "../context.ts";
import { storageError } from "../errors.ts";
import { json, jsonText } from "../http/responses.ts";
import type { StorageParts } from "../service.ts";
import { objectJson } from "../sql.ts";

const LOCK = "/* lockObject */ select id from storage.objects where bucket_id = $1 and name = $2 for update";
const DELETE = "/* deleteObject */ delete from storage.objects where bucket_id = $1 and name = $2 returning id";
const DELETE_MANY = `/* deleteObjects */ with gone as (
    delete from storage.objects o where o.bucket_id = $1 and o.name = any ($2::text[]) returning o.*
  ) select coalesce(json_agg(${objectJson("gone")} order by gone.name), '[]') from gone`;

export async function deleteObject(
  parts: StorageParts,
  context: StorageContext,
  bucket: string,
  name: string,
): Promise<ServiceResponse> {
  await removeObject(parts, context, bucket, name);
  return json({ message: "Successfully deleted" });
}

/** @throws {StorageError} when it is not there, or the caller may not. */
export async function removeObject(
  parts: StorageParts,
  context: StorageContext,
  bucket: string,
  name: string,
): Promise<void> {
  const [, found, , deleted] = await context.run([
    context.asService(),
    context.ofService(LOCK, [bucket, name]),
    context.asCaller(),
    context.ofCaller(DELETE, [bucket, name]),
  ]);
  if (found?.rowCount === 0) throw storageError("objectNotFound");
  if (deleted?.rowCount === 0) throw storageError("accessDenied");
  parts.upkeep.noteWork(context.project.projectRef);
}

const BATCH = 500;
const MAX_NAMES = 10_000;

/** Exact names. What is not there or not the caller's is passed over. */
export async function deleteObjects(
  parts: StorageParts,
  context: StorageContext,
  bucket: string,
  names: readonly string[],
): Promise<ServiceResponse> {
  if (names.length > MAX_NAMES) {
    throw storageError("invalidRequest", `Bulk object requests are limited to ${MAX_NAMES} objects per request.`);
  }
  const bodies: Buffer[] = [];
  for (let start = 0; start < names.length; start += BATCH) {
    bodies.push(await removeObjects(parts, context, bucket, names.slice(start, start + BATCH)));
  }
  if (bodies.length === 1) return jsonText(bodies[0] as Buffer);
  return json(bodies.flatMap((body) => JSON.parse(body.toString("utf8")) as unknown[]));
}

/** @returns JSON text of the deleted rows. */
export async function removeObjects(
  parts: StorageParts,
  context: StorageContext,
  bucket: string,
  names: readonly string[],
): Promise<Buffer> {
  const [, result] = await context.run([context.asCaller(), context.ofCaller(DELETE_MANY, [bucket, textArray(names)])]);
  parts.upkeep.noteWork(context.project.projectRef);
  return result?.bytes(0, 0) ?? Buffer.from("[]");
}

/** A `text[]` in PostgreSQL's text form. */
export function textArray(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replaceAll("\0", "").replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}
