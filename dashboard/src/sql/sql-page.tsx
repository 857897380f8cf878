/** The SQL editor: tabs whose drafts survive everything, all results of a run, the error at its place. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { History, Play, Plus, Square, X } from "lucide-react";
import { lazy, type RefObject, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ActingAs } from "../acting/acting-as.tsx";
import { identityName, parseIdentity } from "../acting/identity.ts";
import { data as dataClient } from "../graphql/client.ts";
import type { AppError } from "../graphql/errors.ts";
import { ask, useMutation } from "../graphql/hooks.ts";
import { NeedsActive, NeedsRole, useProject } from "../shell/project-layout.tsx";
import { keysLabel } from "../shell/shortcuts.ts";
import { useViewer } from "../shell/viewer.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Checkbox, Select } from "../ui/field.tsx";
import { plural, visible } from "../ui/format.ts";
import { Ago } from "../ui/parts.tsx";
import { EmptyState, InlineError, Loading } from "../ui/state.tsx";
import { toastFailure } from "../ui/toast.tsx";
import type { CodeEditorHandle } from "./code-editor.tsx";
import { CancelSqlDocument, RunSqlDocument, SqlCompletionDocument } from "./generated/operations.ts";
import { type ShownRun, SqlResults } from "./results.tsx";
import styles from "./sql.module.css";
import {
  emptyDraft,
  forgetDraft,
  loadDrafts,
  loadHistory,
  newId,
  remember,
  type SqlDraft,
  type SqlRun,
  saveDraft,
} from "./sql-drafts.ts";
import { statementAt } from "./statement-at.ts";

const CodeEditor = lazy(() => import("./code-editor.tsx"));

const ROW_LIMITS = ["100", "1000", "10000"] as const;
const MAX_BYTES = 16_000_000;

export function SqlPage() {
  return (
    <NeedsRole least="DEVELOPER" what="the SQL editor">
      <NeedsActive>
        <SqlEditor />
      </NeedsActive>
    </NeedsRole>
  );
}

interface Names {
  readonly relations: Record<string, Record<string, string[]>>;
  readonly functions: readonly string[];
}

function SqlEditor() {
  const { ref, name } = useProject();
  const { id: accountId } = useViewer();
  const { as } = useSearch({ strict: false }) as { as?: string };
  const navigate = useNavigate();
  const { drafts, current, select, write, add, close } = useDrafts(accountId, ref);
  const [isReadOnly, setReadOnly] = useState(false);
  const [maxRows, setMaxRows] = useState<(typeof ROW_LIMITS)[number]>("1000");
  const [runs, setRuns] = useState<Readonly<Record<string, ShownRun>>>({});
  const [running, setRunning] = useState<{ readonly draftId: string; readonly executionId: string } | null>(null);
  const [isHistoryOpen, setHistoryOpen] = useState(false);
  const editor = useRef<CodeEditorHandle>(null);
  const runSql = useMutation(RunSqlDocument);
  const cancelSql = useMutation(CancelSqlDocument);
  const names = useNames(ref);

  useEffect(() => {
    document.title = `SQL of ${name} · Supalove`;
  }, [name]);

  const run = async (text: string, offset: number, mode: "run" | "dry" | "explain" | "analyze") => {
    if (!current || running || text.trim() === "") return;
    const executionId = newId();
    const draftId = current.id;
    setRunning({ draftId, executionId });
    const { role, userId } = parseIdentity(as);
    const prefix =
      mode === "explain"
        ? "explain (format json, verbose) "
        : mode === "analyze"
          ? "explain (analyze, buffers, format json) "
          : "";
    const startedAt = Date.now();
    const { data, error } = await runSql.run({
      input: {
        ref,
        sql: prefix + text,
        role,
        userId,
        // Measuring a plan executes it: what it changes is taken back.
        rollback: mode === "dry" || mode === "analyze",
        readOnly: isReadOnly,
        maxRows: Number(maxRows),
        maxBytes: MAX_BYTES,
        executionId,
      },
    });
    setRunning(null);
    const position = typeof error?.details.position === "number" ? error.details.position - 1 - prefix.length : null;
    setRuns((known) => ({
      ...known,
      [draftId]: {
        script: current.sql,
        mode,
        as: identityName(as),
        result: data?.runSql ?? null,
        error,
        errorAt: position === null ? null : offset + Math.max(position, 0),
      },
    }));
    const rows = data?.runSql.results.reduce((sum, { rowCount }) => sum + (rowCount ?? 0), 0) ?? null;
    const durationMs = data?.runSql.durationMs ?? Date.now() - startedAt;
    void remember(accountId, ref, {
      sql: text,
      at: startedAt,
      durationMs,
      rows,
      error: error?.message ?? null,
      as: identityName(as),
    }).catch(() => undefined);
    if (mode === "run" && !error && /\b(create|alter|drop)\b/i.test(text)) names.refetch();
  };
  const chosen = () => {
    const selected = editor.current?.selection() ?? "";
    return selected.trim() !== ""
      ? { text: selected, offset: editor.current?.selectionStart() ?? 0 }
      : { text: current?.sql ?? "", offset: 0 };
  };
  const runChosen = (mode: "run" | "dry" | "explain" | "analyze") => {
    const { text, offset } = chosen();
    void run(text, offset, mode);
  };
  const cancel = async () => {
    if (!running) return;
    const { error } = await cancelSql.run({ ref, executionId: running.executionId });
    if (error) toastFailure(error.message);
  };

  const shown = current ? runs[current.id] : undefined;
  const isStale = shown !== undefined && shown.script !== current?.sql;
  const mark = useMemo(
    () =>
      shown?.error && shown.errorAt !== null && !isStale
        ? { position: shown.errorAt, message: shown.error.message }
        : null,
    [shown, isStale],
  );

  if (!drafts || !current) return <Loading what="your queries" />;
  return (
    <div className={styles.page}>
      <div className={styles.tabs}>
        <h1>SQL</h1>
        {drafts.map((draft) => (
          <span key={draft.id} className={styles.tab} data-current={draft.id === current.id}>
            <Button
              variant="ghost"
              size="small"
              {...(draft.id === current.id ? { "aria-current": "true" as const } : {})}
              onPress={() => select(draft.id)}
            >
              {draft.name}
            </Button>
            <IconButton label={`Close ${draft.name}`} size="small" onPress={() => close(draft.id)}>
              <X aria-hidden />
            </IconButton>
          </span>
        ))}
        <IconButton label="New query" onPress={() => add("")}>
          <Plus aria-hidden />
        </IconButton>
        <IconButton label="History" onPress={() => setHistoryOpen(true)}>
          <History aria-hidden />
        </IconButton>
      </div>
      <div className={styles.editorPane}>
        <Suspense fallback={<Loading what="the editor" />}>
          <CodeEditor
            key={current.id}
            ref={editor as RefObject<CodeEditorHandle>}
            label={`SQL of ${current.name}`}
            value={current.sql}
            onChange={write}
            schema={names.schema}
            mark={mark}
            onRun={() => runChosen("run")}
            onRunStatement={() => {
              const { text, offset } = statementAt(current.sql, editor.current?.cursor() ?? 0);
              void run(text, offset, "run");
            }}
            onExplain={() => runChosen("analyze")}
          />
        </Suspense>
      </div>
      <div className={styles.bar} role="toolbar" aria-label="Run">
        {running ? (
          <Button variant="danger" onPress={cancel}>
            <Square aria-hidden /> Cancel
          </Button>
        ) : (
          <Button variant="primary" onPress={() => runChosen("run")}>
            <Play aria-hidden /> Run {keysLabel("$mod+Enter")}
          </Button>
        )}
        <Button isDisabled={running !== null} onPress={() => runChosen("explain")}>
          Explain
        </Button>
        <Button isDisabled={running !== null} onPress={() => runChosen("dry")}>
          Dry run
        </Button>
        <Checkbox label="Read-only" isSelected={isReadOnly} onChange={setReadOnly} />
        <ActingAs
          projectRef={ref}
          value={as}
          onChange={(next) =>
            void navigate({ to: "/projects/$ref/sql", params: { ref }, search: next ? { as: next } : {} })
          }
        />
        <Select
          label="Rows shown of each result"
          isCompact
          value={maxRows}
          onChange={setMaxRows}
          choices={ROW_LIMITS.map((value) => ({ value, label: `${Number(value).toLocaleString("en-US")} rows` }))}
        />
        <span className={styles.barEnd}>
          <bdi>{visible(name)}</bdi> as {identityName(as)}
        </span>
      </div>
      <div className={styles.results} aria-busy={running !== null}>
        <InlineError error={names.error} />
        {running && running.draftId === current.id ? (
          <p role="status" className={styles.quiet}>
            Running as {identityName(as)}…
          </p>
        ) : null}
        {shown ? (
          <div className={isStale ? styles.stale : undefined}>
            {isStale ? <p className={styles.quiet}>Of the text as it was when it ran.</p> : null}
            <SqlResults run={shown} name={current.name} />
          </div>
        ) : running ? null : (
          <EmptyState title="Nothing has run yet">
            {keysLabel("$mod+Enter")} runs the selection or everything, {keysLabel("Alt+Enter")} the statement at the
            cursor.
          </EmptyState>
        )}
      </div>
      {isHistoryOpen ? (
        <HistoryDialog
          accountId={accountId}
          projectRef={ref}
          onClose={() => setHistoryOpen(false)}
          onOpen={(text) => {
            setHistoryOpen(false);
            add(text);
          }}
        />
      ) : null}
    </div>
  );
}

function useNames(ref: string) {
  const [names, setNames] = useState<Names | null>(null);
  const [error, setError] = useState<AppError | null>(null);
  const refetch = useCallback(() => {
    ask(dataClient, SqlCompletionDocument, { ref }, "network-only").then(
      ({ project }) => {
        setNames(project.catalog.completion as Names);
        setError(null);
      },
      (reason: AppError) => setError(reason),
    );
  }, [ref]);
  useEffect(refetch, [refetch]);
  const schema = useMemo(() => {
    const relations = names?.relations ?? {};
    return {
      ...relations,
      ...relations.public,
      ...Object.fromEntries((names?.functions ?? []).map((each) => [each, []])),
    };
  }, [names]);
  return { schema, error, refetch };
}

/** Each keystroke is written to the device at once; a reload or a crash finds everything as it was. */
function useDrafts(accountId: string, ref: string) {
  const [drafts, setDrafts] = useState<readonly SqlDraft[] | null>(null);
  const [currentId, setCurrentId] = useState<string | null>(null);
  useEffect(() => {
    let isGone = false;
    loadDrafts(accountId, ref)
      .catch(() => [])
      .then((found) => {
        if (isGone) return;
        const known = found.length > 0 ? found : [emptyDraft([])];
        setDrafts(known);
        setCurrentId(known.at(-1)?.id ?? null);
      });
    return () => {
      isGone = true;
    };
  }, [accountId, ref]);
  const current = drafts?.find(({ id }) => id === currentId) ?? drafts?.at(-1);
  const keep = (draft: SqlDraft) =>
    void saveDraft(accountId, ref, draft).catch(() =>
      toastFailure("This browser keeps no drafts: save your text elsewhere."),
    );
  return {
    drafts,
    current,
    select: setCurrentId,
    write: (sql: string) => {
      if (!current) return;
      const draft = { ...current, sql };
      setDrafts((known) => (known ?? []).map((each) => (each.id === draft.id ? draft : each)));
      keep(draft);
    },
    add: (sql: string) => {
      const draft = { ...emptyDraft(drafts ?? []), sql };
      setDrafts([...(drafts ?? []), draft]);
      setCurrentId(draft.id);
      keep(draft);
    },
    close: (id: string) => {
      const left = (drafts ?? []).filter((each) => each.id !== id);
      const closed = drafts?.find((each) => each.id === id);
      setDrafts(left.length > 0 ? left : [emptyDraft([])]);
      void forgetDraft(accountId, ref, id);
      // What was in it stays in the history, so a slip of the hand loses nothing.
      if (closed && closed.sql.trim() !== "")
        void remember(accountId, ref, {
          sql: closed.sql,
          at: Date.now(),
          durationMs: 0,
          rows: null,
          error: null,
          as: "closed",
        });
    },
  };
}

