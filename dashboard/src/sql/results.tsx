/** What a run gave: every statement's result, the notices, the plan as a tree, or the error in PostgreSQL's words. */
import type { AppError } from "../graphql/errors.ts";
import { Button } from "../ui/button.tsx";
import { copyText } from "../ui/copy.tsx";
import { formatNumber, plural, visible } from "../ui/format.ts";
import { Tabs } from "../ui/parts.tsx";
import { ResultGrid } from "../ui/result-grid.tsx";
import { InlineError } from "../ui/state.tsx";
import { toast } from "../ui/toast.tsx";
import { download, toCsv, toJson, toMarkdown } from "./export.ts";
import type { RunSqlMutation } from "./generated/operations.ts";
import { type PlanNode, parsePlan } from "./plan.ts";
import styles from "./sql.module.css";

type Result = RunSqlMutation["runSql"];
type Statement = Result["results"][number];

export interface ShownRun {
  /** The whole text as it was: a result is grey once it has changed. */
  readonly script: string;
  readonly mode: "run" | "dry" | "explain" | "analyze";
  readonly as: string;
  readonly result: Result | null;
  readonly error: AppError | null;
  /** Characters of the text before the place of the error. */
  readonly errorAt: number | null;
}

export function SqlResults({ run, name }: { readonly run: ShownRun; readonly name: string }) {
  if (run.error) return <Failure error={run.error} line={lineOf(run.script, run.errorAt)} />;
  if (!run.result) return null;
  const { results, notices, durationMs } = run.result;
  const items = results.map((statement, index) => ({
    id: String(index),
    title: statement.command,
    content: <StatementResult statement={statement} name={name} as={run.as} durationMs={durationMs} />,
  }));
  if (notices.length > 0) {
    items.push({
      id: "notices",
      title: `Notices ${notices.length}`,
      content: (
        <ul>
          {notices.map((notice, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: notices have no other identity
            <li key={index}>
              <code>{visible(notice)}</code>
            </li>
          ))}
        </ul>
      ),
    });
  }
  return (
    <>
      {run.mode === "dry" || run.mode === "analyze" ? (
        <p role="status" className={styles.quiet}>
          Dry run: everything was rolled back.
        </p>
      ) : null}
      {items.length === 0 ? <p>Done in {Math.round(durationMs)} ms; the script had no statement.</p> : null}
      {items.length > 0 ? <Tabs label="Results" items={items} /> : null}
    </>
  );
}

function lineOf(script: string, position: number | null): number | null {
  return position === null ? null : script.slice(0, position).split("\n").length;
}

function Failure({ error, line }: { readonly error: AppError; readonly line: number | null }) {
  if (error.code !== "SQL_ERROR") return <InlineError error={error} />;
  const text = (name: string) => {
    const value = error.details[name];
    return typeof value === "string" && value !== "" ? visible(value) : null;
  };
  const [detail, hint, sqlState] = [text("detail"), text("hint"), text("sqlState")];
  return (
    <div role="alert" className={styles.failed}>
      <strong>{visible(error.message)}</strong>
      <span>
        {line === null ? "" : `Line ${line}`}
        {line !== null && sqlState ? " · " : ""}
        {sqlState ? `SQLSTATE ${sqlState}` : ""}
      </span>
      {detail ? <span>Detail: {detail}</span> : null}
      {hint ? <span>Hint: {hint}</span> : null}
    </div>
  );
}

function StatementResult({
  statement,
  name,
  as,
  durationMs,
}: {
  readonly statement: Statement;
  readonly name: string;
  readonly as: string;
  readonly durationMs: number;
}) {
  const { columns, rowCount, truncated, command } = statement;
  const rows = statement.rows as unknown[][];
  const plan = columns[0]?.name === "QUERY PLAN" ? parsePlan(rows) : null;
  if (plan)
    return (
      <ul className={styles.plan} aria-label="Plan">
        <Node node={plan} />
      </ul>
    );
  if (columns.length === 0) return <p>{command}</p>;
  const grid = { columns, rows };
  const copy = async (what: string, content: string) => {
    if (await copyText(content)) toast(`${plural(rows.length, "row")} copied as ${what}.`);
  };
  return (
    <>
      <div className={styles.resultHead}>
        <span>
          {truncated
            ? `${formatNumber(rows.length)} of ${formatNumber(rowCount ?? rows.length)} rows shown`
            : plural(rows.length, "row")}{" "}
          · {Math.round(durationMs)} ms · {as}
        </span>
        <Button size="small" onPress={() => copy("CSV", toCsv(grid))}>
          Copy CSV
        </Button>
        <Button size="small" onPress={() => copy("Markdown", toMarkdown(grid))}>
          Copy Markdown
        </Button>
        <Button size="small" onPress={() => download(`${name}.csv`, "text/csv", toCsv(grid))}>
          CSV
        </Button>
        <Button size="small" onPress={() => download(`${name}.json`, "application/json", toJson(grid))}>
          JSON
        </Button>
        {truncated ? <span>Files hold the rows that are shown; choose more rows and run again.</span> : null}
      </div>
      {rows.length === 0 ? (
        <p>No rows.</p>
      ) : (
        <ResultGrid label={`Result of ${command}`} columns={columns} rows={rows} />
      )}
    </>
  );
}

function Node({ node }: { readonly node: PlanNode }) {
  const percent = Math.round(node.share * 100);
  return (
    <li>
      <svg className={styles.share} aria-hidden viewBox="0 0 100 10" preserveAspectRatio="none">
        <rect width={percent} height="10" fill="var(--accent)" />
      </svg>
      {visible(node.title)} <span className={styles.quiet}>{percent} %</span>
      {node.details.map((detail) => (
        <small key={detail}>{visible(detail)}</small>
      ))}
      {node.children.length > 0 ? (
        <ul>
          {node.children.map((child, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: nodes of a plan never move
            <Node key={index} node={child} />
          ))}
        </ul>
      ) : null}
    </li>
  );
}
