/** Filters of a table: each one can be taken away, also when its column is gone; a form adds another. */
import { Filter as FilterIcon, X } from "lucide-react";
import { useState } from "react";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Select, TextField } from "../ui/field.tsx";
import { visible } from "../ui/format.ts";
import styles from "./tables.module.css";
import { type Filter, OPERATORS, type Operator } from "./view-address.ts";

export function FilterBar({
  columns,
  filters,
  onChange,
}: {
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly filters: readonly Filter[];
  readonly onChange: (filters: readonly Filter[]) => void;
}) {
  const [isAdding, setAdding] = useState(false);
  const [column, setColumn] = useState(columns[0]?.name ?? "");
  const [operator, setOperator] = useState<Operator>("eq");
  const [value, setValue] = useState("");
  const needsValue = operator !== "null" && operator !== "notnull";
  return (
    <>
      <Button onPress={() => setAdding(true)}>
        <FilterIcon aria-hidden /> Filter
      </Button>
      {filters.map((filter, index) => {
        const isGone = !columns.some(({ name }) => name === filter.column);
        const text = `${filter.column} ${OPERATORS[filter.operator].sign} ${filter.value}`.trim();
        return (
          <Button
            // biome-ignore lint/suspicious/noArrayIndexKey: two filters may be alike
            key={index}
            size="small"
            aria-label={`Remove filter ${visible(text)}${isGone ? ", whose column is gone" : ""}`}
            onPress={() => onChange(filters.filter((_, at) => at !== index))}
          >
            <span className={isGone ? styles.struck : undefined}>{visible(text)}</span> <X aria-hidden />
          </Button>
        );
      })}
      {isAdding ? (
        <Dialog
          title="Filter rows"
          isOpen
          onClose={() => setAdding(false)}
          onSubmit={() => {
            onChange([...filters, { column, operator, value: needsValue ? value : "" }]);
            setValue("");
            setAdding(false);
          }}
          actions={
            <>
              <Button onPress={() => setAdding(false)}>Cancel</Button>
              <Button variant="primary" type="submit">
                Filter
              </Button>
            </>
          }
        >
          <Select
            label="Column"
            value={column}
            onChange={setColumn}
            choices={columns.map(({ name, type }) => ({ value: name, label: visible(name), help: visible(type) }))}
          />
          <Select
            label="Condition"
            value={operator}
            onChange={setOperator}
            choices={(Object.keys(OPERATORS) as Operator[]).map((each) => ({
              value: each,
              label: OPERATORS[each].sign,
            }))}
          />
          {needsValue ? <TextField label="Value" mono value={value} onChange={setValue} autoFocus /> : null}
        </Dialog>
      ) : null}
    </>
  );
}
