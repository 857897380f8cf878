/** Rows of values in a table that draws only what is in view; each value is text, NULL and empty are told apart. */
import { useCallback, useRef, useState } from "react";
import { visible } from "./format.ts";
import styles from "./result-grid.module.css";

export interface ResultGridProps {
  readonly label: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly rows: readonly (readonly unknown[])[];
}

const ROW_HEIGHT = 28;
const AROUND = 20;
const SHOWN_CHARACTERS = 300;
const HEIGHT = 420;

export function ResultGrid({ label, columns, rows }: ResultGridProps) {
  const [top, setTop] = useState(0);
  const place = useRef<HTMLElement>(null);
  const onScroll = useCallback(() => setTop(place.current?.scrollTop ?? 0), []);
  const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - AROUND);
  const last = Math.min(rows.length, Math.ceil((top + HEIGHT) / ROW_HEIGHT) + AROUND);
  return (
    <section
      ref={place}
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
      tabIndex={0}
      className={styles.scroll}
      onScroll={onScroll}
    >
      <table className={styles.grid} aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            {columns.map(({ name, type }, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: columns of a result may share their names
              <th key={index} scope="col">
                <bdi>{visible(name)}</bdi> <small>{visible(type)}</small>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {first > 0 ? <Gap rows={first} columns={columns.length} /> : null}
          {rows.slice(first, last).map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a row of a result has no other identity
            <tr key={first + index} aria-rowindex={first + index + 2}>
              {row.map((value, column) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: as above
                <td key={column}>
                  <Value value={value} />
                </td>
              ))}
            </tr>
          ))}
          {last < rows.length ? <Gap rows={rows.length - last} columns={columns.length} /> : null}
        </tbody>
      </table>
    </section>
  );
}

function Gap({ rows, columns }: { readonly rows: number; readonly columns: number }) {
  return (
    <tr aria-hidden>
      <td colSpan={Math.max(columns, 1)} height={rows * ROW_HEIGHT} />
    </tr>
  );
}

export function Value({ value }: { readonly value: unknown }) {
  if (value === null || value === undefined) return <span className={styles.mark}>NULL</span>;
  if (value === "") return <span className={styles.mark}>empty</span>;
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  const shown = text.slice(0, SHOWN_CHARACTERS);
  return (
    <span className={styles.value}>
      <bdi>{visible(shown)}</bdi>
      {text.length > shown.length ? "…" : ""}
    </span>
  );
}
