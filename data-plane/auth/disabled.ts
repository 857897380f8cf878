/** Endpoints of what this service does not offer, which clients call all the same: each says so in its own words. */
import type { ServiceResponse } from "../service.ts";
import type { AuthContext, Handler } from "./context.ts";
import { AuthError, type ErrorCode } from "./errors.ts";
import { seeOther } from "./http/responses.ts";
import { manualLinkingDisabled } from "./identities/unlink.ts";
import { requireAdmin, requireUser } from "./sessions/bearer.ts";
import { errorFields, withQuery } from "./verify/redirect-answers.ts";

const refuse =
  (code: ErrorCode, message: string): Handler =>
  () => {
    throw new AuthError(code, message);
  };

const oauthServer = refuse("feature_disabled", "OAuth server is disabled");
const saml = refuse("saml_provider_disabled", "SAML 2.0 is disabled");
const passkeys = refuse("passkey_disabled", "Passkeys are disabled");
const customProviders = refuse("feature_disabled", "Custom OAuth providers are disabled");
const scim = refuse("feature_disabled", "SCIM is disabled");

/** A stranger is asked who they are before they are told that there is nothing. */
const forAdmins =
  (handler: Handler): Handler =>
  async (context) => {
    await requireAdmin(context);
    return handler(context);
  };
const forUsers =
  (handler: Handler): Handler =>
  async (context) => {
    await requireUser(context);
    return handler(context);
  };

function authorize({ query }: AuthContext): never {
  const provider = query.get("provider") ?? "";
  const reason = provider ? `provider is not enabled` : "missing provider";
  throw new AuthError("validation_failed", `Unsupported provider: ${reason}`);
}

/** A user may link another provider once the project allows it, and there is none to link. */
export async function authorizeLinking(context: AuthContext): Promise<never> {
  await requireUser(context);
  if (!context.settings.manualLinkingEnabled) manualLinkingDisabled();
  return authorize(context);
}

/** Nobody was sent to a provider, so nobody can come back from one with a state of ours. */
function callback({ query, settings }: AuthContext): ServiceResponse {
  const state = query.get("state");
  const error = state
    ? new AuthError("bad_oauth_state", "OAuth callback with invalid state")
    : new AuthError("bad_oauth_callback", "OAuth state parameter missing");
  return seeOther(withQuery(settings.siteUrl, errorFields(error)));
}

export const DISABLED: Readonly<Record<string, Handler>> = {
  "GET /authorize": authorize,
  "GET /callback": callback,
  "POST /callback": callback,

  "POST /sso": saml,
  "GET /sso/saml/metadata": saml,
  "POST /sso/saml/acs": saml,
  "GET /admin/sso/providers": forAdmins(saml),
  "POST /admin/sso/providers": forAdmins(saml),
  "GET /admin/sso/providers/:id": forAdmins(saml),
  "PUT /admin/sso/providers/:id": forAdmins(saml),
  "DELETE /admin/sso/providers/:id": forAdmins(saml),

  "GET /admin/custom-providers": forAdmins(customProviders),
  "POST /admin/custom-providers": forAdmins(customProviders),
  "GET /admin/custom-providers/:id": forAdmins(customProviders),
  "PUT /admin/custom-providers/:id": forAdmins(customProviders),
  "DELETE /admin/custom-providers/:id": forAdmins(customProviders),

  "GET /oauth/authorize": oauthServer,
  "GET /oauth/authorizations/:id": oauthServer,
  "POST /oauth/authorizations/:id/consent": oauthServer,
  "POST /oauth/token": oauthServer,
  "GET /oauth/userinfo": oauthServer,
  "POST /oauth/clients/register": oauthServer,
  "GET /.well-known/oauth-authorization-server": oauthServer,
  "GET /user/oauth/grants": forUsers(oauthServer),
  "DELETE /user/oauth/grants": forUsers(oauthServer),
  "GET /admin/oauth/clients": forAdmins(oauthServer),
  "POST /admin/oauth/clients": forAdmins(oauthServer),
  "GET /admin/oauth/clients/:id": forAdmins(oauthServer),
  "PUT /admin/oauth/clients/:id": forAdmins(oauthServer),
  "DELETE /admin/oauth/clients/:id": forAdmins(oauthServer),
  "POST /admin/oauth/clients/:id/regenerate_secret": forAdmins(oauthServer),

  "GET /passkeys": passkeys,
  "PATCH /passkeys/:id": passkeys,
  "DELETE /passkeys/:id": passkeys,
  "POST /passkeys/registration/options": passkeys,
  "POST /passkeys/registration/verify": passkeys,
  "POST /passkeys/authentication/options": passkeys,
  "POST /passkeys/authentication/verify": passkeys,
  "GET /admin/users/:id/passkeys": forAdmins(passkeys),
  "DELETE /admin/users/:id/passkeys/:passkeyId": forAdmins(passkeys),

  "GET /scim/v2/ServiceProviderConfig": scim,
  "GET /scim/v2/ResourceTypes": scim,
  "GET /scim/v2/Schemas": scim,
};
