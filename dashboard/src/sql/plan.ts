/** EXPLAIN (format json) as a tree. Pure. */

export interface PlanNode {
  readonly title: string;
  readonly details: readonly string[];
  /** Share of the whole, 0 to 1, of this node alone: time when it was measured, else cost. */
  readonly share: number;
  readonly children: readonly PlanNode[];
}

type Raw = Readonly<Record<string, unknown>> & { readonly Plans?: readonly Raw[] };

const SHOWN = [
  "Filter",
  "Index Cond",
  "Hash Cond",
  "Merge Cond",
  "Join Filter",
  "Recheck Cond",
  "Sort Key",
  "Group Key",
];

/** Null when the result is no plan. */
export function parsePlan(rows: readonly (readonly unknown[])[]): PlanNode | null {
  const first = rows[0]?.[0];
  const root = Array.isArray(first) ? (first[0] as { Plan?: Raw } | undefined)?.Plan : undefined;
  return root ? toNode(root, total(root) || 1) : null;
}

function number(node: Raw, name: string): number {
  const value = node[name];
  return typeof value === "number" ? value : 0;
}

function total(node: Raw): number {
  return "Actual Total Time" in node
    ? number(node, "Actual Total Time") * Math.max(number(node, "Actual Loops"), 1)
    : number(node, "Total Cost");
}

function toNode(node: Raw, whole: number): PlanNode {
  const plans = node.Plans ?? [];
  const on = node["Relation Name"] ?? node["Index Name"] ?? node["CTE Name"] ?? node["Function Name"];
  const own = Math.max(total(node) - plans.reduce((sum, child) => sum + total(child), 0), 0);
  const rows =
    "Actual Rows" in node
      ? `${number(node, "Actual Rows") * Math.max(number(node, "Actual Loops"), 1)} rows, ${number(node, "Plan Rows")} expected`
      : `${number(node, "Plan Rows")} rows expected`;
  const cost =
    "Actual Total Time" in node ? `${total(node).toFixed(2)} ms` : `cost ${number(node, "Total Cost").toFixed(2)}`;
  return {
    title: `${String(node["Node Type"])}${typeof on === "string" ? ` on ${on}` : ""}`,
    details: [`${rows} · ${cost}`, ...SHOWN.flatMap((name) => (node[name] ? [`${name}: ${String(node[name])}`] : []))],
    share: Math.min(own / whole, 1),
    children: plans.map((child) => toNode(child, whole)),
  };
}
