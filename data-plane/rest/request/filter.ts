/** Filters, logic trees and the values in them. */
import { Cursor, ParseFailure, parseWhole } from "./cursor.ts";
import { parseField, parseQuoted } from "./field.ts";
import {
  type Filter,
  IS_VALUES,
  type IsValue,
  type LogicTree,
  type Operation,
  QUANTIFIABLE,
  SIMPLE_OPERATORS,
  type SimpleOperator,
  TEXT_SEARCH_FUNCTIONS,
  type TextSearchOperator,
  type ValueSource,
} from "./query-types.ts";

const OPERATOR_LABEL = "operator (eq, gt, ...)";
const IS_LABEL = "isVal: (null, not_null, true, false, unknown)";

/** As for embeds: bounds the recursion over a hostile tree. */
const MAX_DEPTH = 64;

const simple = Object.keys(SIMPLE_OPERATORS).join("|");
const textSearch = Object.keys(TEXT_SEARCH_FUNCTIONS).join("|");
const OPERATOR = new RegExp(
  `(?:(in|is|isdistinct)|(${textSearch})(?:\\(([\\p{L}\\p{N}_$ -]+)\\))?|(${simple})|(${QUANTIFIABLE.join("|")})\\((any|all)\\))\\.`,
  "uy",
);

/** How much of a filter's text says what it does; the rest is its value. Zero when it is no filter. */
export function operatorLength(text: string): number {
  const start = text.startsWith("not.") ? 4 : 0;
  OPERATOR.lastIndex = start;
  return OPERATOR.test(text) ? OPERATOR.lastIndex : 0;
}

type Head =
  | { readonly kind: "in" }
  | { readonly kind: "is" }
  | { readonly kind: "isDistinct" }
  | { readonly kind: "textSearch"; readonly operator: TextSearchOperator; readonly language: string | null }
  | { readonly kind: "simple"; readonly operator: SimpleOperator }
  | { readonly kind: "quantified"; readonly operator: SimpleOperator; readonly quantifier: "any" | "all" };

function parseHead(cursor: Cursor): { readonly negated: boolean; readonly head: Head } {
  const start = cursor.position;
  const negated = cursor.take("not.");
  OPERATOR.lastIndex = cursor.position;
  const found = OPERATOR.exec(cursor.text);
  if (found === null) {
    if (!negated && cursor.position === start) cursor.expecting('"not"');
    return cursor.fail(OPERATOR_LABEL);
  }
  cursor.position = OPERATOR.lastIndex;
  const [, special, search, language, plain, quantified, quantifier] = found;
  if (special !== undefined) {
    const kind = special === "isdistinct" ? "isDistinct" : (special as "in" | "is");
    return { negated, head: { kind } };
  }
  if (search !== undefined) {
    return {
      negated,
      head: { kind: "textSearch", operator: search as TextSearchOperator, language: language ?? null },
    };
  }
  if (plain !== undefined) return { negated, head: { kind: "simple", operator: plain as SimpleOperator } };
  return {
    negated,
    head: {
      kind: "quantified",
      operator: quantified as SimpleOperator,
      quantifier: quantifier as "any" | "all",
    },
  };
}

/** The operation of a head that takes its value as it is. */
function operationOf(head: Exclude<Head, { kind: "is" }>, value: ValueSource): Operation {
  return { ...head, value };
}

/**
 * Reads `not.eq.5`. Without a slot the value is the rest of the text; with one the value stays outside the shape.
 * @throws {RestError} PGRST100
 */
export function parseOperation(text: string, slot: number | null): { negated: boolean; operation: Operation } {
  return parseWhole("filter", text, (cursor) => {
    const { negated, head } = parseHead(cursor);
    const rest = cursor.text.slice(cursor.position);
    const value: ValueSource = slot === null ? { kind: "text", text: rest } : { kind: "slot", index: slot };
    if (head.kind === "is") return { negated, operation: { kind: "is", value: parseIsValue(cursor) } };
    if (head.kind === "in") {
      parseList(cursor); // only to refuse what is no list
    }
    cursor.position = cursor.text.length;
    return { negated, operation: operationOf(head, value) };
  });
}

const IS_WORD = /[a-z_]+/iy;

function parseIsValue(cursor: Cursor): IsValue {
  const start = cursor.position;
  const word = cursor.match(IS_WORD)?.toLowerCase() ?? "";
  if (Object.hasOwn(IS_VALUES, word)) return word as IsValue;
  cursor.position = start;
  return cursor.fail(IS_LABEL);
}

const LIST_ELEMENT = /[^,)]*/y;

