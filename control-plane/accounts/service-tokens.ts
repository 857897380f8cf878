/** Tokens of gateways and data-plane processes: they read config snapshots of their audience and nothing else. */
import type { Audience } from "../client/config-snapshot.ts";
import type { Queryable } from "../database.ts";
import { generateToken, hashToken, tokenKind } from "./tokens.ts";

export interface ServiceTokenRow {
  readonly id: string;
  readonly audience: Audience;
  readonly name: string;
  readonly createdAt: Date;
}

const COLUMNS = `id, audience, name, created_at as "createdAt"`;

/**
 * Makes `token` the one token of that audience and name and returns it: a process that starts both sides passes none
 * and gets a fresh one for this run; an operator who configures both sides passes the text of his choice.
 * @param token `sbsvc_` + 40 hex digits. @throws {TypeError} when it has another form.
 */
export async function ensureServiceToken(
  db: Queryable,
  audience: Audience,
  name: string,
  token: string = generateToken("service"),
): Promise<string> {
  if (tokenKind(token) !== "service") throw new TypeError("a service token is sbsvc_ and 40 hex digits");
  await db.query(
    `/* ensureServiceToken */ insert into service_tokens (audience, name, token_hash) values ($1, $2, $3)
     on conflict (audience, name) do update set token_hash = excluded.token_hash
     where service_tokens.token_hash <> excluded.token_hash`,
    [audience, name, hashToken(token)],
  );
  return token;
}

/** @throws pg's unique violation when the name is taken for that audience. */
export async function createServiceToken(
  tx: Queryable,
  audience: Audience,
  name: string,
): Promise<{ serviceToken: ServiceTokenRow; token: string }> {
  const token = generateToken("service");
  const [serviceToken] = await tx.query<ServiceTokenRow>(
    `/* createServiceToken */ insert into service_tokens (audience, name, token_hash) values ($1, $2, $3)
     returning ${COLUMNS}`,
    [audience, name, hashToken(token)],
  );
  if (!serviceToken) throw new Error("an insert returned no row");
  return { serviceToken, token };
}

export async function listServiceTokens(db: Queryable): Promise<ServiceTokenRow[]> {
  return db.query<ServiceTokenRow>(
    `/* listServiceTokens */ select ${COLUMNS} from service_tokens order by audience, name`,
  );
}

export async function deleteServiceToken(tx: Queryable, id: string): Promise<ServiceTokenRow | null> {
  const [row] = await tx.query<ServiceTokenRow>(
    `/* deleteServiceToken */ delete from service_tokens where id = $1 returning ${COLUMNS}`,
    [id],
  );
  return row ?? null;
}
