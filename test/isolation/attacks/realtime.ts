/** Subscriptions to database changes, as many as one may have, while what they are judged by changes all the time. */
import { type Attack, describe, Outcomes, pause, session, type World } from "./attack.ts";

const TABLES = 1_500;
const CHANNELS = 100;
const BINDINGS = 100;

async function publishTables({ hostile }: World): Promise<void> {
  const client = await session(hostile);
  try {
    for (let from = 0; from < TABLES; from += 500)
      await client.query(
        `do $$ begin for i in ${from}..${from + 499} loop
           execute format('create table if not exists live_%s (id int primary key, room int, text text)', i); end loop; end $$`,
      );
    await client.query(
      `do $$ begin
         execute (select 'alter publication supabase_realtime add table ' || string_agg(format('%I', c.relname), ', ')
           from pg_class c where c.relkind = 'r' and c.relname like 'live\\_%' and c.relnamespace = 'public'::regnamespace
             and not exists (select from pg_publication_rel where prrelid = c.oid));
       exception when others then null; end $$;
       grant select on all tables in schema public to anon`,
    );
  } finally {
    await client.end();
  }
}

/** A socket with as many channels as it may have, each with as many bindings. */
function subscribe(project: World["hostile"], binding: (index: number) => object, outcomes: Outcomes): WebSocket {
  const address = new URL(`${project.url}/realtime/v1/websocket`);
  address.protocol = "ws:";
  address.search = `apikey=${project.anonKey}&vsn=2.0.0`;
  const socket = new WebSocket(address);
  socket.addEventListener("open", () => {
    for (let channel = 0; channel < CHANNELS; channel += 1) {
      const changes = Array.from({ length: BINDINGS }, (_, index) => ({
        event: "*",
        schema: "public",
        ...binding(channel * BINDINGS + index),
      }));
      const config = { postgres_changes: changes };
      socket.send(JSON.stringify([`${channel}`, `${channel}`, `realtime:room ${channel}`, "phx_join", { config }]));
    }
  });
  socket.addEventListener("message", ({ data }) => {
    const [, , , event, payload] = JSON.parse(String(data)) as [unknown, unknown, unknown, string, { status?: string }];
    if (event === "system" || (event === "phx_reply" && payload.status !== "ok")) outcomes.add(`${payload.status}`);
    if (event === "postgres_changes") outcomes.add("changes");
  });
  socket.addEventListener("close", ({ code }) => outcomes.add(`closed ${code}`));
  return socket;
}

function subscriptionAttack(name: string, binding: (index: number) => object): Attack {
  return {
    name,
    prepare: publishTables,
    async run({ hostile }, until) {
      const outcomes = new Outcomes();
      const sockets = Array.from({ length: 5 }, () => subscribe(hostile, binding, outcomes));
      const client = await session(hostile);
      for (let turn = 0; !until.aborted; turn += 1) {
        await client
          .query(`alter table live_${turn % TABLES} add column if not exists more_${turn} int;
            insert into live_0 (id, room, text) select i, i, 'text' from generate_series(1, 200) i
              on conflict (id) do update set text = excluded.text`)
          .catch((error) => outcomes.add(describe(error)));
        await pause(50, until);
      }
      for (const socket of sockets) socket.close();
      await client.end().catch(() => {});
      return outcomes;
    },
  };
}

export const REALTIME_ATTACKS: readonly Attack[] = [
  subscriptionAttack("50,000 bindings to one table each, and columns added all the time", (index) => ({
    table: `live_${index % TABLES}`,
    filter: "room=gt.3",
  })),
  subscriptionAttack("50,000 bindings to all tables, and rows written all the time", () => ({ table: "*" })),
  subscriptionAttack("50,000 filtered bindings to all tables, and columns added all the time", () => ({
    table: "*",
    filter: "room=lt.3",
  })),
];