function HistoryDialog({
  accountId,
  projectRef,
  onClose,
  onOpen,
}: {
  readonly accountId: string;
  readonly projectRef: string;
  readonly onClose: () => void;
  readonly onOpen: (sql: string) => void;
}) {
  const [history, setHistory] = useState<readonly SqlRun[] | null>(null);
  useEffect(() => {
    loadHistory(accountId, projectRef).then(setHistory, () => setHistory([]));
  }, [accountId, projectRef]);
  return (
    <Dialog title="History" isOpen isWide onClose={onClose}>
      <p className={styles.quiet}>The last hundred runs and closed tabs, kept on this device.</p>
      {history?.length === 0 ? <p>Nothing has run yet.</p> : null}
      <ul className={styles.history}>
        {history?.map((run) => (
          <li key={`${run.at} ${run.sql}`}>
            <code>{visible(run.sql.slice(0, 200))}</code>
            <span className={styles.quiet}>
              <Ago at={new Date(run.at).toISOString()} /> · as {run.as} · {Math.round(run.durationMs)} ms
              {run.error ? ` · ${visible(run.error)}` : run.rows === null ? "" : ` · ${plural(run.rows, "row")}`}
            </span>
            <span>
              <Button size="small" onPress={() => onOpen(run.sql)}>
                Open in a new tab
              </Button>
            </span>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
