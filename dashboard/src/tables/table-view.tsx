/** One table: its rows with filters, sort and staged edits; its structure; its policies. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { ChevronLeft, ChevronRight, Plus, RefreshCw } from "lucide-react";
import { useEffect, useState } from "react";
import { ActingAs } from "../acting/acting-as.tsx";
import { identityName, parseIdentity } from "../acting/identity.ts";
import { data as dataClient } from "../graphql/client.ts";
import type { AppError } from "../graphql/errors.ts";
import { ask, useMutation, useQuery } from "../graphql/hooks.ts";
import { readDraft, removeDraft, writeDraft } from "../shell/drafts.ts";
import { useProject } from "../shell/project-layout.tsx";
import { useViewer } from "../shell/viewer.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { cx } from "../ui/cx.ts";
import { Segmented } from "../ui/field.tsx";
import { formatNumber, plural, visible } from "../ui/format.ts";
import { Badge, EmptyState, ErrorState, Loading, Stale } from "../ui/state.tsx";
import { toast, toastFailure } from "../ui/toast.tsx";
import { approximately } from "./approximately.ts";
import { CellDialog } from "./cell-dialog.tsx";
import { FilterBar } from "./filter-bar.tsx";
import { ChangeRowsDocument, CountRowsDocument, RelationDocument, TableRowsDocument } from "./generated/operations.ts";
import { InsertDialog } from "./insert-dialog.tsx";
import { ReviewDialog } from "./review-dialog.tsx";
import { type GridRow, RowGrid } from "./row-grid.tsx";
import {
  countStaged,
  keyText,
  NOTHING,
  type Staged,
  stageCell,
  stageDelete,
  stageInsert,
  toInput,
  type Values,
} from "./staged.ts";
import { Structure } from "./structure.tsx";
import styles from "./tables.module.css";
import { formatFilters, formatSort, OPERATORS, parseFilters, parseSort, pressSort } from "./view-address.ts";

const PAGE_SIZE = 100;

interface ViewSearch {
  readonly filter?: string;
  readonly sort?: string;
  readonly after?: string;
  readonly before?: string;
  readonly as?: string;
  readonly view?: string;
}

export function TableView({ schema, table }: { readonly schema: string; readonly table: string }) {
  const { ref } = useProject();
  const search = useSearch({ strict: false }) as ViewSearch;
  const { data, error, refetch } = useQuery(RelationDocument, { ref, schema, name: table });
  const navigate = useNavigate();
  if (error && !data) return <ErrorState error={error} onRetry={refetch} what="table" />;
  if (!data) return <Loading what={`the table ${table}`} />;
  const { relation } = data.project.catalog;
  const go = (change: Partial<Record<keyof ViewSearch, string | undefined>>) =>
    void navigate({
      to: "/projects/$ref/tables/$schema/$table",
      params: { ref, schema, table },
      search: { ...search, ...change } as never,
    });
  const view = search.view === "structure" || search.view === "policies" ? search.view : "data";
  return (
    <>
      <div className={styles.head1}>
        <h1>
          <bdi>{visible(table)}</bdi>
        </h1>
        <Badge tone={relation.rls ? "success" : "warning"}>{relation.rls ? "RLS on" : "RLS off"}</Badge>
        <span>{plural(relation.policies.length, "policy", "policies")}</span>
        <span>{approximately(relation.estimatedRows)}</span>
        <Segmented
          label="View"
          isLabelHidden
          value={view}
          onChange={(next) => go({ view: next === "data" ? undefined : next })}
          choices={[
            { value: "data", label: "Data" },
            { value: "structure", label: "Structure" },
            { value: "policies", label: "Policies" },
          ]}
        />
      </div>
      {view === "data" ? (
        <Rows relation={relation} search={search} go={go} />
      ) : (
        <Structure relation={relation} view={view} onChanged={refetch} />
      )}
    </>
  );
}

export type ShownRelation = NonNullable<
  ReturnType<NonNullable<(typeof RelationDocument)["types"]>>
>["project"]["catalog"]["relation"];

function Rows({
  relation,
  search,
  go,
}: {
  readonly relation: ShownRelation;
  readonly search: ViewSearch;
  readonly go: (change: Partial<Record<keyof ViewSearch, string | undefined>>) => void;
}) {
  const { ref } = useProject();
  const { schema, name: relationName, rowKey } = relation;
  const { staged, stage, undo, discard } = useStaged(ref, schema, relationName);
  const [opened, setOpened] = useState<readonly [number, number] | null>(null);
  const [isInserting, setInserting] = useState(false);
  const [isReviewing, setReviewing] = useState(false);
  const [count, setCount] = useState<{ readonly of: string; readonly rows: number } | null>(null);
  const [failure, setFailure] = useState<AppError | null>(null);
  const change = useMutation(ChangeRowsDocument);

  const filters = parseFilters(search.filter);
  const sorts = parseSort(search.sort);
  const names = relation.columns.map(({ name }) => name);
  const usable = filters.filter(({ column }) => names.includes(column));
  const { role, userId } = parseIdentity(search.as);
  const actAs = { role, userId };
  const input = {
    schema,
    relation: relationName,
    filters: usable.map(({ column, operator, value }) => ({ column, operator: OPERATORS[operator].api, value })),
    sort: sorts.filter(({ column }) => names.includes(column)),
    after: search.after ?? null,
    before: search.before ?? null,
    limit: PAGE_SIZE,
    actAs,
  };
  const rows = useQuery(TableRowsDocument, { ref, input });
  const page = rows.data?.project.tableRows;
  const viewKey = JSON.stringify([input.filters, actAs]);
  const who = identityName(search.as);

  const keys = (page?.keys ?? []) as Values[];
  const texts = (page?.rows ?? []) as (string | null)[][];
  const cut = new Map(
    ((page?.cut ?? []) as [number, number, number][]).map(([row, column, bytes]) => [`${row}:${column}`, bytes]),
  );
  const shown: GridRow[] = texts.map((row, index) => {
    const key = keys[index] ?? {};
    const id = rowKey.length > 0 ? keyText(key) : String(index);
    const update = staged.updates[id];
    return {
      id,
      isDeleted: id in staged.deletes,
      cells: row.map((value, column) => {
        const name = names[column] ?? "";
        const isChanged = update !== undefined && name in update.new;
        return {
          value: isChanged ? (update.new[name] ?? null) : value,
          isChanged,
          cut: isChanged ? null : (cut.get(`${index}:${column}`) ?? null),
        };
      }),
    };
  });
  const readOnlyBecause = relation.kind.includes("view")
    ? "a view is read only here"
    : rowKey.length === 0
      ? "the table has no key that names a row"
      : null;
  const stageAt = (row: number, column: number, old: string | null, value: string | null) => {
    const key = keys[row];
    const name = names[column];
    if (key && name !== undefined) stage(stageCell(staged, key, name, old, value));
  };
  const total = countStaged(staged);

  const save = async () => {
    if (total === 0 || change.isRunning) return;
    setFailure(null);
    const { data, error } = await change.run({
      input: { ref, schema, relation: relationName, ...toInput(staged), actAs },
    });
    if (error) {
      setFailure(error);
      setReviewing(true);
      return;
    }
    const { inserted, updated, deleted } = data.changeRows;
    toast(`${plural(inserted + updated + deleted, "row")} saved as ${who}.`);
    setReviewing(false);
    discard();
    rows.refetch();
  };
  const countExactly = async () => {
    try {
      const { project } = await ask(dataClient, CountRowsDocument, { ref, input }, "network-only");
      setCount({ of: viewKey, rows: project.countRows });
    } catch (reason) {
      toastFailure(`Not counted: ${(reason as AppError).message}`);
    }
  };

  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || document.querySelector("[role=dialog], [role=alertdialog]")) return;
      if (event.key === "s") void save();
      else if (event.key === ".") setReviewing(total > 0);
      else if (event.key === "z" && !(event.target instanceof HTMLInputElement)) undo();
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  });

  return (
    <>
      <div className={styles.bar} role="toolbar" aria-label="Rows">
        <FilterBar
          columns={relation.columns}
          filters={filters}
          onChange={(next) => go({ filter: formatFilters(next), after: undefined, before: undefined })}
        />
        <ActingAs
          projectRef={ref}
          value={search.as}
          onChange={(as) => go({ as, after: undefined, before: undefined })}
        />
        <IconButton label="Read again" onPress={rows.refetch}>
          <RefreshCw aria-hidden />
        </IconButton>
        {relation.kind.includes("view") ? null : (
          <Button onPress={() => setInserting(true)}>
            <Plus aria-hidden /> Insert row
          </Button>
        )}
      </div>
      <div className={styles.body}>
        {rows.error && !page ? <ErrorState error={rows.error} onRetry={rows.refetch} what="table" /> : null}
        {!page && !rows.error ? <Loading what={`rows of ${relationName}`} /> : null}
        {page && texts.length > 0 ? (
          <Stale isStale={rows.isFetching}>
            <RowGrid
              label={`Rows of ${relationName}`}
              columns={relation.columns.map(({ name, type, isGenerated }) => ({
                name,
                type,
                isKey: rowKey.includes(name),
                isLocked: isGenerated,
                isForeign: relation.foreignKeys.some(({ columns }) => columns.includes(name)),
              }))}
              rows={shown}
              sorts={sorts}
              readOnlyBecause={readOnlyBecause}
              onSort={(column, isAdded) =>
                go({ sort: formatSort(pressSort(sorts, column, isAdded)), after: undefined, before: undefined })
              }
              onEdit={(row, column, value) => stageAt(row, column, texts[row]?.[column] ?? null, value)}
              onOpen={(row, column) => setOpened([row, column])}
              onDelete={(row) => keys[row] && stage(stageDelete(staged, keys[row]))}
            />
          </Stale>
        ) : null}
        {page && texts.length === 0 ? (
          <div className={styles.padded}>
            {page.hidden ? (
              <EmptyState
                title={`0 of ${page.hidden.visibleToOwner >= 1000 ? "1,000 or more" : plural(page.hidden.visibleToOwner, "row")} are visible to ${who}`}
              >
                {page.hidden.rls
                  ? page.hidden.policies.length === 0
                    ? "Row-level security is on and no policy admits SELECT."
                    : `Row-level security is on; these policies were looked at: ${page.hidden.policies.map(({ name, roles }) => visible(`${name} (${roles.join(", ")})`)).join("; ")}.`
                  : "The filters of the view or rights on the table hide them."}
              </EmptyState>
            ) : filters.length > 0 ? (
              <EmptyState
                title="No row matches the filters"
                actions={<Button onPress={() => go({ filter: undefined })}>Clear filters</Button>}
              />
            ) : (
              <EmptyState title="No rows" />
            )}
          </div>
        ) : null}
      </div>
      {total > 0 ? (
        <div className={cx(styles.foot, styles.staged)} role="status">
          <span>{plural(total, "change")} not saved</span>
          <Button size="small" onPress={() => setReviewing(true)}>
            Review
          </Button>
          <Button size="small" variant="primary" isPending={change.isRunning} onPress={save}>
            Save as {who}
          </Button>
          <Button size="small" onPress={undo}>
            Undo
          </Button>
          <Button size="small" onPress={discard}>
            Discard
          </Button>
        </div>
      ) : null}
      <div className={styles.foot}>
        <span>
          {page ? plural(texts.length, "row") : ""} ·{" "}
          {count?.of === viewKey
            ? `${formatNumber(count.rows)} in all`
            : approximately(relation.estimatedRows) || "not counted"}
        </span>
        <Button size="small" onPress={countExactly}>
          Count
        </Button>
        <IconButton
          label="Previous page"
          isDisabled={!page?.startCursor}
          onPress={() => go({ before: page?.startCursor ?? undefined, after: undefined })}
        >
          <ChevronLeft aria-hidden />
        </IconButton>
        <IconButton
          label="Next page"
          isDisabled={!page?.endCursor}
          onPress={() => go({ after: page?.endCursor ?? undefined, before: undefined })}
        >
          <ChevronRight aria-hidden />
        </IconButton>
        {readOnlyBecause ? <span>Rows cannot be edited: {readOnlyBecause}.</span> : null}
      </div>
      {opened ? (
        <CellDialog
          relation={relation}
          column={relation.columns[opened[1]]}
          cell={shown[opened[0]]?.cells[opened[1]]}
          rowKey={keys[opened[0]] ?? {}}
          actAs={actAs}
          isReadOnly={readOnlyBecause !== null || Boolean(relation.columns[opened[1]]?.isGenerated)}
          onClose={() => setOpened(null)}
          onStage={(old, value) => {
            stageAt(opened[0], opened[1], old, value);
            setOpened(null);
          }}
        />
      ) : null}
      {isInserting ? (
        <InsertDialog
          relation={relation}
          onClose={() => setInserting(false)}
          onStage={(values) => {
            stage(stageInsert(staged, values));
            setInserting(false);
          }}
        />
      ) : null}
      {isReviewing ? (
        <ReviewDialog
          schema={schema}
          relation={relationName}
          staged={staged}
          who={who}
          error={failure}
          isRunning={change.isRunning}
          onClose={() => {
            setReviewing(false);
            setFailure(null);
          }}
          onSave={save}
        />
      ) : null}
    </>
  );
}

const MAX_UNDO = 100;

/** Kept on the device at every change, so that a reload or a crash loses no edit. */
function useStaged(ref: string, schema: string, relation: string) {
  const { id: accountId } = useViewer();
  const [history, setHistory] = useState<readonly Staged[]>([NOTHING]);
  const staged = history.at(-1) ?? NOTHING;
  const draftKey = `rows:${ref}:${JSON.stringify([schema, relation])}`;
  useEffect(() => {
    readDraft<Staged>(accountId, draftKey).then(
      (kept) => kept && setHistory([NOTHING, kept]),
      () => undefined,
    );
  }, [accountId, draftKey]);
  const keep = (next: Staged) =>
    void (countStaged(next) > 0 ? writeDraft(accountId, draftKey, next) : removeDraft(accountId, draftKey)).catch(
      () => undefined,
    );
  return {
    staged,
    stage: (next: Staged) => {
      setHistory([...history, next].slice(-MAX_UNDO));
      keep(next);
    },
    undo: () => {
      if (history.length < 2) return;
      const left = history.slice(0, -1);
      setHistory(left);
      keep(left.at(-1) ?? NOTHING);
    },
    discard: () => {
      setHistory([NOTHING]);
      keep(NOTHING);
    },
  };
}
