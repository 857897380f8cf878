/** Headers of TUS 1.0.0, read strictly. Pure. */
import { TusError } from "./tus-error.ts";

export const TUS_VERSION = "1.0.0";
export const TUS_EXTENSIONS = "creation,creation-with-upload,creation-defer-length,termination,expiration";
export const OFFSET_TYPE = "application/offset+octet-stream";

type RequestHeaders = Readonly<Record<string, string>>;

/** @throws {TusError} 412, 400 */
export function checkVersion(headers: RequestHeaders): void {
  const version = headers["tus-resumable"];
  if (version === undefined) throw new TusError(412, "Tus-Resumable Required\n");
  if (version !== TUS_VERSION) throw new TusError(400, "Invalid tus-resumable\n");
}

/** @throws {TusError} 400 */
export function readCount(headers: RequestHeaders, name: "upload-length" | "upload-offset"): number | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value)) throw new TusError(400, `Invalid ${name}\n`);
  return Number(value);
}

export interface UploadMetadata {
  readonly bucketName: string;
  readonly objectName: string;
  readonly contentType: string | undefined;
  readonly cacheControl: string | undefined;
  readonly metadata: string | undefined;
}

const MAX_METADATA_CHARACTERS = 60_000;

/** Pairs of a name and a value in base64. @throws {TusError} 400 */
export function parseMetadata(header: string | undefined): UploadMetadata {
  const invalid = () => new TusError(400, "Invalid upload-metadata\n");
  if (header === undefined || header.length > MAX_METADATA_CHARACTERS) throw invalid();
  const values = new Map<string, string>();
  for (const pair of header.split(",")) {
    const [name = "", value = "", ...more] = pair.trim().split(/ +/);
    if (name === "" || more.length > 0 || !/^[\w+/-]*={0,2}$/.test(value) || values.has(name)) throw invalid();
    values.set(name, Buffer.from(value, "base64").toString("utf8"));
  }
  const bucketName = values.get("bucketName");
  const objectName = values.get("objectName");
  if (!bucketName || !objectName) throw invalid();
  return {
    bucketName,
    objectName,
    contentType: values.get("contentType") || undefined,
    cacheControl: values.get("cacheControl") || undefined,
    metadata: values.get("metadata") || undefined,
  };
}
