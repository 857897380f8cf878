/** From a request's headers to its viewer: a bearer token of any kind, or the dashboard's session cookie. */
import type { Audience } from "../client/config-snapshot.ts";
import type { Services } from "../context.ts";
import type { Queryable } from "../database.ts";
import { Forbidden, Unauthenticated } from "../errors.ts";
import type { AccountViewer, ServiceViewer, Viewer } from "../viewer.ts";
import { CLIENT_HEADER, isOwnOrigin } from "./same-origin.ts";
import { readSessionCookie } from "./sessions.ts";
import { hashToken, tokenKind } from "./tokens.ts";

export interface AuthenticateOptions extends Pick<Services, "database" | "configDatabase" | "settings" | "now"> {
  readonly dashboardOrigins: readonly string[];
}

/**
 * Null when there is no credential, or only a cookie whose session has ended (so that signing in works).
 * @throws {Unauthenticated} for a bearer token that is wrong, expired or revoked.
 * @throws {Forbidden} for a cookie that comes from a foreign page.
 */
export async function authenticate(request: Request, options: AuthenticateOptions): Promise<Viewer | null> {
  const authorization = request.headers.get("authorization");
  if (authorization !== null) {
    const viewer = await findViewer(bearerToken(authorization), options);
    if (!viewer) throw new Unauthenticated("the access token is wrong, expired or revoked");
    return viewer;
  }
  const cookie = readSessionCookie(request.headers.get("cookie"), options.settings.secureCookies);
  if (cookie === null || tokenKind(cookie) !== "session") return null;
  const header = (name: string) => request.headers.get(name);
  const browserRequest = {
    method: request.method,
    origin: header("origin"),
    host: header("host"),
    secFetchSite: header("sec-fetch-site"),
    clientHeader: header(CLIENT_HEADER),
  };
  if (!isOwnOrigin(browserRequest, options.dashboardOrigins)) {
    throw new Forbidden(`the session cookie is only for the dashboard's origin, or with a header ${CLIENT_HEADER}`);
  }
  return findViewer(cookie, options);
}

/** Whether the viewer's session or token still exists: for subscriptions, which outlive their request. */
export async function isCredentialValid(db: Queryable, viewer: AccountViewer, now: number): Promise<boolean> {
  const table = viewer.tokenKind === "session" ? "sessions" : "access_tokens";
  const rows = await db.query(
    `/* isCredentialValid */ select from ${table} where token_hash = $1 and (expires_at is null or expires_at > $2)`,
    [viewer.credentialHash, new Date(now)],
  );
  return rows.length > 0;
}

function bearerToken(authorization: string): string {
  return /^Bearer\s+(\S+)$/i.exec(authorization)?.[1] ?? "";
}

async function findViewer(
  token: string,
  { database, configDatabase, now }: AuthenticateOptions,
): Promise<Viewer | null> {
  const hash = hashToken(token);
  switch (tokenKind(token)) {
    case "session":
      return findSessionViewer(database, hash, now());
    case "accessToken":
      return findAccessTokenViewer(database, hash, now());
    case "service":
      return findServiceViewer(configDatabase, hash);
    default:
      return null;
  }
}

type AccountColumns = Pick<AccountViewer, "accountId" | "email" | "isInstanceOwner" | "expiresAt">;
const ACCOUNT_COLUMNS = `accounts.id as "accountId", accounts.email, accounts.is_instance_owner as "isInstanceOwner"`;

async function findSessionViewer(db: Queryable, hash: Buffer, now: number): Promise<AccountViewer | null> {
  const [row] = await db.query<AccountColumns>(
    `/* findSessionViewer */ select ${ACCOUNT_COLUMNS}, expires_at as "expiresAt"
     from sessions join accounts on accounts.id = account_id where token_hash = $1 and expires_at > $2`,
    [hash, new Date(now)],
  );
  return row ? { kind: "account", tokenKind: "session", credentialHash: hash, ...row } : null;
}

/** Notes the use at most once a minute, so that a busy token is not a row rewritten with every request. */
async function findAccessTokenViewer(db: Queryable, hash: Buffer, now: number): Promise<AccountViewer | null> {
  const [row] = await db.query<AccountColumns>(
    `/* findAccessTokenViewer */ with used as (
       update access_tokens set last_used_at = $2
       where token_hash = $1 and (last_used_at is null or last_used_at < $2::timestamptz - interval '1 minute')
     )
     select ${ACCOUNT_COLUMNS}, expires_at as "expiresAt"
     from access_tokens join accounts on accounts.id = account_id
     where token_hash = $1 and (expires_at is null or expires_at > $2)`,
    [hash, new Date(now)],
  );
  return row ? { kind: "account", tokenKind: "access-token", credentialHash: hash, ...row } : null;
}

async function findServiceViewer(db: Queryable, hash: Buffer): Promise<ServiceViewer | null> {
  const [row] = await db.query<{ audience: Audience; name: string }>(
    "/* findServiceViewer */ select audience, name from service_tokens where token_hash = $1",
    [hash],
  );
  return row ? { kind: "service", credentialHash: hash, ...row } : null;
}
