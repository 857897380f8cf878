/** A project goes when its owner wants it to, whatever another tenant of the cluster does with the names of its roles. */
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectAsAdmin, parseClusterUrl } from "../../control-plane/clusters/cluster-connections.ts";
import { dropProjectDatabase, projectLeftovers } from "../../control-plane/clusters/project-database.ts";
import { dropProjectRoles } from "../../control-plane/clusters/project-roles.ts";
import { hasPostgres } from "../harness/cluster.ts";
import { type Neighbours, startNeighbours, VERSIONS } from "./tenants.ts";

const SESSIONS = 12;

// On the version that is shipped: the others take the same time for the same statements.
describe.each(VERSIONS.slice(-1).filter(hasPostgres))("on PostgreSQL %i", (major) => {
  let neighbours: Neighbours;
  beforeAll(async () => {
    neighbours = await startNeighbours(major);
  });
  afterAll(() => neighbours?.stop());

  /** Runs a statement in so many sessions as often as it can, and comes again when it is thrown out. */
  function keepRunning(statement: string): { stop(): Promise<number> } {
    let isOver = false;
    let runs = 0;
    const { bob, cluster } = neighbours;
    const attacker = async () => {
      while (!isOver) {
        const client = new pg.Client({
          host: "127.0.0.1",
          port: cluster.port,
          user: bob.userRole,
          password: bob.passwords.user,
          database: bob.database,
        });
        client.on("error", () => {});
        try {
          await client.connect();
          while (!isOver) {
            // Refused is no reason to go; a session that has ended answers at once, for ever.
            await client.query(statement).catch((error: { code?: string }) => {
              if (error.code === undefined || error.code === "57P01") throw error;
            });
            runs += 1;
          }
        } catch {
          // Thrown out: at once again.
        } finally {
          await client.end().catch(() => undefined);
        }
      }
    };
    const attackers = Array.from({ length: SESSIONS }, attacker);
    return {
      async stop() {
        isOver = true;
        await Promise.all(attackers);
        return runs;
      },
    };
  }

  test.each<[string, (ref: string) => string]>([
    [
      "grants to its roles by their names",
      (ref) => `grant select on public.mine to project_${ref}_user, project_${ref}_authenticator`,
    ],
    [
      "looks their names up, whatever they are by then,",
      (ref) => `do $$ declare role text; begin
        for role in select rolname from pg_roles where rolname like 'project_${ref}%' loop
          execute format('grant select on public.mine to %I', role);
        end loop; end $$`,
    ],
    [
      "makes policies and default privileges for them",
      (ref) => `do $$ declare role text; begin
        for role in select rolname from pg_roles where rolname like 'project_${ref}%' loop
          execute format('create policy %I on public.mine to %I', 'p' || pg_backend_pid() || random(), role);
          execute format('alter default privileges grant select on tables to %I', role);
        end loop; end $$`,
    ],
    [
      "holds what it has granted in a transaction that stays open,",
      (ref) => `do $$ declare role text; begin
        for role in select rolname from pg_roles where rolname like 'project_${ref}%' loop
          execute format('grant select on public.mine to %I', role);
        end loop; perform pg_sleep(60); end $$`,
    ],
  ])("a project is deleted while another one %s in a loop", async (_what, statement) => {
    const victim = await neighbours.addTenant();
    await Promise.all([victim.user.end(), victim.authenticator.end()]);
    const owner = await neighbours.bob.connect();
    await owner.query("create table if not exists public.mine (id int)");
    await owner.end();
    const attack = keepRunning(statement(victim.ref));
    const address = parseClusterUrl(neighbours.cluster.url);
    const admin = await connectAsAdmin(address, "postgres");
    try {
      await new Promise((resume) => setTimeout(resume, 200)); // until all of them are at it
      await dropProjectDatabase(admin, victim.ref);
      await dropProjectRoles(admin, (database) => connectAsAdmin(address, database), victim.ref);
      expect(await projectLeftovers(admin, victim.ref)).toEqual([]);
    } finally {
      await Promise.all([
        attack.stop(),
        neighbours.admin.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = $1", [
          neighbours.bob.userRole,
        ]),
      ]);
      await admin.end();
    }
  });
});
