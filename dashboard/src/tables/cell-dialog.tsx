/** One value, whole: text, JSON or a reference, with NULL and the empty text as choices of their own. */
import { useState } from "react";
import type { ActingRole } from "../acting/identity.ts";
import { useQuery } from "../graphql/hooks.ts";
import { useProject } from "../shell/project-layout.tsx";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Checkbox, Select, TextField } from "../ui/field.tsx";
import { formatBytes, visible } from "../ui/format.ts";
import { CodeView } from "../ui/parts.tsx";
import { InlineError, Loading } from "../ui/state.tsx";
import { CellDocument, TableRowsDocument } from "./generated/operations.ts";
import type { GridCell } from "./row-grid.tsx";
import type { Values } from "./staged.ts";
import type { ShownRelation } from "./table-view.tsx";
import styles from "./tables.module.css";

/** Larger values are shown and not edited: a field of this size would make the page slow. */
const MAX_EDITED_CHARACTERS = 1_000_000;

export interface CellDialogProps {
  readonly relation: ShownRelation;
  readonly column: ShownRelation["columns"][number] | undefined;
  readonly cell: GridCell | undefined;
  readonly rowKey: Values;
  readonly actAs: { readonly role: ActingRole; readonly userId: string | null };
  readonly isReadOnly: boolean;
  readonly onClose: () => void;
  /** @param old the whole value as it was. */
  readonly onStage: (old: string | null, value: string | null) => void;
}

export function CellDialog(props: CellDialogProps) {
  const { relation, column, cell, rowKey, actAs, onClose } = props;
  const { ref } = useProject();
  const isCut = cell !== undefined && cell.cut !== null;
  const { data, error } = useQuery(
    CellDocument,
    {
      ref,
      input: { schema: relation.schema, relation: relation.name, column: column?.name ?? "", key: rowKey, actAs },
    },
    { pause: !isCut || relation.rowKey.length === 0, policy: "network-only" },
  );
  if (!column || !cell) return null;
  const whole = isCut ? data?.project.cell : cell.value;
  if (isCut && !data) {
    return (
      <Dialog title={visible(column.name)} isOpen isWide onClose={onClose}>
        {error ? (
          <InlineError error={error} />
        ) : relation.rowKey.length === 0 ? (
          <p>Without a key the whole value cannot be read here.</p>
        ) : (
          <Loading what="the whole value" />
        )}
      </Dialog>
    );
  }
  return <ValueEditor {...props} column={column} whole={whole ?? null} />;
}

function ValueEditor({
  relation,
  column,
  whole,
  isReadOnly,
  onClose,
  onStage,
}: Omit<CellDialogProps, "column" | "cell"> & {
  readonly column: ShownRelation["columns"][number];
  readonly whole: string | null;
}) {
  const [text, setText] = useState(whole ?? "");
  const [isNull, setNull] = useState(whole === null);
  const isLarge = (whole?.length ?? 0) > MAX_EDITED_CHARACTERS;
  const isJson = column.type === "json" || column.type === "jsonb";
  const problem = isJson && !isNull && text !== "" ? jsonProblem(text) : null;
  const reference = relation.foreignKeys.find(({ columns }) => columns.length === 1 && columns[0] === column.name);
  if (isReadOnly || isLarge) {
    return (
      <Dialog title={visible(column.name)} isOpen isWide onClose={onClose}>
        {isLarge ? <p>{formatBytes(whole?.length ?? 0)}: too large to be edited here.</p> : null}
        {whole === null ? (
          <p>NULL</p>
        ) : (
          <CodeView label={`Value of ${column.name}`} code={whole.slice(0, MAX_EDITED_CHARACTERS)} />
        )}
      </Dialog>
    );
  }
  return (
    <Dialog
      title={visible(column.name)}
      isOpen
      isWide
      onClose={onClose}
      onSubmit={() => onStage(whole, isNull ? null : text)}
      actions={
        <>
          {isJson ? (
            <Button isDisabled={problem !== null || isNull} onPress={() => setText(formatted(text))}>
              Format
            </Button>
          ) : null}
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit">
            Keep change
          </Button>
        </>
      }
    >
      <Checkbox label="NULL" isSelected={isNull} onChange={setNull} isDisabled={column.notNull} />
      {column.enumValues ? (
        <Select
          label={column.type}
          value={text}
          isDisabled={isNull}
          onChange={setText}
          choices={column.enumValues.map((value) => ({ value, label: visible(value) }))}
        />
      ) : (
        <TextField
          label={column.type}
          mono
          rows={isJson || text.length > 60 || text.includes("\n") ? 14 : 3}
          value={text}
          isDisabled={isNull}
          onChange={setText}
          error={problem}
          autoFocus
        />
      )}
      {reference ? (
        <ReferencePicker
          reference={reference}
          onPick={(value) => {
            setNull(false);
            setText(value);
          }}
        />
      ) : null}
    </Dialog>
  );
}

/** Rows of the table that is referred to; whoever knows more types the value. */
function ReferencePicker({
  reference,
  onPick,
}: {
  readonly reference: ShownRelation["foreignKeys"][number];
  readonly onPick: (value: string) => void;
}) {
  const { ref } = useProject();
  const { schema, relation, referencedColumns } = reference;
  const { data, error } = useQuery(TableRowsDocument, { ref, input: { schema, relation, limit: 20 } });
  const page = data?.project.tableRows;
  const at = page?.columns.indexOf(referencedColumns[0] ?? "") ?? -1;
  return (
    <section aria-label={`Rows of ${relation}`}>
      <h3>
        Rows of <bdi>{visible(`${schema}.${relation}`)}</bdi>
      </h3>
      <InlineError error={error} />
      <ul className={styles.changes}>
        {(page?.rows as (string | null)[][] | undefined)?.map((row) => (
          <li key={row[at] ?? ""}>
            <Button variant="ghost" size="small" onPress={() => onPick(row[at] ?? "")}>
              <bdi>
                {visible(
                  row
                    .slice(0, 4)
                    .map((value) => (value ?? "NULL").slice(0, 60))
                    .join(" · "),
                )}
              </bdi>
            </Button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function jsonProblem(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Numbers that JavaScript would round stay as they are: then nothing is formatted. */
function formatted(text: string): string {
  if (/\d{16,}/.test(text)) return text;
  return JSON.stringify(JSON.parse(text), null, 2);
}
