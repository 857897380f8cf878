/** Who did what, when and from where: filtered by the address, exported as CSV page by page. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Download } from "lucide-react";
import { useState } from "react";
import type { AppError } from "../graphql/errors.ts";
import { Toolbar } from "../shell/page.tsx";
import { Button } from "../ui/button.tsx";
import { DataList, type PageInfo, type PagePlace, Pager } from "../ui/data-list.tsx";
import { DelayedSearchField, Select } from "../ui/field.tsx";
import { formatDateTime, visible } from "../ui/format.ts";
import { Name } from "../ui/parts.tsx";
import { EmptyState, ErrorState, Loading } from "../ui/state.tsx";
import styles from "./audit.module.css";
import { toCsv } from "./csv.ts";

export interface AuditEntry {
  readonly id: string;
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly projectRef?: string | null;
  readonly details: unknown;
  readonly ipAddress?: string | null;
}

export interface AuditSearch extends PagePlace {
  readonly actor?: string;
  readonly action?: string;
  readonly since?: string;
}

export const AUDIT_PAGE_SIZE = 50;

const SINCE = [
  { value: "any", label: "Any time" },
  { value: "1", label: "Last hour" },
  { value: "24", label: "Last 24 hours" },
  { value: "168", label: "Last 7 days" },
  { value: "720", label: "Last 30 days" },
] as const;

/** Of the address. The time is cut to the minute, so that the question stays the same while it is answered. */
export function useAuditFilter() {
  const search = useSearch({ strict: false }) as AuditSearch;
  const [now] = useState(() => Math.floor(Date.now() / 60_000) * 60_000);
  const hours = Number(search.since);
  const filter = {
    actor: search.actor ?? null,
    action: search.action ?? null,
    from: Number.isFinite(hours) && hours > 0 ? new Date(now - hours * 3_600_000).toISOString() : null,
  };
  return { search, filter };
}

export function AuditLog({
  log,
  error,
  onRetry,
  showsProject = false,
  what,
}: {
  readonly log: { readonly pageInfo: PageInfo; readonly edges: readonly { readonly node: AuditEntry }[] } | undefined;
  readonly error: AppError | null;
  readonly onRetry: () => void;
  readonly showsProject?: boolean;
  readonly what: string;
}) {
  const { search } = useAuditFilter();
  const navigate = useNavigate();
  const go = (change: Partial<Record<keyof AuditSearch, string | undefined>>) =>
    void navigate({
      to: ".",
      search: { ...search, after: undefined, before: undefined, ...change } as never,
      replace: true,
    });
  const entries = log?.edges.map(({ node }) => node);
  const isFiltered = Boolean(search.actor || search.action || search.since);
  return (
    <>
      <Toolbar>
        <DelayedSearchField
          label="Part of an action"
          value={search.action ?? ""}
          onChange={(action) => go({ action })}
        />
        <DelayedSearchField
          label="Who"
          placeholder="Who: part of an e-mail"
          value={search.actor ?? ""}
          onChange={(actor) => go({ actor })}
        />
        <Select
          label="When"
          isCompact
          value={SINCE.find(({ value }) => value === search.since)?.value ?? "any"}
          onChange={(since) => go({ since: since === "any" ? undefined : since })}
          choices={SINCE}
        />
        {entries && entries.length > 0 ? (
          <Button onPress={() => download(entries)}>
            <Download aria-hidden /> CSV of this page
          </Button>
        ) : null}
        {log ? <Pager pageInfo={log.pageInfo} onMove={(place) => go(place)} /> : null}
      </Toolbar>
      {error && !log ? (
        <ErrorState
          error={error}
          onRetry={onRetry}
          what={what}
          forbidden="Your role cannot see the audit log. Ask an admin."
        />
      ) : null}
      {!log && !error ? <Loading what="the audit log" /> : null}
      {entries?.length === 0 ? (
        isFiltered ? (
          <EmptyState
            title="Nothing matches the filters"
            actions={
              <Button onPress={() => go({ actor: undefined, action: undefined, since: undefined })}>
                Clear filters
              </Button>
            }
          />
        ) : (
          <EmptyState title="Nothing has happened yet" />
        )
      ) : null}
      {entries && entries.length > 0 ? (
        <DataList
          label="Audit log"
          items={entries}
          keyOf={({ id }) => id}
          columns={[
            { id: "action", title: "What", place: "primary", cell: ({ action }) => <code>{visible(action)}</code> },
            { id: "actor", title: "Who", cell: ({ actor }) => <Name>{actor}</Name> },
            ...(showsProject
              ? [
                  {
                    id: "project",
                    title: "Project",
                    isQuiet: true,
                    cell: ({ projectRef }: AuditEntry) => (projectRef ? <code>{projectRef}</code> : "–"),
                  },
                ]
              : []),
            {
              id: "details",
              title: "Details",
              cell: ({ details }) => <code className={styles.details}>{describe(details)}</code>,
            },
            { id: "ip", title: "From", isQuiet: true, cell: ({ ipAddress }) => ipAddress ?? "–" },
            {
              id: "at",
              title: "When",
              isQuiet: true,
              isNarrow: true,
              cell: ({ at }) => <time dateTime={at}>{formatDateTime(new Date(at))}</time>,
            },
          ]}
        />
      ) : null}
    </>
  );
}

/** `name: shop, kind: secret`; what is nested stays JSON. */
function describe(details: unknown): string {
  if (typeof details !== "object" || details === null || Object.keys(details).length === 0) return "–";
  return visible(
    Object.entries(details)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => `${name}: ${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
      .join(", "),
  );
}

function download(entries: readonly AuditEntry[]): void {
  const header = ["at", "actor", "action", "project", "details", "address"];
  const rows = entries.map(({ at, actor, action, projectRef, details, ipAddress }) => [
    at,
    actor,
    action,
    projectRef ?? "",
    JSON.stringify(details),
    ipAddress ?? "",
  ]);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([toCsv([header, ...rows])], { type: "text/csv" }));
  link.download = "audit-log.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}
