/** What is known of an object, without its bytes. */
import type { ServiceResponse } from "../../service.ts";
import type { ObjectRow } from "../database/rows.ts";
import { json } from "../http/responses.ts";
import { objectHeaders } from "./download.ts";

const SHOWN_HEADERS: ReadonlySet<string> = new Set(["etag", "last-modified", "cache-control"]);

export function objectInfo(object: ObjectRow): ServiceResponse {
  const metadata = object.metadata ?? {};
  const info = {
    id: object.id,
    name: object.name,
    version: object.version,
    bucket_id: object.bucket,
    size: metadata.size ?? null,
    content_type: metadata.mimetype ?? null,
    cache_control: metadata.cacheControl ?? null,
    etag: metadata.eTag ?? null,
    metadata: object.userMetadata,
    last_modified: object.updatedAt,
    created_at: object.createdAt,
  };
  return json(
    info,
    200,
    objectHeaders(object, false).filter(([name]) => SHOWN_HEADERS.has(name)),
  );
}
