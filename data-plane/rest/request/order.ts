/** The `order` parameter. */
import { type Cursor, parseWhole } from "./cursor.ts";
import { parseField, parseName } from "./field.ts";
import type { OrderTerm } from "./query-types.ts";

/** @throws {RestError} PGRST100 */
export function parseOrder(text: string): readonly OrderTerm[] {
  return parseWhole("order", text, (cursor) => {
    const terms: OrderTerm[] = [];
    do {
      cursor.skipBlanks();
      terms.push(parseTerm(cursor));
      cursor.skipBlanks();
    } while (cursor.take(","));
    cursor.expecting('","');
    return terms;
  });
}

function parseTerm(cursor: Cursor): OrderTerm {
  const target = parseTarget(cursor);
  const direction = cursor.take(".asc") ? "asc" : cursor.take(".desc") ? "desc" : null;
  const nulls = cursor.take(".nullsfirst") ? "first" : cursor.take(".nullslast") ? "last" : null;
  if (nulls === null && cursor.peek() === ".") {
    cursor.position += 1;
    cursor.fail(...(direction === null ? ['"asc"', '"desc"'] : []), '"nullsfirst"', '"nullslast"');
  }
  return { ...target, direction, nulls };
}

function parseTarget(cursor: Cursor): Pick<OrderTerm, "relation" | "field"> {
  const start = cursor.position;
  const name = parseName(cursor);
  if (!cursor.take("(")) {
    cursor.position = start;
    return { relation: null, field: parseField(cursor) };
  }
  const field = parseField(cursor);
  if (!cursor.take(")")) cursor.fail('")"');
  return { relation: name, field };
}
