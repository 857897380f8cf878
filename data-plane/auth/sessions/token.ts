/** POST /token: one endpoint, a grant a query parameter. */

import { z } from "zod";
import type { ServiceResponse } from "../../service.ts";
import type { AuthContext } from "../context.ts";
import { AuthError, OAuthError } from "../errors.ts";
import { readBody, text } from "../http/body.ts";
import { limitByAddress } from "../limits/limits.ts";
import { signInWithPassword } from "./password-grant.ts";
import { exchangeCode } from "./pkce-grant.ts";
import { refresh } from "./refresh-grant.ts";

export async function issueToken(context: AuthContext): Promise<ServiceResponse> {
  const grant = context.query.get("grant_type");
  if (grant !== "web3") limitByAddress(context, "token");
  switch (grant) {
    case "password":
      return signInWithPassword(context);
    case "refresh_token":
      return refresh(context);
    case "pkce":
      return exchangeCode(context);
    case "id_token":
      return refuseIdToken(context);
    case "web3":
      return refuseWeb3(context);
    default:
      throw new AuthError("invalid_credentials", "unsupported_grant_type");
  }
}

/** Issuers by the names of the providers whose issuer is always the same. */
const ISSUERS: Readonly<Record<string, string>> = {
  google: "https://accounts.google.com",
  apple: "https://appleid.apple.com",
  facebook: "https://www.facebook.com",
  kakao: "https://kauth.kakao.com",
};

/** No provider of ID tokens can be enabled. */
async function refuseIdToken({ request }: AuthContext): Promise<never> {
  const { provider, id_token, issuer } = await readBody(
    request,
    z.object({ provider: text, id_token: text, issuer: text }),
  );
  if (!id_token) throw new OAuthError("invalid request", "id_token required");
  if (!provider && !issuer) throw new OAuthError("invalid request", "provider or client_id and issuer required");
  const known = Object.hasOwn(ISSUERS, provider) ? ISSUERS[provider] : issuer;
  if (known) throw new AuthError("provider_disabled", `Provider (issuer "${known}") is not enabled`);
  if (provider === "azure" || provider === "keycloak") {
    throw new AuthError("validation_failed", `Unable to detect issuer in ID token for ${provider} provider`);
  }
  throw new AuthError("validation_failed", `Custom OIDC provider "${provider}" not allowed`);
}

/** The switch is asked before the chain: whatever the chain, nobody signs in so here. */
async function refuseWeb3({ request }: AuthContext): Promise<never> {
  await readBody(request, z.object({ chain: text }));
  throw new AuthError("web3_provider_disabled", "Web3 provider is disabled");
}
