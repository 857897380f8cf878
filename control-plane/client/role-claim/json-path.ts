/**
 * JSON paths (RFC 9535): read once, then asked of many values. Of the functions only search(), with its pattern written
 * in the path. Keys come from a project's settings and values from its clients, so both are bounded, and patterns are
 * RE2's, which take linear time.
 */
import { RE2JS, RE2JSException } from "re2js";

/** The nodes a path leads to, in order. None when looking would take too long. */
export type JsonPath = (root: unknown) => readonly unknown[];

export class InvalidJsonPath extends Error {}

/** Nodes looked at and found by one call; a token has far fewer, but `$..*..*..*` meets them again and again. */
const MAX_VISITS = 100_000;
const MAX_PATH_LENGTH = 1024;
/** Of parentheses and queries within filters. */
const MAX_DEPTH = 16;
/** Of the value; a deeper one is looked at no further than the stack can bear. */
const MAX_VALUE_DEPTH = 200;
const MAX_SEARCHED = 1024;
/** Of a compiled pattern: `((a{10}){10}){10}` stands for a thousand. */
const MAX_PATTERN_INSTRUCTIONS = 500;
/** Steps of a search, instructions times characters, that cost as much as a visit of a node. */
const SEARCH_STEPS_A_VISIT = 4;

class TooManyVisits extends Error {}

interface Context {
  readonly root: unknown;
  visitsLeft: number;
}
type Query = (node: unknown, context: Context) => readonly unknown[];
type Condition = (node: unknown, context: Context) => boolean;
/** undefined is "nothing", which no JSON value is. */
type Operand = (node: unknown, context: Context) => unknown;

/** @throws {InvalidJsonPath} */
export function parseJsonPath(text: string): JsonPath {
  const query = new PathParser(text).path();
  return (root) => {
    try {
      return query(root, { root, visitsLeft: MAX_VISITS });
    } catch (failure) {
      if (failure instanceof TooManyVisits) return [];
      throw failure;
    }
  };
}

