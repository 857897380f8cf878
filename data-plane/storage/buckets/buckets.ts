/** Buckets: create, look at, change, empty and delete. */
import type { ServiceResponse } from "../../service.ts";
import type { StorageContext } from "../context.ts";
import { storageError } from "../errors.ts";
import type { Fields } from "../http/json-body.ts";
import { json, jsonText } from "../http/responses.ts";
import { ownerUuid } from "../identity.ts";
import { checkAllowedMimeTypes, checkNewBucketName, parseSizeLimit } from "../names.ts";
import { textArray } from "../objects/delete.ts";
import type { StorageParts } from "../service.ts";
import { isoTime } from "../sql.ts";

const bucketJson = (
  type: string,
) => `json_build_object('id', b.id, 'name', b.name, 'owner', coalesce(b.owner::text, ''),
    'public', b.public, ${type}'file_size_limit', b.file_size_limit, 'allowed_mime_types', b.allowed_mime_types,
    'created_at', ${isoTime("b.created_at")}, 'updated_at', ${isoTime("b.updated_at")})`;

const CREATE = `/* createBucket */ insert into storage.buckets (id, name, owner, owner_id, public, file_size_limit, allowed_mime_types)
  values ($1, $2, $3, $4, $5, $6, $7::text[])`;
const GET = `/* getBucket */ select ${bucketJson("")} from storage.buckets b where b.id = $1`;
const UPDATE = `/* updateBucket */ update storage.buckets set
    public = coalesce($2::boolean, public),
    file_size_limit = case when $3::boolean then $4::bigint else file_size_limit end,
    allowed_mime_types = case when $5::boolean then $6::text[] else allowed_mime_types end
  where id = $1 returning id`;
const LOCK = `/* lockBucket */ select exists (select from storage.objects where bucket_id = b.id),
    exists (select from storage.s3_multipart_uploads where bucket_id = b.id)
  from storage.buckets b where id = $1 for update`;
const DELETE = `/* deleteBucket */ delete from storage.buckets where id = $1
  and not exists (select from storage.objects where bucket_id = $1) returning id`;

export async function createBucket(context: StorageContext, fields: Fields): Promise<ServiceResponse> {
  const name = checkNewBucketName(fields.text("name"));
  const id = checkNewBucketName(fields.optionalText("id") || name);
  if ((fields.choice("type", ["STANDARD", "ANALYTICS"]) ?? "STANDARD") !== "STANDARD")
    throw storageError("featureDisabled");
  const limit = sizeLimitOf(context, fields) ?? null;
  const types = mimeTypesOf(fields) ?? null;
  await insertBucket(context, { id, name, isPublic: fields.flag("public") ?? false, limit, types });
  return json({ name });
}

/** @throws {StorageError} */
export async function insertBucket(
  context: StorageContext,
  bucket: {
    readonly id: string;
    readonly name: string;
    readonly isPublic: boolean;
    readonly limit: number | null;
    readonly types: readonly string[] | null;
  },
): Promise<void> {
  const owner = context.caller.subject;
  await context.run(
    [
      context.asCaller(),
      context.ofCaller(CREATE, [
        bucket.id,
        bucket.name,
        ownerUuid(owner),
        owner,
        String(bucket.isPublic),
        bucket.limit === null ? null : String(bucket.limit),
        bucket.types === null ? null : textArray(bucket.types),
      ]),
    ],
    "bucketExists",
  );
}

export async function getBucket(context: StorageContext, id: string): Promise<ServiceResponse> {
  const [, result] = await context.run([context.asCaller(), context.ofCaller(GET, [id])]);
  const body = result?.rowCount ? result.bytes(0, 0) : null;
  if (!body) throw storageError("bucketNotFound");
  return jsonText(body);
}

const SORT_COLUMNS = ["id", "name", "created_at", "updated_at"] as const;
const ORDERS = ["asc", "desc"] as const;
const MAX_BUCKETS = 10_000;

/** @param query Of the URL. */
export async function listBuckets(context: StorageContext, query: Fields): Promise<ServiceResponse> {
  const limit = query.optionalInteger("limit", { min: 1 }) ?? MAX_BUCKETS;
  const offset = query.optionalInteger("offset", { min: 0 }) ?? 0;
  const column = query.choice("sortColumn", SORT_COLUMNS);
  const order = query.choice("sortOrder", ORDERS) ?? "asc";
  const search = query.optionalText("search") ?? "";
  const sort = column ? `order by b.${column} ${order}` : "order by b.created_at, b.id";
  const text = `/* listBuckets */ with page as (
      select b.* from storage.buckets b where $1 = '' or strpos(lower(b.name), lower($1)) > 0 ${sort} limit $2 offset $3
    ) select coalesce(json_agg(${bucketJson(isOldPythonClient(context) ? "" : "'type', b.type, ")} ${sort}), '[]') from page b`;
  const values = [search, String(Math.min(limit, MAX_BUCKETS)), String(offset)];
  const [, result] = await context.run([context.asCaller(), context.ofCaller(text, values)]);
  return jsonText(result?.bytes(0, 0) ?? "[]");
}

