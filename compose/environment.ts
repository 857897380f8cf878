/** The environment of the standalone stack and of the command line: one object, every problem reported in one go. */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { z } from "zod";
import { parseVariables, secret } from "../control-plane/client/environment-variables.ts";
import { HELD_VARIABLES, type Maxima, maximaOf, SERVICE_VARIABLES } from "../control-plane/client/maxima.ts";
import { OPERATOR_VARIABLES, type OperatorOptions, operatorOptions } from "../control-plane/operator-variables.ts";
import { type ImageOverrides, imageOverrides } from "../control-plane/provisioning/dedicated/images.ts";
import type { S3StoreOptions } from "../data-plane/storage/backend/storage-options.ts";
import { STORAGE_VARIABLES, s3StoreOptions } from "../data-plane/storage/environment.ts";

const port = z.coerce.number().int().min(0).max(65535);

export const ENVIRONMENT = z.object({
  SUPALOVE_DATA_DIR: z
    .string()
    .min(1)
    .default(".supalove")
    .describe("Folder of the standalone stack: PostgreSQL's data, objects of storage, keys, the owner's token."),
  SUPALOVE_HOST: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("Address the control plane and the gateway listen on; 0.0.0.0 opens them to the network."),
  CONTROL_PLANE_PORT: port.default(8000).describe("Port of the GraphQL API. 0 takes a free one."),
  GATEWAY_PORT: port
    .default(8083)
    .describe("Port of the gateway, the one address of all projects. 0 takes a free one."),
  POSTGRES_PORT: port.default(5435).describe("Port of the embedded PostgreSQL. 0 takes a free one."),
  DATABASE_URL: secret(
    z
      .url({ protocol: /^postgres(ql)?$/, error: "must be a postgresql:// URL" })
      .optional()
      .describe("Superuser on an existing PostgreSQL 15–18, used instead of the embedded one."),
  ),
  SUPALOVE_PUBLIC_GATEWAY_URL: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe("Base URL by which people reach the gateway, when it is not http://localhost:<GATEWAY_PORT>."),
  SUPALOVE_BASE_DOMAIN: z.string().default("localhost").describe("Projects are also reached as <ref>.<base domain>."),
  SUPALOVE_MASTER_KEYS: secret(
    z
      .string()
      .optional()
      .describe(
        "Keys that encrypt the projects' secrets, current first, separated by commas: base64 of 32 bytes. Unset: a 0600 file in the data folder, made on first start.",
      ),
  ),
  SUPALOVE_WORKERS: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .optional()
    .describe("Serving processes that share the gateway's port. Unset: half of the cores, at least 1 and at most 8."),
  ...OPERATOR_VARIABLES,
  ...HELD_VARIABLES,
  ...SERVICE_VARIABLES,
  ...STORAGE_VARIABLES,
  SUPALOVE_LOG_LEVEL: z
    .enum(["debug", "info", "warn", "error", "silent"])
    .default("warn")
    .describe("Least level logged, as JSON lines on standard error; `info` and below add the access log."),
  SUPALOVE_IMAGES: imageOverrides
    .optional()
    .describe(
      'Images instead of those of `images list`, as JSON: {"supabase":{"rest":"registry.example.com/rest:1"}}.',
    ),
  SUPALOVE_URL: z.url().optional().describe("Command line: control plane to talk to instead of the local one."),
  SUPALOVE_TOKEN: secret(
    z.string().optional().describe("Command line: personal access token (sbp_…) for SUPALOVE_URL."),
  ),
});

export interface Environment {
  /** Absolute. */
  readonly dataDir: string;
  readonly host: string;
  readonly controlPlanePort: number;
  readonly gatewayPort: number;
  readonly postgresPort: number;
  readonly databaseUrl: string | undefined;
  readonly publicGatewayUrl: string | undefined;
  readonly baseDomain: string;
  readonly masterKeys: string | undefined;
  /** Serving processes. */
  readonly workers: number;
  /** What the operator has chosen for the control plane. */
  readonly controlPlane: OperatorOptions;
  /** No project gets more, whatever its settings say. */
  readonly maxima: Maxima;
  /** Null: objects lie in the data folder. */
  readonly s3Store: S3StoreOptions | null;
  readonly logLevel: "debug" | "info" | "warn" | "error" | "silent";
  readonly images: ImageOverrides;
  readonly controlPlaneUrl: string | undefined;
  readonly token: string | undefined;
}

/** @throws {EnvironmentError} */
export function parseEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const values = parseVariables(ENVIRONMENT, variables);
  return {
    dataDir: resolve(values.SUPALOVE_DATA_DIR),
    host: values.SUPALOVE_HOST,
    controlPlanePort: values.CONTROL_PLANE_PORT,
    gatewayPort: values.GATEWAY_PORT,
    postgresPort: values.POSTGRES_PORT,
    databaseUrl: values.DATABASE_URL,
    publicGatewayUrl: values.SUPALOVE_PUBLIC_GATEWAY_URL?.replace(/\/+$/, ""),
    baseDomain: values.SUPALOVE_BASE_DOMAIN,
    masterKeys: values.SUPALOVE_MASTER_KEYS,
    workers: values.SUPALOVE_WORKERS ?? Math.max(1, Math.min(8, Math.floor(availableParallelism() / 2))),
    controlPlane: operatorOptions(values),
    maxima: maximaOf(values),
    s3Store: s3StoreOptions(values),
    logLevel: values.SUPALOVE_LOG_LEVEL,
    images: values.SUPALOVE_IMAGES ?? {},
    controlPlaneUrl: values.SUPALOVE_URL?.replace(/\/+$/, ""),
    token: values.SUPALOVE_TOKEN,
  };
}
