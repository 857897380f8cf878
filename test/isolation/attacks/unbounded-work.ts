/**
 * Work of unbounded size on the event loop that all projects share: what a tenant, or a stranger with his public key,
 * can have a service do. Each function is one attack; it resolves with what the attacker got for it.
 */
import { connect } from "node:net";
import pg from "pg";

export interface HostileProject {
  /** Base URL: `http://localhost:8083/projects/<ref>`. */
  readonly url: string;
  readonly anonKey: string;
  readonly serviceRoleKey: string;
  readonly databaseUrl: string;
}

/** Status and the beginning of the body, so that a huge one is not kept. */
export interface Outcome {
  readonly status: number;
  readonly bytes: number;
  readonly beginning: string;
}

async function outcomeOf(response: Response): Promise<Outcome> {
  let bytes = 0;
  let beginning = "";
  for await (const chunk of response.body ?? []) {
    if (beginning.length < 1_000) beginning += Buffer.from(chunk).toString("utf8").slice(0, 1_000);
    bytes += chunk.length;
  }
  return { status: response.status, bytes, beginning };
}

export async function runSql(project: HostileProject, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client(project.databaseUrl);
  client.on("error", () => {}); // it may be ended from the other side
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** Tables of a schema of their own, so many in a transaction. */
export async function makeTables(project: HostileProject, tables: number, columns: number): Promise<void> {
  const list = Array.from({ length: columns }, (_, index) => `column_${index} text`).join(", ");
  const statements: string[] = [];
  for (let first = 0; first < tables; first += 250) {
    const last = Math.min(first + 250, tables) - 1;
    statements.push(
      `do $$ begin for n in ${first}..${last} loop execute format('create table public.crowd_%s (%s)', n, '${list}'); end loop; end $$`,
    );
  }
  await runSql(project, ...statements);
}

/** Asks for the description of all tables. */
export async function describeAll(project: HostileProject): Promise<Outcome> {
  const headers = { apikey: project.serviceRoleKey, authorization: `Bearer ${project.serviceRoleKey}` };
  return outcomeOf(await fetch(`${project.url}/rest/v1/`, { headers }));
}

/** Has the schema loaded anew as often as it is done. */
export async function reloadInALoop(project: HostileProject, times: number): Promise<void> {
  await runSql(project, ...Array.from({ length: times }, () => "notify pgrst, 'reload schema'"));
}

export type BodyKind = "csv" | "json" | "form";

/** A body that takes long to look over: quotes, keys or pairs. */
export function hostileBody(kind: BodyKind, bytes: number): { readonly type: string; readonly body: string } {
  const repeated = (unit: (index: number) => string, separator: string) => {
    const units: string[] = [];
    for (let length = 0; length < bytes; ) {
      const next = unit(units.length);
      units.push(next);
      length += next.length + separator.length;
    }
    return units.join(separator);
  };
  switch (kind) {
    case "csv":
      return { type: "text/csv", body: `t\n${'"'.repeat(bytes)}` };
    case "json":
      return { type: "application/json", body: `{${repeated((index) => `"key${index}":1`, ",")}}` };
    case "form":
      return { type: "application/x-www-form-urlencoded", body: repeated((index) => `k${index}=1`, "&") };
  }
}

/** Sends such bodies with the public key, so many at once. */
export function sendBodies(project: HostileProject, kind: BodyKind, bytes: number, count: number): Promise<Outcome[]> {
  const { type, body } = hostileBody(kind, bytes);
  const headers = { apikey: project.anonKey, "content-type": type };
  const send = async () => outcomeOf(await fetch(`${project.url}/rest/v1/anything`, { method: "POST", headers, body }));
  return Promise.all(Array.from({ length: count }, send));
}

/** A function that anybody may call and that raises an error of so many characters. */
export async function makeLongError(project: HostileProject): Promise<void> {
  await runSql(
    project,
    `create function public.long_error(length int) returns void language plpgsql as
     $$ begin raise exception '%', repeat('x', length) using detail = repeat('y', length); end $$`,
  );
}

export async function raiseLongError(project: HostileProject, length: number): Promise<Outcome> {
  const headers = { apikey: project.anonKey, "content-type": "application/json" };
  const body = JSON.stringify({ length });
  return outcomeOf(await fetch(`${project.url}/rest/v1/rpc/long_error`, { method: "POST", headers, body }));
}

/** A user whose metadata, written by SQL, has so many bytes. */
export async function makeLargeUser(project: HostileProject, bytes: number): Promise<void> {
  await runSql(
    project,
    `insert into auth.users (id, instance_id, aud, role, email, raw_user_meta_data, created_at, updated_at)
     values (gen_random_uuid(), '00000000-0000-0000-0000-000000000000', 'authenticated', 'authenticated',
       'large@example.com', jsonb_build_object('text', repeat('x', ${bytes})), now(), now())`,
  );
}

export async function listUsers(project: HostileProject): Promise<Outcome> {
  const headers = { apikey: project.serviceRoleKey, authorization: `Bearer ${project.serviceRoleKey}` };
  return outcomeOf(await fetch(`${project.url}/auth/v1/admin/users`, { headers }));
}

export interface Unread extends Disposable {
  /** Of the answers that have begun. */
  readonly statuses: readonly number[];
}

/** Clients that ask for something large and take no more of it than the first packet. */
export function askAndReadNothing(port: number, target: string, apikey: string, count: number): Unread {
  const statuses: number[] = [];
  const sockets = Array.from({ length: count }, () => {
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET ${target} HTTP/1.1\r\nhost: localhost\r\napikey: ${apikey}\r\n\r\n`);
    socket.once("data", (chunk: Buffer) => {
      statuses.push(Number(chunk.toString("latin1").slice(9, 12)));
      socket.pause();
    });
    socket.on("error", () => {});
    return socket;
  });
  return {
    statuses,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
    },
  };
}
