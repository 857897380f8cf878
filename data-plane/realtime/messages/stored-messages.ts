/** Rows of `realtime.messages`: what `realtime.send` and its kin have stored. Read as the owner of the table. */
import type { ProjectDatabase, Statement } from "../../database/database.ts";

export interface StoredMessage {
  readonly id: string;
  readonly topic: string;
  readonly event: string;
  readonly isPrivate: boolean;
  /** Microseconds since 1970, UTC. */
  readonly insertedAt: string;
  readonly encoding: "json" | "binary";
  /** Null: larger than was asked for. */
  readonly payload: Buffer | null;
}

/** A row's key, as the trigger notifies it. */
export interface MessageKey {
  readonly id: string;
  /** Microseconds since 1970, UTC. */
  readonly insertedAt: string;
}

const AS_OWNER: Statement = {
  text: `/* readMessages */ select set_config('role', 'supabase_realtime_admin', true),
    set_config('statement_timeout', '5s', true), set_config('timezone', 'UTC', true)`,
  values: [],
  prepare: true,
};

const COLUMNS = `m.id::text, m.topic, coalesce(m.event, ''), coalesce(m.private, false),
  (extract(epoch from m.inserted_at) * 1000000)::bigint::text, m.binary_payload is not null,
  case when octet_length(m.payload::text) <= $1 then m.payload::text end,
  case when octet_length(m.binary_payload) <= $1 then encode(m.binary_payload, 'hex') end`;

/** In the order of the keys; rows that are gone are left out. */
export async function readMessages(
  database: ProjectDatabase,
  keys: readonly MessageKey[],
  maxPayloadBytes: number,
): Promise<readonly StoredMessage[]> {
  return read(database, {
    text: `/* readMessages */ select ${COLUMNS}
      from unnest($2::uuid[], $3::bigint[]) with ordinality as wanted (id, inserted_at, position)
        join realtime.messages m on m.id = wanted.id
          and m.inserted_at = timestamp '1970-01-01' + wanted.inserted_at * interval '1 microsecond'
      order by wanted.position`,
    values: [String(maxPayloadBytes), `{${keys.map(({ id }) => id)}}`, `{${keys.map(({ insertedAt }) => insertedAt)}}`],
    prepare: true,
  });
}

/** Broadcasts stored since a time, oldest first: what a lost connection may have missed. @param since Microseconds. */
export async function readMessagesSince(
  database: ProjectDatabase,
  since: string,
  maxPayloadBytes: number,
  limit: number,
): Promise<readonly StoredMessage[]> {
  return read(database, {
    text: `/* readMessagesSince */ select ${COLUMNS} from realtime.messages m
      where m.extension = 'broadcast' and m.inserted_at >= timestamp '1970-01-01' + $2::bigint * interval '1 microsecond'
      order by m.inserted_at limit $3`,
    values: [String(maxPayloadBytes), since, String(limit)],
    prepare: true,
  });
}

/** The newest private broadcasts of a topic since a time, oldest first. */
export async function readReplay(
  database: ProjectDatabase,
  topic: string,
  { sinceMs, limit }: { readonly sinceMs: number; readonly limit: number },
  maxPayloadBytes: number,
): Promise<readonly StoredMessage[]> {
  const messages = await read(database, {
    text: `/* readReplay */ select ${COLUMNS} from realtime.messages m
      where m.extension = 'broadcast' and m.private and m.topic = $2
        and m.inserted_at >= timestamp '1970-01-01' + $3::bigint * interval '1 millisecond'
        and m.inserted_at < (now() at time zone 'utc') + interval '1 minute'
      order by m.inserted_at desc limit $4`,
    values: [String(maxPayloadBytes), topic, String(sinceMs), String(limit)],
    prepare: true,
  });
  return messages.toReversed();
}

/** Today's partition and those of the next days are there afterwards, and those of the past are gone. */
export async function maintainPartitions(database: ProjectDatabase): Promise<void> {
  const call = (name: string): Statement => ({
    text: `/* maintainPartitions */ select ${name}()`,
    values: [],
    prepare: false,
  });
  await database.pipeline([AS_OWNER, call("realtime.ensure_partitions")]);
  await database.pipeline([AS_OWNER, call("realtime.drop_expired_partitions")]);
}

async function read(database: ProjectDatabase, statement: Statement): Promise<readonly StoredMessage[]> {
  const [, result] = await database.pipeline([AS_OWNER, statement]);
  return (result?.rows ?? []).map(([id, topic, event, isPrivate, insertedAt, isBinary, json, hex]) => ({
    id: id ?? "",
    topic: topic ?? "",
    event: event ?? "",
    isPrivate: isPrivate === "t",
    insertedAt: insertedAt ?? "0",
    encoding: isBinary === "t" ? "binary" : "json",
    payload: isBinary === "t" ? toBuffer(hex, "hex") : toBuffer(json, "utf8"),
  }));
}

function toBuffer(text: string | null | undefined, encoding: BufferEncoding): Buffer | null {
  return text == null ? null : Buffer.from(text, encoding);
}