/** Releases of the Python client that refuse rows with a member they do not know. */
function isOldPythonClient({ request }: StorageContext): boolean {
  const info = /supabase-py\/(\d+)\.(\d+)/.exec(request.headers["x-client-info"] ?? "");
  if (info) return Number(info[1]) < 2 || (Number(info[1]) === 2 && Number(info[2]) < 18);
  const agent = /supabase-py\/storage3 v(\d+)\.(\d+)\.(\d+)/.exec(request.headers["user-agent"] ?? "");
  if (!agent) return false;
  const [major = 0, minor = 0, patch = 0] = agent.slice(1).map(Number);
  return major === 0 && (minor < 12 || (minor === 12 && patch < 1));
}

export async function updateBucket(context: StorageContext, id: string, fields: Fields): Promise<ServiceResponse> {
  const isPublic = fields.flag("public");
  const limit = sizeLimitOf(context, fields);
  const types = mimeTypesOf(fields);
  if (isPublic === undefined && limit === undefined && types === undefined) {
    throw storageError("invalidRequest", "body must have at least one of public, file_size_limit, allowed_mime_types");
  }
  const values = [
    id,
    isPublic === undefined ? null : String(isPublic),
    String(limit !== undefined),
    limit === undefined || limit === null ? null : String(limit),
    String(types !== undefined),
    types === undefined || types === null ? null : textArray(types),
  ];
  const [, result] = await context.run([context.asCaller(), context.ofCaller(UPDATE, values)]);
  if (result?.rowCount === 0) throw storageError("bucketNotFound");
  return json({ message: "Successfully updated" });
}

export async function deleteBucket(context: StorageContext, id: string): Promise<ServiceResponse> {
  await removeBucket(context, id);
  return json({ message: "Successfully deleted" });
}

/** @throws {StorageError} when it is not there, not empty, or not the caller's to delete. */
export async function removeBucket(context: StorageContext, id: string): Promise<void> {
  const [, locked, , deleted] = await context
    .run([context.asService(), context.ofService(LOCK, [id]), context.asCaller(), context.ofCaller(DELETE, [id])])
    .catch(async (error) => {
      // An object that the caller cannot see still refers to the bucket.
      if (error?.kind === "resourceReferenced") throw await whyReferenced(context, id);
      throw error;
    });
  const row = locked?.rows[0];
  if (!row) throw storageError("bucketNotFound");
  if (row[0] === "t") throw storageError("bucketNotEmpty");
  if (deleted?.rowCount === 0) throw storageError("bucketNotFound");
}

async function whyReferenced(context: StorageContext, id: string) {
  const [, locked] = await context.run([context.asService(), context.ofService(LOCK, [id])]);
  const [hasObjects, hasUploads] = locked?.rows[0] ?? [];
  if (hasObjects === "t") return storageError("bucketNotEmpty");
  return hasUploads === "t"
    ? storageError("resourceReferenced", "The bucket has multipart uploads that are not completed")
    : storageError("resourceReferenced");
}

const MAX_TO_EMPTY = 200_000;
const COUNT = `/* countObjects */ select b.id, (
    select count(*) from (select from storage.objects where bucket_id = b.id limit ${MAX_TO_EMPTY + 1}) o
  ) from storage.buckets b where b.id = $1`;
const ORDER_EMPTYING = `/* orderEmptying */ insert into supalove.storage_emptying (bucket_id, created_before) values ($1, now())
  on conflict (bucket_id) do update set created_before = excluded.created_before`;

/** For the service role alone. What was there before the call is deleted by and by; small buckets are empty at once. */
export async function emptyBucket(parts: StorageParts, context: StorageContext, id: string): Promise<ServiceResponse> {
  if (context.caller.role !== "service_role") throw storageError("roleDenied");
  const [, counted] = await context.run([context.asService(), context.ofService(COUNT, [id])]);
  const row = counted?.rows[0];
  if (!row) throw storageError("bucketNotFound");
  if (Number(row[1]) > MAX_TO_EMPTY) throw storageError("tooManyToEmpty");
  if (Number(row[1]) > 0) {
    await context.run([context.asService(), context.ofService(ORDER_EMPTYING, [id])]);
    parts.upkeep.noteWork(context.project.projectRef);
    await parts.upkeep.emptyBuckets(context.project, { maxBatches: 1 });
  }
  return json({ message: "Empty bucket has been queued. Completion may take up to an hour." });
}

/** Undefined: not given. */
function sizeLimitOf(context: StorageContext, fields: Fields): number | null | undefined {
  if (!fields.has("file_size_limit")) return undefined;
  const limit = parseSizeLimit(fields.raw("file_size_limit"));
  if (limit !== null && limit > context.project.storage.fileSizeLimitBytes) throw storageError("tooLarge");
  return limit;
}

function mimeTypesOf(fields: Fields): readonly string[] | null | undefined {
  if (!fields.has("allowed_mime_types")) return undefined;
  return fields.isNull("allowed_mime_types") ? null : checkAllowedMimeTypes(fields.texts("allowed_mime_types"));
}
