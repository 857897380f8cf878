/** Smaller parts that pages are made of: pairs of name and value, code, tabs, steps, times. */
import { ArrowRight, Check, Circle, LoaderCircle, TriangleAlert } from "lucide-react";
import { Fragment, type ReactNode } from "react";
import { Tabs as AriaTabs, Tab, TabList, TabPanel } from "react-aria-components/Tabs";
import { CopyButton } from "./copy.tsx";
import { cx } from "./cx.ts";
import { formatAgo, formatDateTime, visible } from "./format.ts";
import styles from "./parts.module.css";

/** Rows of name and value; null rows are left out. */
export function KeyValue({ rows }: { readonly rows: readonly (readonly [string, ReactNode] | null)[] }) {
  return (
    <dl className={styles.keyValue}>
      {rows.map((row) =>
        row ? (
          <div key={row[0]}>
            <dt>{row[0]}</dt>
            <dd>{row[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}

/** A name that somebody else chose: kept apart from the direction and the control characters of its surroundings. */
export function Name({ children }: { readonly children: string }) {
  return <bdi>{visible(children)}</bdi>;
}

export function CodeView({ code, label }: { readonly code: string; readonly label: string }) {
  return (
    <div className={styles.code}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      <section tabIndex={0} aria-label={label}>
        <pre>{code}</pre>
      </section>
      <CopyButton text={code} label={`Copy ${label}`} />
    </div>
  );
}

export function JsonView({ value, label }: { readonly value: unknown; readonly label: string }) {
  return <CodeView label={label} code={visibleLines(JSON.stringify(value, null, 2) ?? "null")} />;
}

function visibleLines(text: string): string {
  return text.split("\n").map(visible).join("\n");
}

export interface TabItem {
  readonly id: string;
  readonly title: ReactNode;
  readonly content: ReactNode;
}

export function Tabs({
  label,
  items,
  selected,
  onSelect,
}: {
  readonly label: string;
  readonly items: readonly TabItem[];
  readonly selected?: string;
  readonly onSelect?: (id: string) => void;
}) {
  return (
    <AriaTabs
      {...(selected === undefined ? {} : { selectedKey: selected })}
      {...(onSelect ? { onSelectionChange: (key) => onSelect(String(key)) } : {})}
    >
      <TabList aria-label={label} className={styles.tabList ?? ""}>
        {items.map(({ id, title }) => (
          <Tab key={id} id={id} className={styles.tab ?? ""}>
            {title}
          </Tab>
        ))}
      </TabList>
      {items.map(({ id, content }) => (
        <TabPanel key={id} id={id} className={styles.panel ?? ""}>
          {content}
        </TabPanel>
      ))}
    </AriaTabs>
  );
}

export interface Step {
  readonly name: string;
  readonly state: "done" | "running" | "next" | "failed" | "waiting";
}

const STEP_ICONS = {
  done: <Check aria-hidden color="var(--success)" />,
  running: <LoaderCircle aria-hidden color="var(--info)" />,
  next: <ArrowRight aria-hidden color="var(--accent)" />,
  failed: <TriangleAlert aria-hidden />,
  waiting: <Circle aria-hidden color="var(--text-3)" />,
};

export function Steps({ label, steps }: { readonly label: string; readonly steps: readonly Step[] }) {
  return (
    <ol aria-label={label} className={styles.steps}>
      {steps.map(({ name, state }) => (
        <li
          key={name}
          className={cx(state === "failed" && styles.failed)}
          {...(state === "running" || state === "next" ? { "aria-current": "step" as const } : {})}
        >
          {STEP_ICONS[state]}
          <span>
            {name}
            <span className="visually-hidden">, {state}</span>
          </span>
        </li>
      ))}
    </ol>
  );
}

/** How long ago; the exact time is its title. */
export function Ago({ at, never = "never" }: { readonly at: string | null | undefined; readonly never?: string }) {
  if (!at) return <Fragment>{never}</Fragment>;
  const date = new Date(at);
  return (
    <time dateTime={at} title={formatDateTime(date)}>
      {formatAgo(date)}
    </time>
  );
}
