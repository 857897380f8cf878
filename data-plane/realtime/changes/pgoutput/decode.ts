/**
 * Messages of PostgreSQL's logical decoding plugin pgoutput, protocol version 1.
 * @see https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
import { FieldReader, ProtocolViolation } from "../../../database/wire/reader.ts";

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
  /** Part of the replica identity. */
  readonly isKey: boolean;
}

export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  /** `d` the primary key, `n` nothing, `f` the whole row, `i` an index. */
  readonly replicaIdentity: string;
  readonly columns: readonly RelationColumn[];
}

/** A large value that PostgreSQL did not send because the change left it alone (TOAST), */
export const UNCHANGED = Symbol("unchanged");
/** and one that we did not keep because its row is too large to be announced whole. */
export const OMITTED = Symbol("omitted");

/** Text of the value in the session's output format; in the order of the relation's columns. */
export type TupleValue = string | null | typeof UNCHANGED | typeof OMITTED;
export type Tuple = readonly TupleValue[];

export type ReplicationMessage =
  | { readonly tag: "begin"; readonly committedAtMs: number; readonly finalLsn: bigint; readonly xid: number }
  | { readonly tag: "commit"; readonly endLsn: bigint }
  | { readonly tag: "relation"; readonly relation: Relation }
  | { readonly tag: "insert"; readonly relationOid: number; readonly row: Tuple }
  | {
      readonly tag: "update";
      readonly relationOid: number;
      readonly row: Tuple;
      /** Sent when the key has changed or the identity is the whole row. */
      readonly old: Tuple | null;
      /** Of a key the other columns are nulls that mean nothing. */
      readonly oldIsKey: boolean;
    }
  | { readonly tag: "delete"; readonly relationOid: number; readonly old: Tuple; readonly oldIsKey: boolean }
  | { readonly tag: "other" };

const OTHER: ReplicationMessage = { tag: "other" };

/** 2000-01-01 in milliseconds since 1970: where PostgreSQL's clock begins. */
const POSTGRES_EPOCH_MS = 946_684_800_000;

/** The relation that a change is about, without decoding it; null for other messages. */
export function relationOfChange(body: Buffer, start: number): number | null {
  const tag = body[start];
  return tag === 0x49 || tag === 0x55 || tag === 0x44 ? body.readUInt32BE(start + 1) : null;
}

/**
 * @param body The message from `start` to `end`: an XLogData frame from its 26th byte on.
 * @throws {ProtocolViolation} for a message that ends before its fields.
 */
export function decodeMessage(body: Buffer, start: number, end: number): ReplicationMessage {
  const fields = new FieldReader(body, start + 1, end);
  switch (body[start]) {
    case 0x42: {
      const finalLsn = readUint64(fields);
      const committedAtMs = POSTGRES_EPOCH_MS + Number(readUint64(fields)) / 1000;
      return { tag: "begin", finalLsn, committedAtMs, xid: fields.uint32() };
    }
    case 0x43:
      fields.uint8();
      readUint64(fields);
      return { tag: "commit", endLsn: readUint64(fields) };
    case 0x52:
      return { tag: "relation", relation: readRelation(fields) };
    case 0x49: {
      const relationOid = fields.uint32();
      fields.uint8();
      return { tag: "insert", relationOid, row: readTuple(fields) };
    }
    case 0x55:
      return readUpdate(fields);
    case 0x44: {
      const relationOid = fields.uint32();
      const oldIsKey = fields.uint8() === 0x4b;
      return { tag: "delete", relationOid, old: readTuple(fields), oldIsKey };
    }
    default:
      return OTHER; // types, origins and truncations say nothing that a client hears of
  }
}

function readUpdate(fields: FieldReader): ReplicationMessage {
  const relationOid = fields.uint32();
  let kind = fields.uint8();
  let old: Tuple | null = null;
  const oldIsKey = kind === 0x4b;
  if (kind !== 0x4e) {
    old = readTuple(fields);
    kind = fields.uint8();
  }
  if (kind !== 0x4e) throw new ProtocolViolation(`an update without a new row but ${kind}`);
  return { tag: "update", relationOid, row: readTuple(fields), old, oldIsKey };
}

function readRelation(fields: FieldReader): Relation {
  const oid = fields.uint32();
  const schema = fields.cstring();
  const table = fields.cstring();
  const replicaIdentity = String.fromCharCode(fields.uint8());
  const columns: RelationColumn[] = [];
  for (let count = fields.int16(); count > 0; count -= 1) {
    const isKey = (fields.uint8() & 1) === 1;
    const name = fields.cstring();
    const typeOid = fields.uint32();
    fields.int32();
    columns.push({ name, typeOid, isKey });
  }
  return { oid, schema: schema === "" ? "pg_catalog" : schema, table, replicaIdentity, columns };
}

function readTuple(fields: FieldReader): Tuple {
  const values: TupleValue[] = [];
  for (let count = fields.int16(); count > 0; count -= 1) {
    const kind = fields.uint8();
    if (kind === 0x74) values.push(fields.text(fields.int32()));
    else if (kind === 0x6e) values.push(null);
    else if (kind === 0x75) values.push(UNCHANGED);
    else if (kind === 0x78) values.push(OMITTED);
    else throw new ProtocolViolation(`a column of kind ${kind}`);
  }
  return values;
}

function readUint64(fields: FieldReader): bigint {
  return (BigInt(fields.uint32()) << 32n) | BigInt(fields.uint32());
}
