import { expect, inject, test } from "vitest";
import { createClient, createClientPool } from "./postgres-client.ts";

const config = () => ({ connectionString: inject("clusterUrl") });

/** Ends the session of a connection as an administrator, the out-of-memory killer or a restart would. */
async function endBackend(pid: number): Promise<void> {
  const client = createClient(config());
  await client.connect();
  await client.query("select pg_terminate_backend($1, 5000)", [pid]);
  await client.end();
}

test("a backend that dies under a lent client, idle or at work, fails what was under way and nothing else", async () => {
  const pool = createClientPool(config());
  const idle = await pool.connect();
  const busy = await pool.connect();
  const pidOf = async (client: typeof idle) => (await client.query("select pg_backend_pid() as pid")).rows[0].pid;
  const [idlePid, busyPid] = [await pidOf(idle), await pidOf(busy)];
  const sleeping = busy.query("select pg_sleep(60)");
  sleeping.catch(() => {});
  const ended = Promise.all([idle, busy].map((client) => new Promise((isOver) => client.once("end", isOver))));
  await endBackend(idlePid);
  await endBackend(busyPid);
  await ended;
  await expect(sleeping).rejects.toThrow();
  await expect(idle.query("select 1")).rejects.toThrow();
  idle.release(true);
  busy.release(true);
  expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await pool.end();
});