/** `(a,"b,c")`; null stands for the list without any element. */
function parseList(cursor: Cursor): readonly string[] | null {
  if (!cursor.take("(")) cursor.fail('"("');
  cursor.skipBlanks();
  const elements: string[] = [];
  let quotedAny = false;
  do {
    const quoted = tryQuotedValue(cursor);
    quotedAny ||= quoted !== null;
    elements.push(quoted ?? cursor.match(LIST_ELEMENT) ?? "");
  } while (cursor.take(","));
  if (!cursor.take(")")) cursor.fail('","', '")"');
  cursor.skipBlanks();
  return elements.length === 1 && elements[0] === "" && !quotedAny ? null : elements;
}

/** A value in quotes only counts as one when a separator follows; otherwise the quotes are part of the text. */
function tryQuotedValue(cursor: Cursor): string | null {
  if (cursor.peek() !== '"') return null;
  const attempt = new Cursor(cursor.text);
  attempt.position = cursor.position;
  try {
    const value = parseQuoted(attempt);
    if (!attempt.atEnd && attempt.peek() !== "," && attempt.peek() !== ")") return null;
    cursor.position = attempt.position;
    return value;
  } catch (failure) {
    if (failure instanceof ParseFailure) return null;
    throw failure;
  }
}

/**
 * The list of an `in` filter as a PostgreSQL array literal.
 * @throws {ParseFailure} when the text is no list.
 */
export function arrayLiteralOfList(list: string): string {
  const elements = parseList(new Cursor(list));
  return elements === null ? "{}" : arrayLiteral(elements);
}

/** `{"a","b"}` with everything quoted, so that no element can be taken for syntax or NULL. */
export function arrayLiteral(elements: readonly string[]): string {
  return `{${elements.map((element) => `"${element.replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}

/**
 * Reads the value of `or=`, `and=` and their negations.
 * @param operator The parameter's name without its embed path, such as `not.or`.
 * @throws {RestError} PGRST100
 */
export function parseLogic(operator: string, text: string): LogicTree {
  const parse = (cursor: Cursor) => {
    const tree = parseTree(cursor, 0);
    cursor.position = cursor.text.length; // the original's suite asks that what follows the closing parenthesis is left out
    return tree;
  };
  return parseWhole("logic tree", operator + text, parse, text);
}

const GROUP_WORD = /(?:not\.)?(?:and|or)/y;
const PG_ARRAY = /\{[^{}]*\}(?= *(?:[,)]|$))/y;

/** A column may be named as a group begins (`order`); only where no filter can be read it is a group. */
function parseTree(cursor: Cursor, depth: number): LogicTree {
  const start = cursor.position;
  const word = cursor.match(GROUP_WORD);
  cursor.position = start;
  if (word === null) return parseLogicFilter(cursor);
  const attempt = new Cursor(cursor.text);
  attempt.position = start;
  try {
    const filter = parseLogicFilter(attempt);
    cursor.position = attempt.position;
    return filter;
  } catch (failure) {
    if (!(failure instanceof ParseFailure)) throw failure;
  }
  cursor.position += word.length;
  return parseGroup(cursor, word, depth);
}

function parseGroup(cursor: Cursor, word: string, depth: number): LogicTree {
  if (depth >= MAX_DEPTH) cursor.fail(`at most ${MAX_DEPTH} levels of logic`);
  cursor.skipBlanks();
  if (!cursor.take("(")) cursor.fail('"("');
  const members: LogicTree[] = [];
  do {
    cursor.skipBlanks();
    members.push(parseTree(cursor, depth + 1));
    cursor.skipBlanks();
  } while (cursor.take(","));
  if (!cursor.take(")")) cursor.fail('","', '")"');
  return {
    kind: "group",
    negated: word.startsWith("not."),
    operator: word.endsWith("and") ? "and" : "or",
    members,
  };
}

function parseLogicFilter(cursor: Cursor): Filter {
  if (!/[\p{L}\p{M}\p{N}_$" ]/u.test(cursor.peek())) {
    cursor.fail("field name (* or [a..z0..9_$])", "negation operator (not)", "logic operator (and, or)");
  }
  const field = parseField(cursor);
  if (!cursor.take(".")) cursor.fail('"->"', '"."');
  const { negated, head } = parseHead(cursor);
  if (head.kind === "is") {
    return { kind: "filter", field, negated, operation: { kind: "is", value: parseIsValue(cursor) } };
  }
  if (head.kind === "in") {
    const elements = parseList(cursor);
    const text = elements === null ? "()" : listText(elements);
    return { kind: "filter", field, negated, operation: operationOf(head, { kind: "text", text }) };
  }
  const value: ValueSource = { kind: "text", text: parseLogicValue(cursor) };
  return { kind: "filter", field, negated, operation: operationOf(head, value) };
}

function listText(elements: readonly string[]): string {
  return `(${elements.map((element) => `"${element.replace(/["\\]/g, "\\$&")}"`).join(",")})`;
}

function parseLogicValue(cursor: Cursor): string {
  return tryQuotedValue(cursor) ?? cursor.match(PG_ARRAY) ?? cursor.match(LIST_ELEMENT) ?? "";
}
