/**
 * Which table column each column of a view shows. PostgreSQL keeps a view as the printed parse tree of its query
 * (pg_rewrite.ev_action); every entry of the query's target list names the relation and column it comes from, looking
 * through joins, subselects and WITH, but not through set operations.
 */

export interface ViewColumn {
  /** One-based number of the view's column. */
  readonly number: number;
  readonly originRelation: number;
  readonly originColumn: number;
}

/** @param tree Text of `pg_rewrite.ev_action` of a view's SELECT rule. */
export function viewColumnsOf(tree: string): readonly ViewColumn[] {
  const columns: ViewColumn[] = [];
  for (const entry of topLevelTargetEntries(tree)) {
    const number = fieldOf(entry, "resno");
    const originRelation = fieldOf(entry, "resorigtbl");
    const originColumn = fieldOf(entry, "resorigcol");
    if (originRelation !== 0 && originColumn > 0 && !entry.includes(":resjunk true")) {
      columns.push({ number, originRelation, originColumn });
    }
  }
  return columns;
}

/** The text of each `{TARGETENTRY …}` of the outermost query, without what is nested in its expression. */
function topLevelTargetEntries(tree: string): readonly string[] {
  const entries: string[] = [];
  let depth = 0;
  let inTargetList = false;
  let entry = "";
  let pieceStart = 0;
  const nodes = /\\.|[{}]|:targetList /gs; // a backslash escapes the character after it
  for (let found = nodes.exec(tree); found !== null; found = nodes.exec(tree)) {
    const token = found[0];
    if (token === "{") {
      if (inTargetList && depth === 2) entry += tree.slice(pieceStart, found.index);
      depth += 1;
      if (inTargetList && depth === 2) pieceStart = nodes.lastIndex;
    } else if (token === "}") {
      if (inTargetList && depth === 2) {
        entries.push(entry + tree.slice(pieceStart, found.index));
        entry = "";
      }
      depth -= 1;
      if (inTargetList && depth === 2) pieceStart = nodes.lastIndex;
      // The list ends with its parenthesis, right after the last entry.
      if (inTargetList && depth === 1 && tree[nodes.lastIndex] === ")") return entries;
    } else if (token === ":targetList " && depth === 1) {
      if (tree.startsWith("<>", nodes.lastIndex)) return entries;
      inTargetList = true;
    }
  }
  return entries;
}

function fieldOf(entry: string, name: string): number {
  const found = new RegExp(`:${name} (\\d+)`).exec(entry);
  return found === null ? 0 : Number(found[1]);
}
