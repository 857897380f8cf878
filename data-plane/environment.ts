/** The environment of a process that serves data-plane services to gateways elsewhere: every problem in one go. */
import { z } from "zod";
import type { ServiceName } from "../control-plane/client/config-snapshot.ts";
import { parseVariables, secret } from "../control-plane/client/environment-variables.ts";
import { HELD_VARIABLES, LIMIT_VARIABLES, SERVICE_VARIABLES } from "../control-plane/client/maxima.ts";
import { RUNNABLE_SERVICES } from "./running-services.ts";
import { STORAGE_VARIABLES } from "./storage/environment.ts";

const services = z.string({ error: `is needed: ${RUNNABLE_SERVICES.join(", ")}` }).transform((text, context) => {
  const names = text.split(",").map((name) => name.trim());
  const known = RUNNABLE_SERVICES.filter((service) => names.includes(service));
  if (known.length === names.length) return known as readonly ServiceName[];
  context.addIssue({
    code: "custom",
    message: `must be some of ${RUNNABLE_SERVICES.join(", ")}, each once, with commas`,
  });
  return z.NEVER;
});

export const ENVIRONMENT = z.object({
  SUPALOVE_SERVICES: services.describe(
    `Services this process runs, separated by commas: ${RUNNABLE_SERVICES.join(", ")}.`,
  ),
  SUPALOVE_HOST: z.string().min(1).default("127.0.0.1").describe("Address to listen on; 0.0.0.0 is every interface."),
  SERVICE_PORT: z.coerce.number().int().min(0).max(65_535).default(3000).describe("Port to listen on. 0: a free one."),
  CONTROL_PLANE_URL: z
    .url({ protocol: /^https?$/ })
    .default("http://localhost:8000")
    .describe("Where projects' configuration comes from."),
  SUPALOVE_SERVICE_TOKEN: secret(
    z
      .string({ error: "is needed: a service token of the service audience (sbsvc_…)" })
      .min(1)
      .describe("Service token of the service audience (sbsvc_…)."),
  ),
  SUPALOVE_INTERNAL_TOKEN: secret(
    z
      .string({ error: "is needed: at least 32 characters" })
      .min(32, { error: "must have at least 32 characters" })
      .describe("Shared with the gateways; requests without it are refused."),
  ),
  SUPALOVE_MAX_DATABASE_CONNECTIONS: z.coerce
    .number()
    .int()
    .min(1)
    .default(100)
    .describe("Connections to project databases that this process may hold in all."),
  ...LIMIT_VARIABLES,
  ...HELD_VARIABLES,
  ...SERVICE_VARIABLES,
  SUPALOVE_STORAGE_DIRECTORY: z
    .string()
    .min(1)
    .default(".supalove/storage")
    .describe("Folder for the objects of storage, or for what is on its way to an S3 store."),
  ...STORAGE_VARIABLES,
  SUPALOVE_LOG_LEVEL: z
    .enum(["debug", "info", "warn", "error", "silent"])
    .default("info")
    .describe("Least level logged."),
});

export type Environment = z.output<typeof ENVIRONMENT>;

/** @throws {EnvironmentError} */
export function parseEnvironment(variables: NodeJS.ProcessEnv): Environment {
  return parseVariables(ENVIRONMENT, variables);
}
