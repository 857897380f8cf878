/**
 * What an operator may choose for the control plane wherever it runs, as a process of its own or in the standalone
 * stack: the variables, and the options that they become.
 */
import { Resolver } from "node:dns";
import { z } from "zod";
import { secret, TRUSTED_PROXIES } from "./client/environment-variables.ts";
import { LIMIT_VARIABLES, maximaOf } from "./client/maxima.ts";
import { WATCH_VARIABLES, watchBoundsOf } from "./clusters/watch/bounds.ts";
import type { ControlPlaneOptions } from "./server.ts";

const flag = z.enum(["true", "false"]).transform((text) => text === "true");
const originList = z.string().transform((text, context) => {
  const origins = text.split(",").map((origin) => origin.trim());
  for (const origin of origins) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      context.addIssue({
        code: "custom",
        message: "must be origins such as https://dashboard.example.com, separated by commas",
      });
      return z.NEVER;
    }
  }
  return origins;
});

function isNameServer(server: string): boolean {
  try {
    new Resolver().setServers([server]);
    return true;
  } catch {
    return false;
  }
}

export const OPERATOR_VARIABLES = {
  SUPALOVE_DASHBOARD_ORIGINS: originList
    .default([])
    .describe("Further origins whose pages may use the API with cookies, separated by commas."),
  SUPALOVE_TRUSTED_PROXIES: TRUSTED_PROXIES,
  SUPALOVE_SECURE_COOKIES: flag
    .default(false)
    .describe("true where the dashboard is reached by https: session cookies carry Secure."),
  SUPALOVE_OPEN_SIGNUP: flag
    .default(false)
    .describe("true lets anybody make an account; otherwise only the first one and people with an invitation."),
  SUPALOVE_MAX_ORGANIZATIONS_PER_ACCOUNT: z.coerce
    .number()
    .int()
    .min(0)
    .default(20)
    .describe("Most organizations that one account may own; the owner of the installation any number."),
  SUPALOVE_MAX_PROJECTS_PER_ORGANIZATION: z.coerce
    .number()
    .int()
    .min(0)
    .default(1_000)
    .describe("Most projects of one organization."),
  SUPALOVE_DNS_SERVERS: z
    .string()
    .transform((text) => text.split(",").map((server) => server.trim()))
    .refine(
      (servers) => servers.every(isNameServer),
      "must be addresses such as 1.1.1.1 or [::1]:53, separated by commas",
    )
    .default([])
    .describe(
      "Name servers that are asked for the proofs of custom hosts, separated by commas; unset: the machine's own.",
    ),
  ...LIMIT_VARIABLES,
  ...WATCH_VARIABLES,
  SUPALOVE_METRICS_TOKEN: secret(
    z
      .string()
      .min(16)
      .optional()
      .describe(
        "Bearer token that /metrics asks for; unset: only this machine may read them, and not through a proxy.",
      ),
  ),
};

export type OperatorOptions = Pick<
  ControlPlaneOptions,
  | "dashboardOrigins"
  | "trustedProxies"
  | "secureCookies"
  | "openSignUp"
  | "maxOrganizationsPerAccount"
  | "maxProjectsPerOrganization"
  | "metricsToken"
  | "dnsServers"
  | "maxima"
  | "watchBounds"
>;

export function operatorOptions(values: z.output<z.ZodObject<typeof OPERATOR_VARIABLES>>): OperatorOptions {
  return {
    dashboardOrigins: values.SUPALOVE_DASHBOARD_ORIGINS,
    trustedProxies: values.SUPALOVE_TRUSTED_PROXIES,
    secureCookies: values.SUPALOVE_SECURE_COOKIES,
    openSignUp: values.SUPALOVE_OPEN_SIGNUP,
    maxOrganizationsPerAccount: values.SUPALOVE_MAX_ORGANIZATIONS_PER_ACCOUNT,
    maxProjectsPerOrganization: values.SUPALOVE_MAX_PROJECTS_PER_ORGANIZATION,
    dnsServers: values.SUPALOVE_DNS_SERVERS,
    maxima: maximaOf(values),
    watchBounds: watchBoundsOf(values),
    metricsToken: values.SUPALOVE_METRICS_TOKEN,
  };
}
