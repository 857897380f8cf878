/**
 * Statements of the auth service. Each answers rows of at most one column, and that column is JSON: so a row reads the
 * same from a pipelined batch (text) and from a transaction (parsed by the driver), and a user with its identities and
 * factors is one row of one statement.
 */
import { DEFAULT_MAXIMA } from "../../../control-plane/client/maxima.ts";
import type { ParameterValue, ProjectDatabase } from "../../database/database.ts";
import { Slices } from "../../work/slices.ts";

export interface Sql<Row> {
  readonly text: string;
  readonly values: readonly ParameterValue[];
  /** Carries the type of a row; never set. */
  readonly row?: Row;
}

export type SqlValue = string | number | boolean | Date | object | null | undefined;

/** Dates become ISO texts, objects JSON, undefined null. @param text opens with its function's name as a comment. */
export function sql<Row = never>(text: string, values: readonly SqlValue[] = []): Sql<Row> {
  return { text, values: values.map(encode) };
}

function encode(value: SqlValue): ParameterValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return value;
  if (value instanceof Date) return value.toISOString();
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

type RowsOf<Statements extends readonly Sql<unknown>[]> = {
  [Index in keyof Statements]: Statements[Index] extends Sql<infer Row> ? Row[] : never;
};

/** Runs one statement at a time. */
export interface Executor {
  run<Row>(statement: Sql<Row>): Promise<Row[]>;
}

export interface AuthDatabase extends Executor {
  /** All statements in one round trip and one transaction; answers the rows of each. */
  batch<const Statements extends readonly Sql<unknown>[]>(statements: Statements): Promise<RowsOf<Statements>>;
  /** For work that needs answers in between. Commits when it resolves. */
  transaction<T>(work: (transaction: Executor) => Promise<T>): Promise<T>;
}

/** The owner of schema `auth`, as whom the project's triggers expect to be called; times of JSON rows are UTC. */
const SETTINGS: Readonly<Record<string, string>> = {
  role: "supabase_auth_admin",
  search_path: "auth",
  TimeZone: "UTC",
  lock_timeout: "5s",
};

const USE_SETTINGS = {
  text: `/* useAuthSettings */ select ${Object.entries(SETTINGS)
    .map(([name, value]) => `set_config('${name}', '${value}', true)`)
    .join(", ")}`,
  values: [],
  prepare: true,
};

/** A project's own SQL may write metadata of any size, and reading it would hold up everybody: nothing is read then. */
export class RecordTooLarge extends Error {
  constructor() {
    super("a record of the auth schema is larger than this installation reads");
  }
}

/** What a record takes besides its metadata: columns, identities and factors. */
const BESIDE_METADATA_BYTES = 128 * 1024;

/** @param maxMetadataBytes Larger records are not read. */
export function createAuthDatabase(
  database: ProjectDatabase,
  maxMetadataBytes: number = DEFAULT_MAXIMA.metadataBytes,
): AuthDatabase {
  const maxRecordCharacters = maxMetadataBytes + BESIDE_METADATA_BYTES;

  function parseRecord(value: string | null | undefined): unknown {
    if (value === null || value === undefined) return null;
    if (value.length > maxRecordCharacters) throw new RecordTooLarge();
    return JSON.parse(value);
  }

  async function batch<const Statements extends readonly Sql<unknown>[]>(
    statements: Statements,
  ): Promise<RowsOf<Statements>> {
    if (statements.length === 0) return [] as unknown as RowsOf<Statements>;
    const prepared = statements.map(({ text, values }) => ({ text, values, prepare: true }));
    const [, ...results] = await database.pipeline([USE_SETTINGS, ...prepared]);
    const slices = new Slices(database.projectRef);
    const records: unknown[][] = [];
    for (const { rows } of results) records.push(await slices.map(rows, ([value]) => parseRecord(value)));
    return records as RowsOf<Statements>;
  }
  return {
    batch,
    async run<Row>(statement: Sql<Row>): Promise<Row[]> {
      const [rows] = await batch([statement]);
      return rows as Row[];
    },
    transaction: (work) =>
      database.withTransaction(
        (transaction) =>
          work({
            async run<Row>({ text, values }: Sql<Row>): Promise<Row[]> {
              const rows = await transaction.query<{ row: Row }>(text, values, maxRecordCharacters);
              return rows.map(({ row }) => row);
            },
          }),
        SETTINGS,
      ),
  };
}
