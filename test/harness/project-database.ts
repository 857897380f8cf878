/** A shared project's database for tests: from sql/, in the run's cluster, with its two logins. No control plane runs. */
import { randomBytes } from "node:crypto";
import pg from "pg";
import { type DatabaseAddress, type ProjectRef, parseProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { bootstrapCluster } from "../../control-plane/clusters/bootstrap.ts";
import { projectAuthenticatorName, projectDatabaseName, projectUserName } from "../../control-plane/clusters/names.ts";
import { ensureProjectDatabase, grantProject } from "../../control-plane/clusters/project-database.ts";
import { ensureProjectRoles } from "../../control-plane/clusters/project-roles.ts";
import { ensureTemplate } from "../../control-plane/clusters/template.ts";

export interface TestProjectDatabase {
  readonly projectRef: ProjectRef;
  /** The authenticator login, as services connect. */
  readonly address: DatabaseAddress;
  /** The project's own user, as its owner connects. */
  readonly userUrl: string;
  /** Superuser in the project's database, for looking behind the scenes. */
  readonly adminUrl: string;
}

/** @param clusterUrl superuser URL of the run's cluster. Roles and databases go with the cluster; nothing to clean up. */
export async function createTestProjectDatabase(clusterUrl: string): Promise<TestProjectDatabase> {
  const cluster = new URL(clusterUrl);
  const ref = parseProjectRef([...randomBytes(20)].map((byte) => String.fromCharCode(97 + (byte % 26))).join(""));
  const database = projectDatabaseName(ref);
  const passwords = { userPassword: "test-user-password", authenticatorPassword: "test-authenticator-password" };
  const urlOf = (name: string, user: string = cluster.username, password: string = cluster.password): string =>
    `postgresql://${user}:${password}@${cluster.host}/${name}`;
  const connect = async (name: string): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: urlOf(name) });
    await client.connect();
    return client;
  };

  const admin = await connect("postgres");
  try {
    const roles = await bootstrapCluster(admin);
    const template = await ensureTemplate(admin, connect, roles);
    await ensureProjectRoles(admin, ref, roles, passwords);
    await ensureProjectDatabase(admin, ref, template);
    const session = await connect(database);
    await grantProject(session, ref, roles);
    await session.end();
  } finally {
    await admin.end();
  }
  return {
    projectRef: ref,
    address: {
      host: cluster.hostname,
      port: Number(cluster.port),
      database,
      user: projectAuthenticatorName(ref),
      password: passwords.authenticatorPassword,
      ssl: false,
    },
    userUrl: urlOf(database, projectUserName(ref), passwords.userPassword),
    adminUrl: urlOf(database),
  };
}
