/** Every endpoint of the auth service, by feature. Paths are below `/auth/v1`. */
import { listAuditEntries } from "./admin/audit-log.ts";
import { deleteFactorById, listFactors, updateFactorById } from "./admin/factors.ts";
import { generateLink } from "./admin/generate-link.ts";
import { invite } from "./admin/invite.ts";
import { listUsers } from "./admin/list-users.ts";
import { sendTestMail } from "./admin/test-mail.ts";
import { createUser, deleteUserById, findUser, updateUserById } from "./admin/users.ts";
import type { Handler } from "./context.ts";
import { authorizeLinking, DISABLED } from "./disabled.ts";
import type { Route } from "./http/router.ts";
import { unlinkIdentity } from "./identities/unlink.ts";
import { sendMagicLink, sendOtp } from "./links/magic-link.ts";
import { recover } from "./links/recover.ts";
import { resend } from "./links/resend.ts";
import { reauthenticate } from "./mail/reauthenticate.ts";
import * as meta from "./meta.ts";
import { challengeFactor, enrollFactor, unenrollFactor, verifyFactor } from "./mfa/factors.ts";
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
  "GET /admin/users/:id/factors": listFactors,
  "PUT /admin/users/:id/factors/:factorId": updateFactorById,
  "DELETE /admin/users/:id/factors/:factorId": deleteFactorById,
  "GET /admin/audit": listAuditEntries,
  "POST /admin/mail/test": sendTestMail,

  "POST /factors": enrollFactor,
  "POST /factors/:factorId/challenge": challengeFactor,
  "POST /factors/:factorId/verify": verifyFactor,
  "DELETE /factors/:factorId": unenrollFactor,

  "GET /user/identities/authorize": authorizeLinking,
  "DELETE /user/identities/:identityId": unlinkIdentity,

  ...DISABLED,
};

export const ROUTES: readonly Route<Handler>[] = Object.entries(HANDLERS).map(([pattern, handler]) => ({
  pattern,
  handler,
}));
