/**
 * The grid of a table's rows, as a spreadsheet is used: arrows move, Enter edits, Tab commits and moves on. One tab stop;
 * the pattern of ARIA's grid. It edits nothing by itself: every change is staged by the page.
 */
import { ArrowDown, ArrowUp, KeyRound, Link2, Lock } from "lucide-react";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { copyText } from "../ui/copy.tsx";
import { cx } from "../ui/cx.ts";
import { formatBytes, visible } from "../ui/format.ts";
import styles from "./tables.module.css";
import type { Sort } from "./view-address.ts";

export interface GridColumn {
  readonly name: string;
  readonly type: string;
  readonly isKey: boolean;
  readonly isLocked: boolean;
  readonly isForeign: boolean;
}

export interface GridCell {
  readonly value: string | null;
  readonly isChanged: boolean;
  /** Not here whole: 0 when its beginning is, else its stored bytes; null when it is whole. */
  readonly cut: number | null;
}

export interface GridRow {
  readonly id: string;
  readonly cells: readonly GridCell[];
  readonly isDeleted: boolean;
}

export interface RowGridProps {
  readonly label: string;
  readonly columns: readonly GridColumn[];
  readonly rows: readonly GridRow[];
  readonly sorts: readonly Sort[];
  /** Why nothing can be edited; null when it can. */
  readonly readOnlyBecause: string | null;
  readonly onSort: (column: string, isAdded: boolean) => void;
  readonly onEdit: (row: number, column: number, value: string | null) => void;
  readonly onOpen: (row: number, column: number) => void;
  readonly onDelete: (row: number) => void;
}

const SHOWN_CHARACTERS = 200;

