/** Environment variables that say where the bytes of objects lie; of every process that runs the storage service. */
import { z } from "zod";
import { secret } from "../../control-plane/client/environment-variables.ts";
import type { S3StoreOptions } from "./backend/storage-options.ts";

export const STORAGE_VARIABLES = {
  SUPALOVE_STORAGE_S3_BUCKET: z
    .string()
    .min(1)
    .optional()
    .describe("Bucket of an S3 store that holds the objects of all projects. Unset: they lie on the local disk."),
  SUPALOVE_STORAGE_S3_ENDPOINT: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Address of the S3 store, when it is not Amazon's."),
  SUPALOVE_STORAGE_S3_REGION: z.string().min(1).default("us-east-1").describe("Region of the S3 store."),
  SUPALOVE_STORAGE_S3_ACCESS_KEY_ID: z.string().default("").describe("Access key of the S3 store."),
  SUPALOVE_STORAGE_S3_SECRET_ACCESS_KEY: secret(z.string().default("").describe("Its secret.")),
};

type StorageVariables = z.output<z.ZodObject<typeof STORAGE_VARIABLES>>;

/** Null: objects lie on the local disk. */
export function s3StoreOptions(variables: StorageVariables): S3StoreOptions | null {
  const bucket = variables.SUPALOVE_STORAGE_S3_BUCKET;
  if (bucket === undefined) return null;
  return {
    bucket,
    endpoint: variables.SUPALOVE_STORAGE_S3_ENDPOINT,
    region: variables.SUPALOVE_STORAGE_S3_REGION,
    accessKeyId: variables.SUPALOVE_STORAGE_S3_ACCESS_KEY_ID,
    secretAccessKey: variables.SUPALOVE_STORAGE_S3_SECRET_ACCESS_KEY,
  };
}
