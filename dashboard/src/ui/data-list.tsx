/** Lists of things: a table where there is space, a card for each thing where there is not. Never more than a page. */
import { ChevronLeft, ChevronRight } from "lucide-react";
import type { ReactNode } from "react";
import { IconButton } from "./button.tsx";
import { cx } from "./cx.ts";
import styles from "./data-list.module.css";

export interface Column<Item> {
  readonly id: string;
  readonly title: string;
  readonly cell: (item: Item) => ReactNode;
  readonly align?: "end";
  /** Of a card: its name (`primary`), before it (`check`), at the corner (`corner`); otherwise a line below. */
  readonly place?: "primary" | "check" | "corner";
  /** As wide as its content. */
  readonly isNarrow?: boolean;
  /** Takes the room that is left; what is longer is cut. */
  readonly isGrowing?: boolean;
  readonly isQuiet?: boolean;
  /** The title is for screen readers only. */
  readonly isTitleHidden?: boolean;
}

export interface DataListProps<Item> {
  readonly label: string;
  readonly items: readonly Item[];
  readonly keyOf: (item: Item) => string;
  readonly columns: readonly Column<Item>[];
}

export function DataList<Item>({ label, items, keyOf, columns }: DataListProps<Item>) {
  return (
    <div className={styles.scroll}>
      <table className={styles.table} aria-label={label}>
        <thead>
          <tr>
            {columns.map(({ id, title, align, isNarrow, isTitleHidden }) => (
              <th key={id} scope="col" className={cx(align && styles[align], isNarrow && styles.narrow)}>
                {isTitleHidden ? <span className="visually-hidden">{title}</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {items.map((item) => (
            <tr key={keyOf(item)}>
              {columns.map(({ id, title, cell, align, place, isNarrow, isGrowing, isQuiet, isTitleHidden }) => (
                <td
                  key={id}
                  className={cx(
                    align && styles[align],
                    place && styles[place],
                    isNarrow && styles.narrow,
                    isGrowing && styles.grows,
                    isQuiet && styles.quiet,
                    place === "primary" && styles.name,
                  )}
                >
                  {isTitleHidden ? null : (
                    <span aria-hidden className={styles.cellLabel}>
                      {title}
                    </span>
                  )}
                  {cell(item)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export interface PageInfo {
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
  readonly startCursor?: string | null;
  readonly endCursor?: string | null;
}

/** The place of a page in the address: after or before a cursor, or the first one. */
export interface PagePlace {
  readonly after?: string | undefined;
  readonly before?: string | undefined;
}

/** Arguments of a connection for this place. */
export function pageArguments({ after, before }: PagePlace, size: number) {
  return before ? { last: size, before } : { first: size, ...(after ? { after } : {}) };
}

export function Pager({
  pageInfo,
  onMove,
  children,
}: {
  readonly pageInfo: PageInfo;
  readonly onMove: (place: PagePlace) => void;
  readonly children?: ReactNode;
}) {
  const { hasNextPage, hasPreviousPage, startCursor, endCursor } = pageInfo;
  return (
    <div className={styles.pager}>
      {children}
      {hasNextPage || hasPreviousPage ? (
        <>
          <IconButton
            label="Previous page"
            isDisabled={!hasPreviousPage}
            onPress={() => onMove({ before: startCursor ?? undefined })}
          >
            <ChevronLeft aria-hidden />
          </IconButton>
          <IconButton
            label="Next page"
            isDisabled={!hasNextPage}
            onPress={() => onMove({ after: endCursor ?? undefined })}
          >
            <ChevronRight aria-hidden />
          </IconButton>
        </>
      ) : null}
    </div>
  );
}