const BLANKS = /[ \t\n\r]*/y;
/** The dash is not of the RFC; people write it. */
const NAME = /[\p{L}_][\p{L}\p{N}_-]*/uy;
const STRING = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/y;
const NUMBER = /-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?(?:[eE][+-]?\d{1,3})?/y;
const SLICE = /(-?\d{1,9})?\s*:\s*(-?\d{1,9})?\s*(?::\s*(-?\d{1,9})?)?/y;
const INDEX = /-?\d{1,9}/y;
const COMPARISON = /==|!=|<=|>=|<|>/y;
const LITERAL_WORD = /(?:true|false|null)(?![\p{L}\p{N}_])/uy;
const SEARCH = /search\s*\(/y;

class PathParser {
  readonly #text: string;
  #position = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  path(): Query {
    if (this.#text.length > MAX_PATH_LENGTH || !this.#takes("$")) this.#fail();
    const query = this.#segments();
    if (this.#position < this.#text.length) this.#fail();
    return query;
  }

  #segments(): Query {
    const segments: Query[] = [];
    for (let segment = this.#segment(); segment !== null; segment = this.#segment()) segments.push(segment);
    return (node, context) => {
      let nodes: readonly unknown[] = [node];
      for (const segment of segments) nodes = nodes.flatMap((each) => segment(each, context));
      return nodes;
    };
  }

  #segment(): Query | null {
    const start = this.#position;
    this.#match(BLANKS);
    if (this.#takes("..")) {
      const select = this.#peeks("[") ? this.#selectors() : this.#shorthand();
      return (node, context) => descendants(node).flatMap((each) => visit(select, each, context));
    }
    const select = this.#takes(".") ? this.#shorthand() : this.#peeks("[") ? this.#selectors() : null;
    if (select) return (node, context) => visit(select, node, context);
    this.#position = start;
    return null;
  }

  /** What may follow dots: a name or a star. */
  #shorthand(): Query {
    return this.#takes("*") ? children : member(this.#match(NAME)?.[0] ?? this.#fail());
  }

  /** `['a', 0, 1:2, *, ?@.b]` */
  #selectors(): Query {
    this.#takes("[");
    const selectors: Query[] = [];
    do {
      this.#match(BLANKS);
      selectors.push(this.#selector());
      this.#match(BLANKS);
    } while (this.#takes(","));
    if (!this.#takes("]")) this.#fail();
    return (node, context) => selectors.flatMap((select) => select(node, context));
  }

  #selector(): Query {
    if (this.#takes("*")) return children;
    if (this.#takes("?")) {
      this.#match(BLANKS);
      const condition = this.#either();
      return (node, context) =>
        children(node).filter((child) => {
          count(context, 1);
          return condition(child, context);
        });
    }
    const name = this.#string();
    if (name !== null) return member(name);
    const slice = this.#match(SLICE);
    if (slice) {
      const [start, end, step] = slice.slice(1, 4).map((bound) => (bound === undefined ? undefined : Number(bound)));
      return (node) => (Array.isArray(node) ? sliceOf(node, start, end, step ?? 1) : []);
    }
    const index = Number(this.#match(INDEX)?.[0] ?? this.#fail());
    return (node) => (Array.isArray(node) ? definedOnly(node.at(index)) : []);
  }

  #either(): Condition {
    const conditions = [this.#both()];
    while (this.#takesOperator("||")) conditions.push(this.#both());
    return (node, context) => conditions.some((condition) => condition(node, context));
  }

  #both(): Condition {
    const conditions = [this.#basic()];
    while (this.#takesOperator("&&")) conditions.push(this.#basic());
    return (node, context) => conditions.every((condition) => condition(node, context));
  }

  #takesOperator(operator: string): boolean {
    this.#match(BLANKS);
    if (!this.#takes(operator)) return false;
    this.#match(BLANKS);
    return true;
  }

  #basic(): Condition {
    if (this.#takesOperator("!")) return not(this.#parenthesis() ?? this.#search() ?? this.#existence(this.#query()));
    return this.#parenthesis() ?? this.#search() ?? this.#comparisonOrExistence();
  }

  #parenthesis(): Condition | null {
    if (!this.#takes("(")) return null;
    return this.#nested(() => {
      this.#match(BLANKS);
      const condition = this.#either();
      this.#match(BLANKS);
      if (!this.#takes(")")) this.#fail();
      return condition;
    });
  }

  #search(): Condition | null {
    if (!this.#match(SEARCH)) return null;
    this.#match(BLANKS);
    const operand = this.#operand();
    if (!this.#takesOperator(",")) this.#fail();
    const pattern = searchPattern(this.#string() ?? this.#fail()) ?? this.#fail();
    this.#match(BLANKS);
    if (!this.#takes(")")) this.#fail();
    return (node, context) => {
      const value = operand(node, context);
      if (typeof value !== "string" || value.length > MAX_SEARCHED) return false;
      count(context, (value.length * pattern.programSize()) / SEARCH_STEPS_A_VISIT);
      return pattern.matcher(value).find();
    };
  }

  #comparisonOrExistence(): Condition {
    const query = this.#peeks("@") || this.#peeks("$") ? this.#query() : null;
    const left = query ? single(query) : this.#literal();
    const beforeBlanks = this.#position;
    this.#match(BLANKS);
    const operator = this.#match(COMPARISON)?.[0];
    if (operator === undefined) {
      this.#position = beforeBlanks;
      return this.#existence(query ?? this.#fail());
    }
    this.#match(BLANKS);
    const right = this.#operand();
    return (node, context) => compares(left(node, context), operator, right(node, context), context);
  }

  #existence(query: Query): Condition {
    return (node, context) => query(node, context).length > 0;
  }

  #operand(): Operand {
    return this.#peeks("@") || this.#peeks("$") ? single(this.#query()) : this.#literal();
  }

  /** `@.a.b` from the node that is tested, `$.a` from the root. */
  #query(): Query {
    return this.#nested(() => {
      const fromRoot = this.#takes("$");
      if (!fromRoot && !this.#takes("@")) this.#fail();
      const segments = this.#segments();
      return (node, context) => segments(fromRoot ? context.root : node, context);
    });
  }

  #literal(): Operand {
    const text = this.#string();
    if (text !== null) return () => text;
    const constant: unknown = JSON.parse((this.#match(LITERAL_WORD) ?? this.#match(NUMBER) ?? this.#fail())[0]);
    return () => constant;
  }

  #string(): string | null {
    const found = this.#match(STRING);
    return found && unescaped(found[1] ?? found[2] ?? "");
  }

  #nested<T>(rule: () => T): T {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH) this.#fail();
    const result = rule();
    this.#depth -= 1;
    return result;
  }

  #peeks(token: string): boolean {
    return this.#text.startsWith(token, this.#position);
  }

  #takes(token: string): boolean {
    if (!this.#peeks(token)) return false;
    this.#position += token.length;
    return true;
  }

  #match(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#position;
    const found = sticky.exec(this.#text);
    if (found) this.#position = sticky.lastIndex;
    return found;
  }

  #fail(): never {
    throw new InvalidJsonPath();
  }
}

