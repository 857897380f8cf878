/** Worlds for the authorization test, made with few statements: there are hundreds of them in a run. */
import { randomUUID } from "node:crypto";
import { createSession } from "../accounts/sessions.ts";
import { generateToken, hashToken } from "../accounts/tokens.ts";
import { issueInitialKeys } from "../api-keys/issue.ts";
import { ROLES } from "../permissions.ts";
import { generateProjectRef } from "../projects/create-project.ts";
import type { World } from "./authorization.ts";
import type { TestAccount, TestControlPlane } from "./test-control-plane.ts";

export interface WorldMaker {
  make(): Promise<World>;
}

export async function createWorldMaker(plane: TestControlPlane): Promise<WorldMaker> {
  const { database } = plane;
  const { services } = plane.controlPlane;
  const password = "correct horse battery";
  const passwordHash = await services.passwords.hash("test", password);
  const [cluster] = await database.query<{ id: string }>("select id from clusters");
  const { "instance-owner": instanceOwner } = await insertAccounts(plane, ["instance-owner"], passwordHash, true);
  if (!cluster || !instanceOwner) throw new Error("the control plane has no cluster, or an owner already");

  return {
    async make() {
      const accounts = await insertAccounts(plane, ["stranger", ...ROLES], passwordHash, false);
      // What the last one did to the one account that all worlds share is undone.
      await database.query("update accounts set email = $2 where id = $1", [instanceOwner.id, instanceOwner.email]);
      const ownerSession = await createSession(database, instanceOwner.id, Date.now());
      const organizationId = randomUUID();
      const ref = generateProjectRef();
      await database.query("insert into organizations (id, name, slug) values ($1, 'World', $2)", [
        organizationId,
        `world-${organizationId}`,
      ]);
      await database.query(
        `insert into memberships (organization_id, account_id, role)
         select $1, account_id, role from unnest($2::uuid[], $3::membership_role[]) as member (account_id, role)`,
        [organizationId, ROLES.map((role) => accounts[role]?.id), ROLES],
      );
      await database.transaction(async (tx) => {
        await tx.query(
          `insert into projects (ref, organization_id, name, plan, state, cluster_id)
           values ($1, $2, 'World', 'shared', 'ACTIVE', $3)`,
          [ref, organizationId, cluster.id],
        );
        await services.vault.createDataKey(tx, ref);
        await issueInitialKeys(tx, services.vault, ref, Date.now());
        await services.vault.put(tx, ref, "POSTGRES_PASSWORD", "world", { system: true });
      });
      return {
        organizationId,
        ref,
        password,
        database,
        services,
        clusterId: cluster.id,
        accounts: {
          ...accounts,
          "instance-owner": { ...instanceOwner, session: sessionHeaders(ownerSession.token) },
        } as World["accounts"],
      };
    },
  };
}

async function insertAccounts(
  { database }: TestControlPlane,
  names: readonly string[],
  passwordHash: string,
  isInstanceOwner: boolean,
): Promise<Record<string, TestAccount>> {
  const people = names.map((name) => ({
    name,
    id: randomUUID(),
    email: `${name}-${randomUUID().slice(0, 8)}@example.com`,
    token: generateToken("accessToken"),
    session: generateToken("session"),
  }));
  const ids = people.map(({ id }) => id);
  await database.query(
    `insert into accounts (id, email, password_hash, is_instance_owner)
     select id, email, $3, $4 from unnest($1::uuid[], $2::text[]) as person (id, email)`,
    [ids, people.map(({ email }) => email), passwordHash, isInstanceOwner],
  );
  await database.query(
    `insert into access_tokens (account_id, name, token_hash)
     select id, 'test', hash from unnest($1::uuid[], $2::bytea[]) as person (id, hash)`,
    [ids, people.map(({ token }) => hashToken(token))],
  );
  await database.query(
    `insert into sessions (account_id, token_hash, expires_at)
     select id, hash, now() + interval '1 day' from unnest($1::uuid[], $2::bytea[]) as person (id, hash)`,
    [ids, people.map(({ session }) => hashToken(session))],
  );
  return Object.fromEntries(
    people.map(({ name, session, ...account }) => [name, { ...account, session: sessionHeaders(session) }]),
  );
}

function sessionHeaders(token: string): Record<string, string> {
  return { cookie: `supalove_session=${token}`, "x-supalove-client": "test" };
}
