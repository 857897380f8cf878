/** `supalove realtime tail`: prints what a project's realtime says, until Ctrl-C. */
import { createClient } from "@supabase/supabase-js";
import { WebSocket } from "ws";
import type { GraphqlClient } from "./graphql-client.ts";
import { CommandError } from "./output.ts";
import { revealCredentials } from "./projects.ts";

export interface TailOptions {
  /** `table` or `schema.table`; left out: every published table. */
  readonly table?: string;
  /** Such as `room_id=eq.7`. */
  readonly filter?: string;
  /** Prints broadcasts of this topic instead of database changes. */
  readonly channel?: string;
  readonly private?: boolean;
  readonly json?: boolean;
}

/** What a refusal means and what to do about it; by the text that the service gives. */
const HINTS: readonly (readonly [pattern: RegExp, hint: string])[] = [
  [
    /Please check Realtime is enabled.*schema: ([^,]+), table: ([^,]+)/,
    "The table is not published. Run: alter publication supabase_realtime add table $1.$2;",
  ],
  [/invalid column for filter (\S+)/, "The table has no column $1."],
  [
    /Unauthorized: You do not have permissions to read from this Channel topic: (.*)/,
    "No policy on realtime.messages lets this role select rows of the topic. For example: create policy listen on realtime.messages for select to authenticated using (realtime.topic() = '$1');",
  ],
  [/PrivateOnly/, "The project's realtime setting privateOnly is on: join the channel as a private one (--private)."],
  [/RealtimeDisabledForTenant|Realtime was disabled/, "The project's realtime setting suspended is on."],
  [/Too many connected users/, "The project's realtime setting maxConcurrentUsers is reached."],
  [/Too many channels/, "The project's realtime setting maxChannelsPerClient is reached."],
  [/Too many joins/, "The project's realtime setting maxJoinsPerSecond is reached."],
  [/wal_level=logical/, "Set wal_level = logical on the database server and restart it."],
  [
    /no replication login/,
    "The control plane sets its password with the next start or project; or: rotateReplicationPassword.",
  ],
  [
    /Too many projects of this database server/,
    "Every replication slot that the server may have for realtime is in use; it is tried again.",
  ],
];

/** The reason with what is missing, when that is known. */
export function explainRefusal(reason: string): string {
  for (const [pattern, hint] of HINTS) {
    const found = pattern.exec(reason);
    if (found) return `${reason}\n${hint.replace(/\$(\d)/g, (_whole, index: string) => found[Number(index)] ?? "")}`;
  }
  return reason;
}

/** Resolves when `signal` is aborted. @throws {CommandError} when the channel or the subscription is refused. */
export async function tail(api: GraphqlClient, ref: string, options: TailOptions, signal: AbortSignal): Promise<void> {
  const { url, serviceRoleKey } = await revealCredentials(api, ref);
  const client = createClient(url, serviceRoleKey, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket as never },
  });
  const channel = client.channel(options.channel ?? "supalove-tail", {
    config: { private: options.private ?? false },
  });
  const ended = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => ended.resolve());
  if (options.channel !== undefined) {
    channel.on("broadcast", { event: "*" }, ({ event, payload }) => print(options, event, payload));
  } else {
    const [schema, table] = splitName(options.table);
    const binding = {
      event: "*",
      schema,
      table,
      ...(options.filter !== undefined && { filter: options.filter }),
    } as const;
    channel.on("postgres_changes", binding, (change) => {
      print(
        options,
        `${change.eventType} ${change.schema}.${change.table}`,
        change.eventType === "DELETE" ? change.old : change.new,
      );
    });
    channel.on("system", {}, ({ extension, status, message }) => {
      if (extension !== "postgres_changes") return;
      if (status === "ok") note("listening");
      else if (/trying again|begins anew|wait for/.test(message)) note(message);
      else ended.reject(new CommandError(explainRefusal(message)));
    });
  }
  channel.subscribe((status, error) => {
    if (status === "SUBSCRIBED" && options.channel !== undefined) note("listening");
    if (error) ended.reject(new CommandError(explainRefusal(error.message)));
  });
  try {
    await ended.promise;
  } finally {
    await client.removeAllChannels();
  }
}

function splitName(name: string | undefined): [schema: string, table: string] {
  if (name === undefined) return ["*", "*"];
  const dot = name.indexOf(".");
  return dot === -1 ? ["public", name] : [name.slice(0, dot), name.slice(dot + 1)];
}

function print({ json }: TailOptions, what: string, payload: unknown): void {
  console.log(json ? JSON.stringify({ what, payload }) : `${what}  ${JSON.stringify(payload)}`);
}

/** For people; scripts read standard output. */
function note(text: string): void {
  console.error(text);
}
