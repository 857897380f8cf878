/**
 * A server for the benchmark, in a process of its own. First argument: `gateway` (gateway and REST service as npm start
 * runs them) or `plain` (what one would write by hand for just these requests: uWebSockets.js and pg). Second: the
 * worlds, as a JSON array, of which `plain` serves the first. Prints its port when it listens.
 */

import { jwtVerify } from "jose";
import pg from "pg";
import { createProjectDatabases } from "../../data-plane/database/project-databases.ts";
import { App, localPort } from "../../data-plane/http/uws.ts";
import { createLocalServices } from "../../data-plane/local-services.ts";
import { createRestService } from "../../data-plane/rest/service.ts";
import { WorkerPool } from "../../data-plane/work/worker-pool.ts";
import { createGateway } from "../../gateway/server.ts";
import { gatewaySnapshotOf, serviceSnapshotOf, type World } from "./world.ts";

const [mode, worldsText = "[]"] = process.argv.slice(2);
const worlds = JSON.parse(worldsText) as World[];
if (mode === "gateway") await serveGateway(worlds);
else servePlain(worlds[0] as World);

async function serveGateway(served: readonly World[]): Promise<void> {
  const silent = { info() {}, warn() {}, error: console.error };
  const databases = createProjectDatabases({ maxConnections: Math.max(10, 3 * served.length) });
  const rest = createRestService({
    workers: new WorkerPool(),
    databases,
    now: Date.now,
    logger: silent,
  });
  const services = new Map(served.map((world) => [world.projectRef, serviceSnapshotOf(world)]));
  const snapshots = new Map(served.map((world) => [world.projectRef, gatewaySnapshotOf(world)]));
  const gateway = createGateway({
    configs: {
      peek: (ref) => snapshots.get(ref),
      get: async (ref) => snapshots.get(ref) ?? null,
      peekByHost: () => null,
      getByHost: async () => null,
      status: () => ({ connected: true, disconnectedSince: null, entries: 1 }),
      onChange: () => () => {},
    },
    localServices: createLocalServices({
      configs: { peek: (ref) => services.get(ref), get: async (ref) => services.get(ref) ?? null },
      services: { rest },
    }),
    publicUrl: "http://localhost",
    baseDomains: ["localhost"],
    logger: silent,
  });
  const { port } = await gateway.listen(0, "127.0.0.1");
  console.log(port);
}

/** One row, 100 rows with their owners, and an insert; nothing is configurable and nothing else is understood. */
function servePlain(world: World): void {
  const { host, port, user, password, database } = world.database;
  const pool = new pg.Pool({ host, port, user, password, database, max: 10 });
  const secret = Buffer.from(serviceSnapshotOf(world).jwt.secret);
  const claimsOf = new Map<string, string>();
  const settings =
    "select set_config('role', 'authenticated', true), set_config('search_path', 'public', true), set_config('request.jwt.claims', $1, true)";
  const queries = {
    one: "select coalesce(json_agg(t), '[]')::text as body from (select id, name, price from items where id = $1) t",
    many: `select coalesce(json_agg(t), '[]')::text as body from (
      select id, name, price, (select row_to_json(o) from (select name from owners where owners.id = items.owner_id) o) as owners
      from items where owner_id = $1 order by id limit 100) t`,
    insert: `insert into inbox (id, name, price, note, done)
      select id, name, price, note, done from json_to_recordset($1) as r (id int, name text, price numeric, note text, done boolean)`,
  };

  async function claims(authorization: string): Promise<string> {
    const token = authorization.slice("Bearer ".length);
    const known = claimsOf.get(token);
    if (known) return known;
    const { payload } = await jwtVerify(token, secret);
    const text = JSON.stringify(payload);
    claimsOf.set(token, text);
    return text;
  }

  async function run(authorization: string, name: keyof typeof queries, value: string): Promise<string> {
    const text = await claims(authorization);
    const client = await pool.connect();
    try {
      await client.query("begin");
      await client.query({ name: "settings", text: settings, values: [text] });
      const { rows } = await client.query<{ body: string }>({ name, text: queries[name], values: [value] });
      await client.query("commit");
      return rows[0]?.body ?? "";
    } finally {
      client.release();
    }
  }

  const app = App();
  app.get("/rest/v1/items", (response, request) => {
    let gone = false;
    response.onAborted(() => {
      gone = true;
    });
    const query = request.getQuery();
    const one = /^id=eq\.(\d+)/.exec(query);
    const many = /^owner_id=eq\.(\d+)/.exec(query);
    const name = one ? "one" : "many";
    void run(request.getHeader("authorization"), name, (one ?? many)?.[1] ?? "").then((body) => {
      if (gone) return;
      response.cork(() => response.writeHeader("content-type", "application/json; charset=utf-8").end(body));
    });
  });
  app.post("/rest/v1/inbox", (response, request) => {
    const authorization = request.getHeader("authorization");
    const chunks: Buffer[] = [];
    let gone = false;
    response.onAborted(() => {
      gone = true;
    });
    response.onData((chunk, isLast) => {
      chunks.push(Buffer.from(Buffer.from(chunk)));
      if (!isLast) return;
      void run(authorization, "insert", Buffer.concat(chunks).toString()).then(() => {
        if (gone) return;
        response.cork(() => response.writeStatus("201 Created").end());
      });
    });
  });
  app.listen("127.0.0.1", 0, (socket) => {
    if (socket) console.log(localPort(socket));
  });
}

process.on("SIGTERM", () => process.exit(0));
