/**
 * Which image runs which service of a project's own containers: one table a set, which an operator can override name by
 * name (SUPALOVE_IMAGES). `supalove` is built here (`supalove images build`); `supabase` is the official set, which has
 * never been run by us: no registry was reachable.
 */
import { z } from "zod";
import { type OfficialSettings, officialEnvironment } from "./official-environment.ts";

export const IMAGE_SETS = ["supalove", "supabase"] as const;
export type ImageSet = (typeof IMAGE_SETS)[number];
export const DEDICATED_SERVICES = ["db", "auth", "rest", "storage", "realtime", "gateway"] as const;
export type DedicatedService = (typeof DEDICATED_SERVICES)[number];

export interface ServiceImage {
  /** With a tag or a digest; never `latest`. */
  readonly image: string;
  /** Where it listens inside its container. */
  readonly port: number;
}

export type ImageTable = Readonly<Record<ImageSet, Readonly<Record<DedicatedService, ServiceImage>>>>;

/** @param version of this installation, the tag of our images. */
export function defaultImages(version: string): ImageTable {
  const ours = `supalove/services:${version}`;
  const gateway = { image: ours, port: 8080 };
  return {
    supalove: {
      db: { image: "supalove/postgres:17", port: 5432 },
      auth: { image: ours, port: 9999 },
      rest: { image: ours, port: 3000 },
      storage: { image: ours, port: 5000 },
      realtime: { image: ours, port: 4000 },
      gateway,
    },
    supabase: {
      db: { image: "supabase/postgres:17.6.1.136", port: 5432 },
      auth: { image: "supabase/gotrue:v2.196.0", port: 9999 },
      rest: { image: "postgrest/postgrest:v14.17", port: 3000 },
      storage: { image: "supabase/storage-api:v1.74.0", port: 5000 },
      realtime: { image: "supabase/realtime:v2.134.10", port: 4000 },
      gateway,
    },
  };
}

/** `repository:tag` or `repository@sha256:…`: what has no fixed version may be another program tomorrow. */
const imageName = z
  .string()
  .regex(
    /^[a-z0-9][\w.:/-]*(:[\w][\w.-]*|@sha256:[0-9a-f]{64})$/,
    "must be <repository>:<tag> or <repository>@sha256:<digest>",
  )
  .refine((name) => !name.endsWith(":latest"), "must have a fixed tag, not latest");

const overrides = z.partialRecord(z.enum(IMAGE_SETS), z.partialRecord(z.enum(DEDICATED_SERVICES), imageName));
export type ImageOverrides = z.output<typeof overrides>;

/** SUPALOVE_IMAGES: JSON such as `{"supabase":{"rest":"registry.example.com/postgrest:v14.17"}}`. */
export const imageOverrides = z.string().transform((text, context): ImageOverrides => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: "must be JSON: {<set>: {<service>: <image>}}" });
    return z.NEVER;
  }
  const result = overrides.safeParse(parsed);
  if (result.success) return result.data;
  for (const { path, message } of result.error.issues) {
    context.addIssue({ code: "custom", message: `${path.join(".")}: ${message}` });
  }
  return z.NEVER;
});

export function withOverrides(table: ImageTable, changed: ImageOverrides): ImageTable {
  const overridden = (set: ImageSet) =>
    Object.fromEntries(
      DEDICATED_SERVICES.map((service) => {
        const image = changed[set]?.[service];
        return [service, image === undefined ? table[set][service] : { ...table[set][service], image }];
      }),
    ) as Record<DedicatedService, ServiceImage>;
  return { supalove: overridden("supalove"), supabase: overridden("supabase") };
}

/** Names of the variables that a service of the official set is given; ours read files and are given none of a project's. */
export function environmentNames(set: ImageSet, service: DedicatedService): string[] {
  if (set === "supalove" || service === "gateway") return [];
  return Object.keys(officialEnvironment(service, NO_SETTINGS));
}

const NO_SETTINGS: OfficialSettings = {
  ref: "",
  gatewayUrl: "",
  siteUrl: "",
  redirectUrls: [],
  jwtSecret: "",
  jwtExpirySeconds: 3600,
  anonKey: "",
  serviceRoleKey: "",
  isSignUpDisabled: false,
  databasePassword: "",
  schemas: [],
  maxRows: 1000,
  maxUploadBytes: 0,
  smtp: null,
  realtime: { encryptionKey: "", secretKeyBase: "", metricsSecret: "" },
  s3: { accessKeyId: "", secretAccessKey: "" },
};
