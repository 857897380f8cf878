/**
 * What only the database can say about a batch of changes: which rows a user may see under row-level security, which
 * filters hold, and what values of composite types look like as JSON.
 *
 * Visibility is asked for by primary key, once for each table and distinct claims: the role and claims are set, then one
 * prepared statement finds those of the batch's rows that its policies let through. All of it travels in one pipeline.
 */
import { DatabaseError, type ProjectDatabase, type Statement } from "../../database/database.ts";
import { isServiceRoleName } from "../../rest/config.ts";
import type { VerifiedToken } from "../tokens/token-verifier.ts";
import { arrayLiteral, type Column, type Table } from "./catalogue.ts";
import { OPERATORS } from "./filter.ts";
import type { CompiledFilter } from "./match-index.ts";

/** Rows of one table by their primary keys: a list of values for each key column. */
export interface KeyList {
  readonly table: Table;
  readonly keys: readonly (readonly string[])[];
}

export interface VisibilityQuestion extends KeyList {
  readonly token: VerifiedToken;
}

/** Longest statement: a policy that sleeps sees nothing. */
const STATEMENT_TIMEOUT = "2s";
/** Longest time for all questions of a batch; what is not answered by then is not visible. */
const BATCH_TIMEOUT_MS = 10_000;
/** Questions that travel together: others of the project want the connection too. */
const QUESTIONS_PER_PIPELINE = 100;

const SNAPSHOT = { text: "/* readSnapshot */ select pg_current_snapshot()::text", values: [], prepare: true };
/** A commit is visible within microseconds of being streamed, unless its process has lost the processor just then. */
const SNAPSHOT_PAUSE_MS = 1;
const SNAPSHOT_ATTEMPTS = 200;

/**
 * Waits until transactions are visible to everybody. The stream tells of a commit as soon as it is in the log, which is a
 * moment before other sessions see it: a row that is looked up in between would be nobody's.
 * @param xids Their lower 32 bits.
 */
export async function untilVisible(database: ProjectDatabase, xids: ReadonlySet<number>): Promise<void> {
  for (let attempt = 0; attempt < SNAPSHOT_ATTEMPTS; attempt += 1) {
    const [result] = await database.pipeline([SNAPSHOT]);
    const [, end = "0", running = ""] = (result?.rows[0]?.[0] ?? "").split(":");
    const stillRunning = new Set(running === "" ? [] : running.split(",").map(lowerHalf));
    const isOver = (xid: number) => ((xid - lowerHalf(end)) | 0) < 0 && !stillRunning.has(xid);
    if ([...xids].every(isOver)) return;
    await new Promise((resolve) => setTimeout(resolve, SNAPSHOT_PAUSE_MS));
  }
}

function lowerHalf(xid: string): number {
  return Number(BigInt(xid) & 0xffff_ffffn);
}

/** @returns For each question the positions of the keys that are visible. A policy that raises hides all. */
export async function readVisible(
  database: ProjectDatabase,
  questions: readonly VisibilityQuestion[],
  onFailure: (error: DatabaseError, question: VisibilityQuestion) => void,
): Promise<readonly ReadonlySet<number>[]> {
  const answers: ReadonlySet<number>[] = new Array(questions.length);
  const deadline = AbortSignal.timeout(BATCH_TIMEOUT_MS);
  for (let from = 0; from < questions.length; from += QUESTIONS_PER_PIPELINE) {
    await ask(
      database,
      questions,
      from,
      Math.min(questions.length, from + QUESTIONS_PER_PIPELINE),
      answers,
      deadline,
      onFailure,
    );
  }
  return answers;
}

/** One failing policy must not hide rows from others: a pipeline that fails is asked again in halves. */
async function ask(
  database: ProjectDatabase,
  questions: readonly VisibilityQuestion[],
  from: number,
  to: number,
  answers: ReadonlySet<number>[],
  deadline: AbortSignal,
  onFailure: (error: DatabaseError, question: VisibilityQuestion) => void,
): Promise<void> {
  const statements: Statement[] = [];
  let role = "";
  for (const question of questions.slice(from, to)) {
    if (question.token.role !== role) {
      role = question.token.role;
      statements.push(becomeRole(role));
    }
    statements.push(setClaims(question.token), selectVisible(question));
  }
  try {
    const results = await database.pipeline(statements, { signal: deadline });
    let next = from;
    for (const [index, { text }] of statements.entries()) {
      if (!text.startsWith("/* readVisible ")) continue;
      answers[next] = new Set(results[index]?.rows.map(([position]) => Number(position) - 1));
      next += 1;
    }
  } catch (error) {
    const isOurs = error instanceof DatabaseError || deadline.aborted;
    if (!isOurs) throw error;
    const question = questions[from];
    if (to - from === 1 || deadline.aborted) {
      for (let index = from; index < to; index += 1) answers[index] = new Set();
      if (question && error instanceof DatabaseError) onFailure(error, question);
      return;
    }
    const middle = (from + to) >> 1;
    await ask(database, questions, from, middle, answers, deadline, onFailure);
    await ask(database, questions, middle, to, answers, deadline, onFailure);
  }
}

function becomeRole(role: string): Statement {
  return {
    text: `/* becomeRole */ select set_config('role', $1, true), set_config('request.jwt.claim.role', $1, true),
      set_config('statement_timeout', '${STATEMENT_TIMEOUT}', true)`,
    // A token may name a role of the services; it sees what nobody sees.
    values: [isServiceRoleName(role) ? "anon" : role],
    prepare: true,
  };
}

