/** What a project has done over time: traffic by service, how fast it was answered, sizes, sessions and users. */
import { Link, useSearch } from "@tanstack/react-router";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { useQuery } from "../graphql/hooks.ts";
import { Page } from "../shell/page.tsx";
import { useProject } from "../shell/project-layout.tsx";
import { Chart } from "../ui/chart.tsx";
import { formatBytes, formatNumber } from "../ui/format.ts";
import { ErrorState, Loading, Stale } from "../ui/state.tsx";
import { ProjectMetricsDocument } from "./generated/operations.ts";
import styles from "./monitoring.module.css";
import { RANGES, type Range, rangeOf, spanOf } from "./ranges.ts";
import { type Line, largest, latest, linesByService, type Metrics, sumLine, total } from "./series.ts";

const NAMES = [
  "REQUESTS",
  "CLIENT_ERRORS",
  "SERVER_ERRORS",
  "LATENCY_P50",
  "LATENCY_P95",
  "BYTES_IN",
  "BYTES_OUT",
  "SOCKETS",
  "MESSAGES",
  "DATABASE_BYTES",
  "STORAGE_BYTES",
  "CONNECTIONS",
  "ACTIVE_USERS",
] as const;

/** Gateways report every ten seconds. */
const READ_AGAIN_MS = 15_000;

export function MonitoringPage() {
  const { ref, name } = useProject();
  const { range: chosen } = useSearch({ strict: false });
  const range = rangeOf(chosen);
  const now = useNow(READ_AGAIN_MS);
  const span = useMemo(() => spanOf(range, now), [range, now]);
  const variables = { ref, names: [...NAMES], ...span, stepSeconds: range.stepSeconds };
  const { data, error, refetch, isFetching } = useQuery(ProjectMetricsDocument, variables);
  const shown = useLast(data?.project.metrics, range.id);

  return (
    <Page
      title="Monitoring"
      documentTitle={`Monitoring of ${name}`}
      lead={`Traffic of the ${range.words} as the gateways counted it; sizes are measured every five minutes while the project is used.`}
      actions={<RangePicker current={range} />}
    >
      {error && !shown ? <ErrorState error={error} onRetry={refetch} what="project" /> : null}
      {!shown && !error ? <Loading what="the project’s traffic" /> : null}
      {shown ? (
        <Stale isStale={isFetching && !data}>
          <Charts metrics={shown} range={range} />
        </Stale>
      ) : null}
    </Page>
  );
}

function RangePicker({ current }: { readonly current: Range }) {
  return (
    <nav aria-label="Span of time" className={styles.ranges}>
      {RANGES.map(({ id, label, words }) => (
        <Link
          key={id}
          to="."
          search={{ range: id }}
          replace
          aria-label={`${label}: the ${words}`}
          aria-current={id === current.id ? "true" : undefined}
          className={styles.range ?? ""}
        >
          {label}
        </Link>
      ))}
    </nav>
  );
}

