/** Every endpoint of the auth service, by feature. Paths are below `/auth/v1`. */
import { generateLink } from "./admin/generate-link.ts";
import { invite } from "./admin/invite.ts";
import { listUsers } from "./admin/list-users.ts";
import { createUser, deleteUserById, findUser, updateUserById } from "./admin/users.ts";
import type { Handler } from "./context.ts";
import type { Route } from "./http/router.ts";
import { sendMagicLink, sendOtp } from "./links/magic-link.ts";
import { recover } from "./links/recover.ts";
import { resend } from "./links/resend.ts";
import { reauthenticate } from "./mail/reauthenticate.ts";
import * as meta from "./meta.ts";
import { logOut } from "./sessions/logout.ts";
import { issueToken } from "./sessions/token.ts";
import { signUp } from "./signup/signup.ts";
import { getUser } from "./users/get-user.ts";
import { updateOwnUser } from "./users/update-user.ts";
import { followLink, verifyToken } from "./verify/verify.ts";

const HANDLERS: Readonly<Record<string, Handler>> = {
  "GET /health": meta.health,
  "GET /settings": meta.settings,
  "GET /.well-known/jwks.json": meta.jwks,
  "GET /.well-known/openid-configuration": meta.openIdConfiguration,
  "GET /.well-known/oauth-authorization-server": meta.oauthServerDisabled,

  "POST /signup": signUp,
  "POST /token": issueToken,
  "POST /logout": logOut,

  "POST /recover": recover,
  "POST /magiclink": sendMagicLink,
  "POST /otp": sendOtp,
  "POST /resend": resend,
  "POST /verify": verifyToken,
  "GET /verify": followLink,

  "GET /user": getUser,
  "PUT /user": updateOwnUser,
  "GET /reauthenticate": reauthenticate,

  "POST /invite": invite,
  "POST /admin/generate_link": generateLink,
  "GET /admin/users": listUsers,
  "POST /admin/users": createUser,
  "GET /admin/users/:id": findUser,
  "PUT /admin/users/:id": updateUserById,
  "DELETE /admin/users/:id": deleteUserById,
};

export const ROUTES: readonly Route<Handler>[] = Object.entries(HANDLERS).map(([pattern, handler]) => ({
  pattern,
  handler,
}));
