/** A new row: each column has its value, NULL, or the default of the table. */
import { useState } from "react";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { visible } from "../ui/format.ts";
import type { Values } from "./staged.ts";
import type { ShownRelation } from "./table-view.tsx";
import styles from "./tables.module.css";

type Mode = "default" | "null" | "value";

export function InsertDialog({
  relation,
  onClose,
  onStage,
}: {
  readonly relation: ShownRelation;
  readonly onClose: () => void;
  readonly onStage: (values: Values) => void;
}) {
  const [modes, setModes] = useState<Readonly<Record<string, Mode>>>({});
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const columns = relation.columns.filter(({ isGenerated }) => !isGenerated);
  const stage = () =>
    onStage(
      Object.fromEntries(
        columns.flatMap(({ name }) => {
          const mode = modes[name] ?? "default";
          return mode === "default" ? [] : [[name, mode === "null" ? null : (texts[name] ?? "")]];
        }),
      ),
    );
  return (
    <Dialog
      title={`New row of ${visible(relation.name)}`}
      isOpen
      isWide
      onClose={onClose}
      onSubmit={stage}
      actions={
        <>
          <Button onPress={onClose}>Cancel</Button>
          <Button variant="primary" type="submit">
            Keep row
          </Button>
        </>
      }
    >
      <div className={styles.columns}>
        {columns.map(({ name, type, notNull, defaultSql, isIdentity }) => {
          const mode = modes[name] ?? "default";
          const byDefault = isIdentity ? "identity" : (defaultSql ?? "NULL");
          return (
            <div key={name} className={styles.column}>
              <TextField
                label={`${visible(name)} · ${visible(type)}`}
                mono
                value={mode === "value" ? (texts[name] ?? "") : ""}
                placeholder={mode === "null" ? "NULL" : visible(byDefault)}
                onChange={(text) => {
                  setTexts({ ...texts, [name]: text });
                  setModes({ ...modes, [name]: "value" });
                }}
              />
              <Select
                label={`What ${visible(name)} gets`}
                isCompact
                value={mode}
                onChange={(next: Mode) => setModes({ ...modes, [name]: next })}
                choices={[
                  { value: "default", label: "Default" },
                  { value: "value", label: "Value" },
                  ...(notNull ? [] : [{ value: "null" as const, label: "NULL" }]),
                ]}
              />
            </div>
          );
        })}
      </div>
    </Dialog>
  );
}