function setClaims({ claims, subject }: VerifiedToken): Statement {
  return {
    // No row: the claims need not come back.
    text: `/* setClaims */ select where set_config('request.jwt.claims', $1, true) is null
      or set_config('request.jwt.claim.sub', $2, true) is null`,
    values: [claims, subject],
    prepare: true,
  };
}

function selectVisible({ table, keys, token }: VisibilityQuestion): Statement {
  return {
    text: `/* readVisible */ select wanted.position ${fromKeys(table)}`,
    values: keys.map(arrayLiteral),
    prepare: true,
    planRole: token.role,
  };
}

/** Rows of the table whose keys are in the parameters, one array for each key column. */
function fromKeys({ sqlName, primaryKey }: Table): string {
  const arrays = primaryKey.map(({ sqlType }, index) => `$${index + 1}::${sqlType}[]`);
  const names = primaryKey.map((_column, index) => `key${index}`);
  const equal = primaryKey.map(({ name }, index) => `changed.${quoteName(name)} = wanted.key${index}`);
  return `from unnest(${arrays.join(", ")}) with ordinality as wanted (${names.join(", ")}, position)
    join ${sqlName} changed on ${equal.join(" and ")}`;
}

// ---- values that the stream does not have ------------------------------------------------------------------------------

/** Generated columns of rows, which pgoutput leaves out. By row, then in the order of the columns; undefined: not found. */
export async function readGenerated(
  database: ProjectDatabase,
  { table, keys }: KeyList,
  columns: readonly Column[],
): Promise<readonly (readonly (string | null)[] | undefined)[]> {
  const names = columns.map(({ name }) => `changed.${quoteName(name)}::text`);
  const [, result] = await database.pipeline([
    becomeRole("service_role"),
    {
      text: `/* readGenerated */ select wanted.position, ${names.join(", ")} ${fromKeys(table)}`,
      values: keys.map(arrayLiteral),
      prepare: true,
    },
  ]);
  const rows: (readonly (string | null)[] | undefined)[] = new Array(keys[0]?.length ?? 0);
  for (const [position, ...values] of result?.rows ?? []) rows[Number(position) - 1] = values;
  return rows;
}

/** Values of one type as `to_jsonb` writes them. */
export async function convertValues(
  database: ProjectDatabase,
  { sqlType }: Column,
  values: readonly string[],
): Promise<readonly string[]> {
  const [, result] = await database.pipeline([
    becomeRole("anon"),
    {
      text: `/* convertValues */ select to_jsonb(value::${sqlType})::text
        from unnest($1::text[]) with ordinality as given (value, position) order by position`,
      values: [arrayLiteral(values)],
      prepare: true,
    },
  ]);
  return values.map((value, index) => result?.rows[index]?.[0] ?? JSON.stringify(value));
}

/** Whether filters hold for values, both as texts; one statement for each column and operator. */
export async function testFilters(
  database: ProjectDatabase,
  questions: readonly { readonly compiled: CompiledFilter; readonly value: string | null }[],
): Promise<readonly boolean[]> {
  const groups = new Map<string, number[]>();
  questions.forEach(({ compiled }, position) => {
    const text = comparison(compiled);
    const positions = groups.get(text);
    if (positions) positions.push(position);
    else groups.set(text, [position]);
  });
  const statements = [...groups].map(
    ([text, positions]): Statement => ({
      text: `/* testFilters */ select coalesce(${text}, false)
      from unnest($1::text[], $2::text[]) with ordinality as given (value, wanted, position) order by position`,
      values: [
        arrayLiteral(positions.map((position) => questions[position]?.value ?? null)),
        arrayLiteral(
          positions.map((position) => wantedOf((questions[position] as { compiled: CompiledFilter }).compiled)),
        ),
      ],
      prepare: true,
    }),
  );
  const results = await database.pipeline([becomeRole("anon"), ...statements]);
  const answers: boolean[] = new Array(questions.length).fill(false);
  [...groups.values()].forEach((positions, group) => {
    positions.forEach((position, row) => {
      answers[position] = results[group + 1]?.rows[row]?.[0] === "t";
    });
  });
  return answers;
}

function wantedOf({ filter }: CompiledFilter): string {
  return filter.operator === "in" ? arrayLiteral(filter.values) : (filter.values[0] ?? "");
}

/** SQL over `value` and `wanted`, with the column's type and collation. */
function comparison({ filter, column }: CompiledFilter): string {
  const { operator, isNegated } = filter;
  const isPattern = operator === "like" || operator === "ilike" || operator === "match" || operator === "imatch";
  const type = column.sqlType;
  const collate = column.collation === null ? "" : ` collate ${column.collation}`;
  const value = `value::${type}${collate}`;
  let text: string;
  if (operator === "in") text = `${value} = any (wanted::${type}[])`;
  else if (isPattern) text = `value::${type} ${OPERATORS[operator]} wanted`;
  else text = `${value} ${OPERATORS[operator]} wanted::${type}`;
  return isNegated ? `not (${text})` : `(${text})`;
}

/** Asks the database whether it takes a filter's value and operator. @throws {DatabaseError} when it does not. */
export async function checkFilter(database: ProjectDatabase, compiled: CompiledFilter): Promise<void> {
  await database.pipeline([
    becomeRole("anon"),
    {
      text: `/* checkFilter */ select ${comparison(compiled)} from (values ($1::text, $2::text)) as given (value, wanted)`,
      // With a null a pattern would not even be looked at.
      values: [/^i?(?:like|match)$/.test(compiled.filter.operator) ? "" : null, wantedOf(compiled)],
      prepare: false,
    },
  ]);
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