export function RowGrid(props: RowGridProps) {
  const { label, columns, rows, sorts, readOnlyBecause } = props;
  const [place, setPlace] = useState<readonly [number, number]>([0, 0]);
  const [editing, setEditing] = useState<string | null>(null);
  const grid = useRef<HTMLTableElement>(null);
  const hasFocus = useRef(false);
  const row = Math.min(place[0], Math.max(rows.length - 1, 0));
  const column = Math.min(place[1], Math.max(columns.length - 1, 0));

  useEffect(() => {
    if (!hasFocus.current || editing !== null) return;
    grid.current?.querySelector<HTMLElement>(`[data-place="${row}:${column}"]`)?.focus();
  }, [row, column, editing]);

  const move = (rowBy: number, columnBy: number) =>
    setPlace([
      Math.max(0, Math.min(rows.length - 1, row + rowBy)),
      Math.max(0, Math.min(columns.length - 1, column + columnBy)),
    ]);
  const cell = rows[row]?.cells[column];
  const isLocked = readOnlyBecause !== null || (columns[column]?.isLocked ?? true) || (rows[row]?.isDeleted ?? true);
  const beginEdit = () => {
    if (!cell) return;
    if (isLocked || cell.cut !== null || cell.value?.includes("\n")) props.onOpen(row, column);
    else setEditing(cell.value ?? "");
  };
  const commit = () => {
    if (editing === null || !cell) return;
    // NULL that was not touched stays NULL; it does not become an empty text.
    if (!(cell.value === null && editing === "")) props.onEdit(row, column, editing);
    setEditing(null);
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const { key } = event;
    const mod = event.ctrlKey || event.metaKey;
    const handled = editing === null ? onCellKey(key, mod) : onEditKey(key, event.shiftKey);
    if (handled) {
      event.preventDefault();
      event.stopPropagation();
    }
  };
  const onCellKey = (key: string, mod: boolean): boolean => {
    const far = mod ? Number.MAX_SAFE_INTEGER : 1;
    if (key === "ArrowDown") move(far, 0);
    else if (key === "ArrowUp") move(-far, 0);
    else if (key === "ArrowRight") move(0, far);
    else if (key === "ArrowLeft") move(0, -far);
    else if (key === "PageDown") move(20, 0);
    else if (key === "PageUp") move(-20, 0);
    else if (key === "Home") move(0, -Number.MAX_SAFE_INTEGER);
    else if (key === "End") move(0, Number.MAX_SAFE_INTEGER);
    else if (key === "Enter" || key === "F2") beginEdit();
    else if (key === " ") props.onOpen(row, column);
    else if (mod && key === "Backspace") {
      if (readOnlyBecause === null) props.onDelete(row);
    } else if ((key === "Delete" || key === "Backspace") && !isLocked) props.onEdit(row, column, null);
    else if (mod && key === "c") void copyText(cell?.value ?? "");
    else return false;
    return true;
  };
  const onEditKey = (key: string, isShift: boolean): boolean => {
    if (key === "Escape") setEditing(null);
    else if (key === "Enter") {
      commit();
      move(1, 0);
    } else if (key === "Tab") {
      commit();
      move(0, isShift ? -1 : 1);
    } else return false;
    return true;
  };

  return (
    <div className={styles.gridScroll}>
      <table
        ref={grid}
        // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: ARIA's pattern for a table that is edited
        role="grid"
        aria-label={label}
        aria-rowcount={-1}
        className={styles.grid}
        onKeyDown={onKeyDown}
        onFocus={() => {
          hasFocus.current = true;
        }}
        onBlur={(event) => {
          hasFocus.current = event.currentTarget.contains(event.relatedTarget) || editing !== null;
        }}
      >
        <thead>
          <tr>
            {columns.map(({ name, type, isKey, isForeign, isLocked: locked }) => {
              const sort = sorts.find((each) => each.column === name);
              return (
                <th key={name} scope="col" aria-sort={sort ? (sort.descending ? "descending" : "ascending") : "none"}>
                  <button
                    type="button"
                    tabIndex={-1}
                    className={styles.head}
                    onClick={(event) => props.onSort(name, event.shiftKey)}
                  >
                    {isKey ? <KeyRound aria-label="Key" size={12} /> : null}
                    {isForeign ? <Link2 aria-label="Reference" size={12} /> : null}
                    {locked ? <Lock aria-label="Generated" size={12} /> : null}
                    <bdi>{visible(name)}</bdi> <small>{visible(type)}</small>
                    {sort ? (
                      sort.descending ? (
                        <ArrowDown aria-hidden size={12} />
                      ) : (
                        <ArrowUp aria-hidden size={12} />
                      )
                    ) : null}
                  </button>
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {rows.map((each, rowIndex) => (
            <tr key={each.id} className={cx(each.isDeleted && styles.deleted)}>
              {each.cells.map((value, columnIndex) => {
                const isHere = rowIndex === row && columnIndex === column;
                return (
                  // biome-ignore lint/a11y/useKeyWithClickEvents: the grid above hears the keys of all cells
                  <td
                    // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its column
                    key={columnIndex}
                    // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: as the table above
                    role="gridcell"
                    data-place={`${rowIndex}:${columnIndex}`}
                    tabIndex={isHere ? 0 : -1}
                    aria-selected={isHere}
                    className={cx(value.isChanged && styles.changed)}
                    onClick={() => {
                      hasFocus.current = true;
                      if (!isHere && editing !== null) commit();
                      setPlace([rowIndex, columnIndex]);
                    }}
                    onDoubleClick={beginEdit}
                  >
                    {isHere && editing !== null ? (
                      <input
                        className={styles.input}
                        aria-label={`${columns[columnIndex]?.name}, row ${rowIndex + 1}`}
                        value={editing}
                        // biome-ignore lint/a11y/noAutofocus: the person has just asked to edit this cell
                        autoFocus
                        spellCheck={false}
                        onChange={(event) => setEditing(event.target.value)}
                        onBlur={commit}
                      />
                    ) : (
                      <CellText cell={value} />
                    )}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function CellText({ cell: { value, cut } }: { readonly cell: GridCell }) {
  if (value === null) return <span className={styles.mark}>NULL</span>;
  if (cut) return <span className={styles.mark}>⟨{formatBytes(cut)}⟩</span>;
  if (value === "") return <span className={styles.mark}>empty</span>;
  const isLonger = cut !== null || value.length > SHOWN_CHARACTERS;
  return (
    <>
      <bdi>{visible(value.slice(0, SHOWN_CHARACTERS))}</bdi>
      {isLonger ? "…" : ""}
    </>
  );
}