function visit(select: Query, node: unknown, context: Context): readonly unknown[] {
  const nodes = select(node, context);
  count(context, 1 + nodes.length);
  return nodes;
}

function count(context: Context, visits: number): void {
  context.visitsLeft -= visits;
  if (context.visitsLeft < 0) throw new TooManyVisits();
}

function member(name: string): Query {
  return (node) => (isObject(node) && Object.hasOwn(node, name) ? [node[name]] : []);
}

function children(node: unknown): readonly unknown[] {
  if (Array.isArray(node)) return node;
  return isObject(node) ? Object.values(node) : [];
}

/** The node itself, then what is in it, from the outside in. */
function descendants(node: unknown, depth = 0): readonly unknown[] {
  if (depth > MAX_VALUE_DEPTH) throw new TooManyVisits();
  return [node, ...children(node).flatMap((child) => descendants(child, depth + 1))];
}

function definedOnly(value: unknown): readonly unknown[] {
  return value === undefined ? [] : [value];
}

/** RFC 9535 section 2.3.4.2. */
function sliceOf(
  array: readonly unknown[],
  start: number | undefined,
  end: number | undefined,
  step: number,
): readonly unknown[] {
  if (step === 0) return [];
  const { length } = array;
  const [lowest, highest] = step > 0 ? [0, length] : [-1, length - 1];
  const bound = (index: number) => Math.min(Math.max(index < 0 ? index + length : index, lowest), highest);
  const first = start === undefined ? (step > 0 ? 0 : highest) : bound(start);
  const last = end === undefined ? (step > 0 ? length : -1) : bound(end);
  const selected: unknown[] = [];
  for (let index = first; step > 0 ? index < last : index > last; index += step) selected.push(array[index]);
  return selected;
}

function not(condition: Condition): Condition {
  return (node, context) => !condition(node, context);
}

/** The value of a query that leads to one node; nothing otherwise. */
function single(query: Query): Operand {
  return (node, context) => {
    const nodes = query(node, context);
    return nodes.length === 1 ? nodes[0] : undefined;
  };
}

function compares(left: unknown, operator: string, right: unknown, context: Context): boolean {
  switch (operator) {
    case "==":
      return isEqual(left, right, context);
    case "!=":
      return !isEqual(left, right, context);
    case "<":
      return isLess(left, right);
    case ">":
      return isLess(right, left);
    case "<=":
      return isLess(left, right) || isEqual(left, right, context);
    default:
      return isLess(right, left) || isEqual(left, right, context);
  }
}

function isEqual(left: unknown, right: unknown, context: Context, depth = 0): boolean {
  if (depth > MAX_VALUE_DEPTH) throw new TooManyVisits();
  count(context, 1);
  if (Array.isArray(left) && Array.isArray(right)) {
    return left.length === right.length && left.every((item, index) => isEqual(item, right[index], context, depth + 1));
  }
  if (isObject(left) && isObject(right)) {
    const keys = Object.keys(left);
    return (
      keys.length === Object.keys(right).length &&
      keys.every((key) => Object.hasOwn(right, key) && isEqual(left[key], right[key], context, depth + 1))
    );
  }
  return left === right;
}

function isLess(left: unknown, right: unknown): boolean {
  if (typeof left === "number" && typeof right === "number") return left < right;
  return typeof left === "string" && typeof right === "string" && left < right;
}

/** Null for an expression that RE2 does not know or that stands for too large a machine. */
function searchPattern(source: string): RE2JS | null {
  try {
    const pattern = RE2JS.compile(source);
    return pattern.programSize() > MAX_PATTERN_INSTRUCTIONS ? null : pattern;
  } catch (failure) {
    if (failure instanceof RE2JSException) return null;
    throw failure;
  }
}

const ESCAPES: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9A-Fa-f]{4})|(.))/gs, (_, code: string | undefined, character: string) =>
    code === undefined ? (ESCAPES[character] ?? character) : String.fromCharCode(Number.parseInt(code, 16)),
  );
}

function isObject(node: unknown): node is Readonly<Record<string, unknown>> {
  return typeof node === "object" && node !== null && !Array.isArray(node);
}
