/** The environment of a control plane that runs as its own process: one object, every problem reported in one go. */
import { resolve } from "node:path";
import { z } from "zod";
import { parseVariables, secret } from "./client/environment-variables.ts";
import { OPERATOR_VARIABLES } from "./operator-variables.ts";

const port = z.coerce.number().int().min(0).max(65_535);
export const ENVIRONMENT = z
  .object({
    DATABASE_URL: secret(
      z
        .url({ protocol: /^postgres(ql)?$/, error: "must be a postgresql:// URL" })
        .describe(
          "Superuser on the PostgreSQL 15–18 server that holds the control plane's schema and the first projects.",
        ),
    ),
    SUPALOVE_HOST: z.string().min(1).default("127.0.0.1").describe("Address to listen on; 0.0.0.0 is every interface."),
    CONTROL_PLANE_PORT: port.default(8000).describe("Port of the GraphQL API. 0 takes a free one."),
    SUPALOVE_DATA_DIR: z
      .string()
      .min(1)
      .default(".supalove")
      .describe("Folder of the master key file, when SUPALOVE_MASTER_KEYS is not set."),
    SUPALOVE_MASTER_KEYS: secret(
      z
        .string()
        .optional()
        .describe(
          "Keys that encrypt the projects' secrets, current first, separated by commas: base64 of 32 bytes, or <id>:<base64>. The same on every instance.",
        ),
    ),
    SUPALOVE_PUBLIC_GATEWAY_URL: z
      .url({ protocol: /^https?$/ })
      .default("http://localhost:8083")
      .describe("Where clients reach the gateway: the base of every project's URL."),
    SUPALOVE_INTERNAL_GATEWAY_URL: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe("Where the control plane reaches the gateway, when that is another address than clients have."),
    SUPALOVE_BASE_DOMAIN: z
      .string()
      .min(1)
      .default("localhost")
      .describe("Projects are also reached as <ref>.<base domain>."),
    SUPALOVE_PUBLIC_DATABASE_HOST: z
      .string()
      .min(1)
      .optional()
      .describe("Host that people connect to with psql, when it is not the one in DATABASE_URL."),
    SUPALOVE_PUBLIC_DATABASE_PORT: port
      .optional()
      .describe("Port to that host, when it is not the one in DATABASE_URL."),
    ...OPERATOR_VARIABLES,
    SUPALOVE_OWNER_EMAIL: z
      .string()
      .optional()
      .describe(
        "With SUPALOVE_OWNER_PASSWORD: makes the owner's account at the first start, instead of the first sign-up.",
      ),
    SUPALOVE_OWNER_PASSWORD: secret(z.string().optional().describe("See SUPALOVE_OWNER_EMAIL. Not read again later.")),
    SUPALOVE_GATEWAY_TOKEN: serviceToken("gateways"),
    SUPALOVE_SERVICE_TOKEN: serviceToken("data-plane services"),
    SUPALOVE_UPSTREAM_REST: upstream("REST"),
    SUPALOVE_UPSTREAM_AUTH: upstream("auth"),
    SUPALOVE_UPSTREAM_STORAGE: upstream("storage"),
    SUPALOVE_UPSTREAM_REALTIME: upstream("realtime"),
    SUPALOVE_LOG_LEVEL: z
      .enum(["trace", "debug", "info", "warn", "error", "silent"])
      .default("info")
      .describe("Least level logged."),
  })
  .refine((values) => Boolean(values.SUPALOVE_OWNER_EMAIL) === Boolean(values.SUPALOVE_OWNER_PASSWORD), {
    path: ["SUPALOVE_OWNER_PASSWORD"],
    error: "SUPALOVE_OWNER_EMAIL and SUPALOVE_OWNER_PASSWORD go together",
  });

function serviceToken(holders: string) {
  return secret(
    z
      .string()
      .regex(/^sbsvc_[0-9a-f]{40}$/, "must be sbsvc_ and 40 hex digits")
      .optional()
      .describe(
        `Token that ${holders} read their configuration with: sbsvc_ and 40 hex digits, the same on their side.`,
      ),
  );
}

function upstream(service: string) {
  return z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(`Origin at which the gateway reaches the shared ${service} service; unset: inside its own process.`);
}

export type Environment = z.output<typeof ENVIRONMENT>;

/** The data directory comes back absolute. @throws {EnvironmentError} */
export function parseEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const values = parseVariables(ENVIRONMENT, variables);
  return { ...values, SUPALOVE_DATA_DIR: resolve(values.SUPALOVE_DATA_DIR) };
}
