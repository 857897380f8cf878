/** What a project's auth service says about itself: health, settings, keys. */
import { createRequire } from "node:module";
import type { ServiceResponse } from "../service.ts";
import type { AuthContext } from "./context.ts";
import { json } from "./http/responses.ts";
import { publicKeys } from "./tokens/access-token.ts";

const { version } = createRequire(import.meta.url)("../../package.json") as { version: string };

export const health = (): ServiceResponse =>
  json({ version, name: "GoTrue", description: "Supalove's multi-tenant auth service, compatible with GoTrue" });

/** Sign-in with other providers: none can be enabled, but clients read the whole list. */
const PROVIDERS = [
  "apple",
  "azure",
  "bitbucket",
  "discord",
  "facebook",
  "snapchat",
  "figma",
  "fly",
  "github",
  "gitlab",
  "google",
  "keycloak",
  "kakao",
  "linkedin",
  "linkedin_oidc",
  "notion",
  "spotify",
  "slack",
  "slack_oidc",
  "workos",
  "twitch",
  "twitter",
  "zoom",
];

export function settings({ settings: project }: AuthContext): ServiceResponse {
  return json({
    external: {
      anonymous_users: project.anonymousUsersEnabled,
      ...Object.fromEntries(PROVIDERS.map((provider) => [provider, false])),
      email: project.emailEnabled,
      phone: project.phoneEnabled,
    },
    disable_signup: project.disableSignup,
    mailer_autoconfirm: project.mailerAutoconfirm,
    phone_autoconfirm: project.smsAutoconfirm,
    sms_provider: "",
    saml_enabled: false,
    saml_private_key_next_configured: false,
    passkeys_enabled: false,
  });
}

const CACHED: readonly [string, string] = ["Cache-Control", "public, max-age=600"];

export const jwks = ({ project }: AuthContext): ServiceResponse =>
  json({ keys: publicKeys(project.jwt) }, { headers: [CACHED] });

export function openIdConfiguration({ project }: AuthContext): ServiceResponse {
  const { issuer } = project.jwt;
  return json(
    {
      issuer,
      authorization_endpoint: `${issuer}/oauth/authorize`,
      token_endpoint: `${issuer}/oauth/token`,
      jwks_uri: `${issuer}/.well-known/jwks.json`,
      userinfo_endpoint: `${issuer}/oauth/userinfo`,
      response_types_supported: ["code"],
      response_modes_supported: ["query"],
      grant_types_supported: ["authorization_code", "refresh_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["RS256", "HS256", "ES256"],
      token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
      code_challenge_methods_supported: ["S256", "plain"],
      scopes_supported: ["openid", "profile", "email", "phone", "offline_access"],
      claims_supported: [
        "sub",
        "aud",
        "iss",
        "exp",
        "iat",
        "auth_time",
        "nonce",
        "email",
        "email_verified",
        "phone_number",
        "phone_number_verified",
        "name",
        "picture",
        "preferred_username",
        "updated_at",
      ],
    },
    { headers: [CACHED] },
  );
}
