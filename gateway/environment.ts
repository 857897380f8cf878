/** The environment of a gateway that runs as its own process: one object, every problem reported in one go. */
import { z } from "zod";
import {
  addressRanges,
  parseVariables,
  secret,
  TRUSTED_PROXIES,
} from "../control-plane/client/environment-variables.ts";
import { HELD_VARIABLES, LIMIT_VARIABLES } from "../control-plane/client/maxima.ts";

const flag = z.enum(["true", "false"]).transform((text) => text === "true");
const list = z.string().transform((text) =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== ""),
);

export const ENVIRONMENT = z.object({
  SUPALOVE_HOST: z.string().min(1).default("127.0.0.1").describe("Address to listen on; 0.0.0.0 is every interface."),
  GATEWAY_PORT: z.coerce.number().int().min(0).max(65_535).default(8083).describe("Port to listen on. 0: a free one."),
  CONTROL_PLANE_URL: z
    .url({ protocol: /^https?$/ })
    .default("http://localhost:8000")
    .describe("Where projects' configuration comes from."),
  SUPALOVE_GATEWAY_TOKEN: secret(
    z
      .string({ error: "is needed: a service token of the gateway audience (sbsvc_…)" })
      .min(1)
      .describe("Service token of the gateway audience (sbsvc_…)."),
  ),
  SUPALOVE_INTERNAL_TOKEN: secret(
    z
      .string()
      .min(32, { error: "must have at least 32 characters" })
      .optional()
      .describe("Shared with our own services in other processes; they refuse requests without it."),
  ),
  SUPALOVE_PUBLIC_GATEWAY_URL: z
    .url({ protocol: /^https?$/ })
    .default("http://localhost:8083")
    .transform((url) => url.replace(/\/+$/, ""))
    .describe("Base URL by which people reach the gateway."),
  SUPALOVE_BASE_DOMAIN: list.default(["localhost"]).describe("Projects are also reached as <ref>.<base domain>."),
  SUPALOVE_GATEWAY_HOSTS: list.default([]).describe("Further host names of the gateway itself, separated by commas."),
  SUPALOVE_TRUSTED_PROXIES: TRUSTED_PROXIES,
  SUPALOVE_METRICS_READERS: addressRanges
    .default(["127.0.0.0/8", "::1"])
    .describe("Addresses or CIDR ranges of clients that may read /metrics."),
  SUPALOVE_TLS_DIRECTORY: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Folder of <host>.pem and <host>.key, with default.pem and default.key; changes are taken over while it runs. Unset: plain HTTP.",
    ),
  SUPALOVE_SHARE_PORT: flag
    .default(false)
    .describe("true: several gateways listen on one port of this machine, and one can be replaced while others run."),
  SUPALOVE_ACCESS_LOG: flag.default(true).describe("Write a JSON line a request to standard output."),
  ...LIMIT_VARIABLES,
  ...HELD_VARIABLES,
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
