/**
 * The most that an installation gives a project, whatever the project's settings say: one record, made from the
 * environment. The control plane refuses settings above it, gateways and services clamp what a snapshot says to it.
 */
import { isIP } from "node:net";
import { z } from "zod";
import type { ProjectLimits } from "./config-snapshot.ts";

export interface Maxima {
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  readonly concurrentRequests: number;
  readonly sockets: number;
  /** Of a REST or auth request, and of a storage upload. */
  readonly bodyBytes: number;
  readonly uploadBytes: number;
  /** Of what a database answers to one request. */
  readonly responseBytes: number;
  readonly rows: number;
  /** Of each text of a database's error. */
  readonly errorBytes: number;
  /** Of a user's metadata that is read, as JSON; what is written by the API has a bound of its own, below. */
  readonly metadataBytes: number;
  /** Of what REST knows of a database: tables and views, their columns, and functions. */
  readonly schemaRelations: number;
  readonly schemaColumns: number;
  readonly schemaRoutines: number;
  /** Of verified tokens that a service remembers, of all projects together. */
  readonly tokenCacheBytes: number;
  /** Of bodies and answers that a process holds for all projects together. */
  readonly heldBytes: number;
  /** Addresses and CIDR ranges beside the public Internet that projects' settings may have us connect to. */
  readonly allowedTargets: readonly string[];
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_MAXIMA: Maxima = {
  requestsPerSecond: 1_000_000,
  requestBurst: 1_000_000,
  concurrentRequests: 10_000,
  sockets: 100_000,
  bodyBytes: 50 * MIB,
  uploadBytes: 50 * KIB * MIB,
  responseBytes: 32 * MIB,
  rows: 1_000_000,
  errorBytes: 64 * KIB,
  metadataBytes: MIB,
  schemaRelations: 20_000,
  schemaColumns: 100_000,
  schemaRoutines: 20_000,
  tokenCacheBytes: 16 * MIB,
  heldBytes: 256 * MIB,
  allowedTargets: [],
};

type NumericMaximum = { [Name in keyof Maxima]: Maxima[Name] extends number ? Name : never }[keyof Maxima];

function most(name: NumericMaximum, description: string) {
  return z.coerce.number().int().min(1).default(DEFAULT_MAXIMA[name]).describe(description);
}

/** Of every process: what a project's settings may ask for at most. */
export const LIMIT_VARIABLES = {
  SUPALOVE_MAX_REQUESTS_PER_SECOND: most("requestsPerSecond", "Most that a project's requestsPerSecond may be."),
  SUPALOVE_MAX_REQUEST_BURST: most("requestBurst", "Most that a project's requestBurst may be."),
  SUPALOVE_MAX_CONCURRENT_REQUESTS: most("concurrentRequests", "Most that a project's concurrentRequests may be."),
  SUPALOVE_MAX_SOCKETS: most("sockets", "Most that a project's sockets may be."),
  SUPALOVE_MAX_BODY_BYTES: most("bodyBytes", "Largest REST or auth request that a project's maxBodyBytes may allow."),
  SUPALOVE_MAX_UPLOAD_BYTES: most("uploadBytes", "Largest upload that a project's maxUploadBytes may allow."),
  SUPALOVE_MAX_ROWS: most("rows", "Most rows of a REST response that a project's maxRows may allow."),
};

/** Of processes that run services or a gateway. */
export const HELD_VARIABLES = {
  SUPALOVE_MAX_HELD_BYTES: most(
    "heldBytes",
    "Bodies and answers that a process holds in memory at a time, of all projects together; one alone gets at most half.",
  ),
};

/** Of processes that run services. */
export const SERVICE_VARIABLES = {
  SUPALOVE_MAX_RESPONSE_BYTES: most("responseBytes", "Most that a database may answer to one request, in bytes."),
  SUPALOVE_MAX_ERROR_BYTES: most("errorBytes", "What is passed on of each text of a database's error, in bytes."),
  SUPALOVE_MAX_METADATA_BYTES: most(
    "metadataBytes",
    "Largest metadata of a user that auth reads: a project's own SQL may write any.",
  ),
  SUPALOVE_MAX_SCHEMA_RELATIONS: most("schemaRelations", "Most tables and views that a project may expose by REST."),
  SUPALOVE_MAX_SCHEMA_COLUMNS: most("schemaColumns", "Most columns of all tables and views exposed by REST."),
  SUPALOVE_MAX_SCHEMA_ROUTINES: most("schemaRoutines", "Most functions that a project may expose by REST."),
  SUPALOVE_MAX_TOKEN_CACHE_BYTES: most("tokenCacheBytes", "Verified tokens that a service remembers, in bytes."),
  SUPALOVE_ALLOWED_TARGETS: z
    .string()
    .default("")
    .transform((text, context) => {
      const ranges = text.split(",").flatMap((range) => (range.trim() === "" ? [] : [range.trim()]));
      for (const range of ranges.filter((range) => !isRange(range)))
        context.addIssue({ code: "custom", message: `${range} is no address and no CIDR range` });
      return ranges;
    })
    .describe(
      "Addresses and CIDR ranges, separated by commas, that projects' mail servers may have although they are no addresses of the public Internet: 10.1.0.0/16.",
    ),
};

const VARIABLES = z.object({ ...LIMIT_VARIABLES, ...HELD_VARIABLES, ...SERVICE_VARIABLES });

/** What the variables say; those that a process does not read are as by default. */
export function maximaOf(values: Partial<z.output<typeof VARIABLES>>): Maxima {
  return {
    requestsPerSecond: values.SUPALOVE_MAX_REQUESTS_PER_SECOND ?? DEFAULT_MAXIMA.requestsPerSecond,
    requestBurst: values.SUPALOVE_MAX_REQUEST_BURST ?? DEFAULT_MAXIMA.requestBurst,
    concurrentRequests: values.SUPALOVE_MAX_CONCURRENT_REQUESTS ?? DEFAULT_MAXIMA.concurrentRequests,
    sockets: values.SUPALOVE_MAX_SOCKETS ?? DEFAULT_MAXIMA.sockets,
    bodyBytes: values.SUPALOVE_MAX_BODY_BYTES ?? DEFAULT_MAXIMA.bodyBytes,
    uploadBytes: values.SUPALOVE_MAX_UPLOAD_BYTES ?? DEFAULT_MAXIMA.uploadBytes,
    rows: values.SUPALOVE_MAX_ROWS ?? DEFAULT_MAXIMA.rows,
    allowedTargets: values.SUPALOVE_ALLOWED_TARGETS ?? DEFAULT_MAXIMA.allowedTargets,
    heldBytes: values.SUPALOVE_MAX_HELD_BYTES ?? DEFAULT_MAXIMA.heldBytes,
    responseBytes: values.SUPALOVE_MAX_RESPONSE_BYTES ?? DEFAULT_MAXIMA.responseBytes,
    errorBytes: values.SUPALOVE_MAX_ERROR_BYTES ?? DEFAULT_MAXIMA.errorBytes,
    metadataBytes: values.SUPALOVE_MAX_METADATA_BYTES ?? DEFAULT_MAXIMA.metadataBytes,
    schemaRelations: values.SUPALOVE_MAX_SCHEMA_RELATIONS ?? DEFAULT_MAXIMA.schemaRelations,
    schemaColumns: values.SUPALOVE_MAX_SCHEMA_COLUMNS ?? DEFAULT_MAXIMA.schemaColumns,
    schemaRoutines: values.SUPALOVE_MAX_SCHEMA_ROUTINES ?? DEFAULT_MAXIMA.schemaRoutines,
    tokenCacheBytes: values.SUPALOVE_MAX_TOKEN_CACHE_BYTES ?? DEFAULT_MAXIMA.tokenCacheBytes,
  };
}

/** The maxima as a project's limits have their names. */
export function limitMaxima(maxima: Maxima): ProjectLimits {
  const { requestsPerSecond, requestBurst, concurrentRequests, sockets, bodyBytes, uploadBytes } = maxima;
  const bytes = { maxBodyBytes: bodyBytes, maxUploadBytes: uploadBytes };
  return { requestsPerSecond, requestBurst, concurrentRequests, sockets, ...bytes };
}

/** The limits of a snapshot, none above the installation's. */
export function withinMaxima(limits: ProjectLimits, maxima: Maxima): ProjectLimits {
  const most = limitMaxima(maxima);
  return {
    requestsPerSecond: Math.min(limits.requestsPerSecond, most.requestsPerSecond),
    requestBurst: Math.min(limits.requestBurst, most.requestBurst),
    concurrentRequests: Math.min(limits.concurrentRequests, most.concurrentRequests),
    sockets: Math.min(limits.sockets, most.sockets),
    maxBodyBytes: Math.min(limits.maxBodyBytes, most.maxBodyBytes),
    maxUploadBytes: Math.min(limits.maxUploadBytes, most.maxUploadBytes),
  };
}

function isRange(text: string): boolean {
  const [address = "", bits, ...rest] = text.split("/");
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
}