function Charts({ metrics, range }: { readonly metrics: Metrics; readonly range: Range }) {
  const requests = linesByService(metrics, "REQUESTS");
  const errors = [
    ...sumLine(metrics, "SERVER_ERRORS", "5xx: failed here"),
    ...sumLine(metrics, "CLIENT_ERRORS", "4xx: refused"),
  ];
  const latency = linesByService(metrics, "LATENCY_P95");
  const median = linesByService(metrics, "LATENCY_P50");
  const bytes = [...sumLine(metrics, "BYTES_OUT", "out"), ...sumLine(metrics, "BYTES_IN", "in")];
  const sockets = sumLine(metrics, "SOCKETS", "sockets");
  const messages = sumLine(metrics, "MESSAGES", "messages");
  const database = sumLine(metrics, "DATABASE_BYTES", "database");
  const storage = sumLine(metrics, "STORAGE_BYTES", "files");
  const connections = sumLine(metrics, "CONNECTIONS", "sessions");
  const users = sumLine(metrics, "ACTIVE_USERS", "users");
  const chart = { metrics, range };
  return (
    <div className={styles.charts}>
      <Panel {...chart} title="Requests" figure={formatNumber(total(requests))} lines={requests} format={formatCount} />
      <Panel
        {...chart}
        title="Errors"
        figure={formatNumber(total(errors))}
        lines={total(errors) > 0 ? errors : []}
        nothing="No request has failed or was refused."
        format={formatCount}
      />
      <Panel
        {...chart}
        title="Time to answer, 95 of 100"
        figure={textOf(largest(latency), formatMs)}
        lines={latency}
        format={formatMs}
      />
      <Panel
        {...chart}
        title="Time to answer, half"
        figure={textOf(largest(median), formatMs)}
        lines={median}
        format={formatMs}
      />
      <Panel {...chart} title="Bytes" figure={formatBytes(total(bytes))} lines={bytes} format={formatBytes} />
      <Panel
        {...chart}
        title="Realtime sockets"
        figure={textOf(largest(sockets), formatNumber)}
        lines={(largest(sockets) ?? 0) > 0 ? sockets : []}
        nothing="No socket was open."
        format={formatCount}
      />
      <Panel
        {...chart}
        title="Realtime messages"
        figure={formatNumber(total(messages))}
        lines={total(messages) > 0 ? messages : []}
        nothing="No message went through a socket."
        format={formatCount}
      />
      <Panel
        {...chart}
        title="Database sessions"
        figure={textOf(largest(connections), formatNumber)}
        lines={connections}
        nothing="Not measured in this time."
        format={formatCount}
      />
      <Panel
        {...chart}
        title="Database size"
        figure={textOf(latest(database), formatBytes)}
        lines={database}
        nothing="Not measured in this time."
        format={formatBytes}
      />
      <Panel
        {...chart}
        title="Files"
        figure={textOf(latest(storage), formatBytes)}
        lines={(latest(storage) ?? 0) > 0 ? storage : []}
        nothing="No files are stored."
        format={formatBytes}
      />
      <Panel
        {...chart}
        title="Users of this month"
        figure={textOf(latest(users), formatNumber)}
        lines={(largest(users) ?? 0) > 0 ? users : []}
        nothing="Nobody has signed in this month, as far as was counted; it is counted every hour."
        format={formatCount}
      />
    </div>
  );
}

function Panel({
  title,
  figure,
  lines,
  nothing = "No requests in this time.",
  format,
  metrics,
  range,
}: {
  readonly title: string;
  readonly figure: string;
  readonly lines: readonly Line[];
  readonly nothing?: string;
  readonly format: (value: number) => string;
  readonly metrics: Metrics;
  readonly range: Range;
}) {
  const isEmpty = largest(lines) === null;
  return (
    <section className={styles.panel} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {isEmpty ? null : <output>{figure}</output>}
      </header>
      {isEmpty ? (
        <Nothing>{nothing}</Nothing>
      ) : (
        <Chart
          label={`${title}, ${range.words}`}
          startAt={new Date(metrics.startAt)}
          stepSeconds={metrics.stepSeconds}
          lines={lines}
          format={format}
        />
      )}
    </section>
  );
}

function Nothing({ children }: { readonly children: ReactNode }) {
  return <p className={styles.nothing}>{children}</p>;
}

function textOf(value: number | null, format: (value: number) => string): string {
  return value === null ? "" : format(value);
}

function formatCount(value: number): string {
  return Number.isInteger(value) ? formatNumber(value) : "";
}

function formatMs(ms: number): string {
  if (ms >= 1_000) return `${formatNumber(Math.round(ms / 100) / 10)} s`;
  return `${ms < 10 ? formatNumber(Math.round(ms * 10) / 10) : formatNumber(Math.round(ms))} ms`;
}

/** The time, moved on while the page is seen. */
function useNow(everyMs: number): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNow(Date.now());
    }, everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** What was shown last of the same kind stays until there is more. */
function useLast<Value>(value: Value | undefined, kind: string): Value | undefined {
  const [last, setLast] = useState<{ kind: string; value: Value } | null>(null);
  useEffect(() => {
    if (value !== undefined) setLast({ kind, value });
  }, [value, kind]);
  return value ?? (last?.kind === kind ? last.value : undefined);
}
