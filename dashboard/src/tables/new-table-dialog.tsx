/** A new table by form: the SQL stands beside it and is what runs. */
import { X } from "lucide-react";
import { useState } from "react";
import { useMutation } from "../graphql/hooks.ts";
import { useProject } from "../shell/project-layout.tsx";
import { RunSqlDocument } from "../sql/generated/operations.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Checkbox, Switch, TextField } from "../ui/field.tsx";
import { CodeView } from "../ui/parts.tsx";
import { InlineError } from "../ui/state.tsx";
import { createTableSql, type NewColumn } from "./table-sql.ts";
import styles from "./tables.module.css";

const FIRST: readonly NewColumn[] = [
  { name: "id", type: "bigint", isKey: true, notNull: true, defaultSql: "generated always as identity" },
  { name: "created_at", type: "timestamptz", isKey: false, notNull: true, defaultSql: "now()" },
];

export function NewTableDialog({
  schema,
  onClose,
  onCreated,
}: {
  readonly schema: string;
  readonly onClose: () => void;
  readonly onCreated: (name: string) => void;
}) {
  const { ref } = useProject();
  const [name, setName] = useState("");
  const [columns, setColumns] = useState(FIRST);
  const [rls, setRls] = useState(true);
  const runSql = useMutation(RunSqlDocument);
  const set = (index: number, change: Partial<NewColumn>) =>
    setColumns(columns.map((column, at) => (at === index ? { ...column, ...change } : column)));
  const sql = createTableSql({ schema, name, columns, rls });
  const create = async () => {
    if (name === "" || runSql.isRunning) return;
    const { error } = await runSql.run({
      input: { ref, sql, role: "USER", readOnly: false, rollback: false, maxRows: 0, maxBytes: 0, timeoutMs: 30_000 },
    });
    if (!error) onCreated(name);
  };
  return (
    <Dialog
      title="New table"
      isOpen
      isWide
      onClose={onClose}
      onSubmit={create}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" isDisabled={name === ""} isPending={runSql.isRunning}>
            Create table
          </Button>
        </>
      }
    >
      <TextField label="Name" mono value={name} onChange={setName} autoFocus />
      <div className={styles.columns}>
        {columns.map((column, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a column has no other identity while it is named
          <div key={index} className={styles.column}>
            <TextField label="Column" mono value={column.name} onChange={(value) => set(index, { name: value })} />
            <TextField label="Type" mono value={column.type} onChange={(type) => set(index, { type })} />
            <TextField
              label="Default"
              mono
              value={column.defaultSql}
              onChange={(defaultSql) => set(index, { defaultSql })}
            />
            <Checkbox label="Key" isSelected={column.isKey} onChange={(isKey) => set(index, { isKey })} />
            <Checkbox label="Not NULL" isSelected={column.notNull} onChange={(notNull) => set(index, { notNull })} />
            <IconButton
              label={`Remove ${column.name}`}
              onPress={() => setColumns(columns.filter((_, at) => at !== index))}
            >
              <X aria-hidden />
            </IconButton>
          </div>
        ))}
      </div>
      <Button
        onPress={() =>
          setColumns([...columns, { name: "", type: "text", isKey: false, notNull: false, defaultSql: "" }])
        }
      >
        Add column
      </Button>
      <Switch
        isSelected={rls}
        onChange={setRls}
        help={
          rls
            ? "No policy yet: only the owner and the service role see rows."
            : "Everybody with rights on the table sees all rows."
        }
      >
        Row-level security
      </Switch>
      <CodeView label="SQL of the table" code={sql} />
      <InlineError error={runSql.error} />
    </Dialog>
  );
}
