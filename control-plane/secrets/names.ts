/** The names of the secrets that the control plane itself makes. People can neither set nor delete these. */

export const SYSTEM_SECRETS = {
  POSTGRES_DB: "Name of the project's database.",
  POSTGRES_USER: "Login role that owns the database; for migrations and psql.",
  POSTGRES_PASSWORD: "Its password.",
  AUTHENTICATOR_USER: "Login role of the API services: may become anon, authenticated and service_role.",
  AUTHENTICATOR_PASSWORD: "Its password.",
  JWT_SECRET: "Signs (HS256) user tokens and the legacy API keys.",
  ADMIN_EMAIL: "Who the project's first user is.",
  ADMIN_TEMP_PASSWORD: "The first user's one-time password; gone once it was taken.",
  JWT_SIGNING_KEYS: "Asymmetric signing keys (private JWKs).",
  SMTP_PASSWORD: "Password at the project's mail server.",
  GATEWAY_ANON_TOKEN: "What the gateway sends to our services in place of a publishable key.",
  GATEWAY_SERVICE_ROLE_TOKEN: "What the gateway sends to our services in place of a secret key.",
} as const;

export type SystemSecret = keyof typeof SYSTEM_SECRETS;

/** Never listed and never revealed to anybody: no person needs them, and they outlive a revoked API key. */
export const INTERNAL_SECRETS: readonly string[] = [
  "AUTHENTICATOR_PASSWORD",
  "JWT_SIGNING_KEYS",
  "SMTP_PASSWORD",
  "GATEWAY_ANON_TOKEN",
  "GATEWAY_SERVICE_ROLE_TOKEN",
] satisfies SystemSecret[];

const SECRET_NAME = /^[A-Z][A-Z0-9_]{0,99}$/;

/** As the table's check constraint has it: upper-case letters, digits and `_`, a letter first, at most 100. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/**
 * True for names that only the control plane may write, whether or not the secret exists yet: otherwise a person could
 * put POSTGRES_DB in place before provisioning reads it.
 */
export function isReservedSecretName(name: string): boolean {
  return Object.hasOwn(SYSTEM_SECRETS, name) || name.startsWith("SUPALOVE_");
}
