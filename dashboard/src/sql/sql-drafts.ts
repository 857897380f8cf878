/** Tabs of the SQL editor and the history of runs, kept on the device: nothing that was typed is lost. Pure but for the store. */
import { listDrafts, readDraft, removeDraft, writeDraft } from "../shell/drafts.ts";

export interface SqlDraft {
  readonly id: string;
  readonly name: string;
  readonly sql: string;
  /** Milliseconds since the epoch. */
  readonly openedAt: number;
}

export interface SqlRun {
  readonly sql: string;
  readonly at: number;
  readonly durationMs: number;
  readonly rows: number | null;
  readonly error: string | null;
  readonly as: string;
}

const MAX_HISTORY = 100;
/** Of one remembered run; a longer script is remembered by its beginning. */
const MAX_REMEMBERED_CHARACTERS = 100_000;

const tabPrefix = (ref: string) => `sql:${ref}:`;
const historyKey = (ref: string) => `sql-history:${ref}`;

/** Random also where `crypto.randomUUID` is missing, as on plain http. */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export function emptyDraft(known: readonly SqlDraft[]): SqlDraft {
  const numbers = known.map(({ name }) => Number(/^Query (\d+)$/.exec(name)?.[1] ?? 0));
  return { id: newId(), name: `Query ${Math.max(0, ...numbers) + 1}`, sql: "", openedAt: Date.now() };
}

export async function loadDrafts(accountId: string, ref: string): Promise<SqlDraft[]> {
  const found = await listDrafts<SqlDraft>(accountId, tabPrefix(ref));
  return found.map(([, draft]) => draft).sort((one, other) => one.openedAt - other.openedAt);
}

export function saveDraft(accountId: string, ref: string, draft: SqlDraft): Promise<void> {
  return writeDraft(accountId, tabPrefix(ref) + draft.id, draft);
}

export function forgetDraft(accountId: string, ref: string, id: string): Promise<void> {
  return removeDraft(accountId, tabPrefix(ref) + id);
}

export async function loadHistory(accountId: string, ref: string): Promise<SqlRun[]> {
  return (await readDraft<SqlRun[]>(accountId, historyKey(ref))) ?? [];
}

/** Newest first. */
export async function remember(accountId: string, ref: string, run: SqlRun): Promise<SqlRun[]> {
  const kept = { ...run, sql: run.sql.slice(0, MAX_REMEMBERED_CHARACTERS) };
  const history = [kept, ...(await loadHistory(accountId, ref))].slice(0, MAX_HISTORY);
  await writeDraft(accountId, historyKey(ref), history);
  return history;
}
