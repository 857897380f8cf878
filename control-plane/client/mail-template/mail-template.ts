/**
 * Templates of mails, in the part of Go's html/template that GoTrue's users write: `{{ .Field }}`, `{{ .Data.key }}`,
 * `if`, `else`, `range`, `with`, `end`, and the functions eq, ne, and, or, not, len. A missing key prints nothing. Values
 * are escaped for the place where they stand. A template is a tenant's text: its size, depth and output are bounded, and
 * reading and rendering take time proportional to them.
 */
import { escapeFor, type HtmlContext, HtmlScanner } from "./html-context.ts";

/** What is wrong with a template, as a sentence for its author. */
export class TemplateError extends Error {}

export const MAX_TEMPLATE_LENGTH = 64 * 1024;
const MAX_DEPTH = 20;
const MAX_STEPS = 20_000;
const MAX_OUTPUT_LENGTH = 512 * 1024;

type Expression =
  | { readonly kind: "path"; readonly names: readonly string[] }
  | { readonly kind: "root"; readonly names: readonly string[] }
  | { readonly kind: "literal"; readonly value: unknown }
  | { readonly kind: "call"; readonly name: FunctionName; readonly parameters: readonly Expression[] };

type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "value"; readonly value: Expression; readonly context: HtmlContext }
  | {
      readonly kind: "if" | "with" | "range";
      readonly value: Expression;
      readonly then: Node[];
      readonly otherwise: Node[];
    };

export interface MailTemplate {
  readonly nodes: readonly Node[];
  readonly isHtml: boolean;
}

const FUNCTIONS = {
  eq: ([first, ...others]: readonly unknown[]) => others.some((other) => other === first),
  ne: ([first, second]: readonly unknown[]) => first !== second,
  and: (values: readonly unknown[]) => values.find((value) => !isTrue(value)) ?? values.at(-1),
  or: (values: readonly unknown[]) => values.find(isTrue) ?? values.at(-1),
  not: ([value]: readonly unknown[]) => !isTrue(value),
  len: ([value]: readonly unknown[]) =>
    typeof value === "string" || Array.isArray(value) ? value.length : Object.keys((value as object) ?? {}).length,
} as const;
type FunctionName = keyof typeof FUNCTIONS;

/** @throws {TemplateError} */
export function parseMailTemplate(text: string, { isHtml }: { readonly isHtml: boolean }): MailTemplate {
  if (text.length > MAX_TEMPLATE_LENGTH)
    throw new TemplateError(`a template has at most ${MAX_TEMPLATE_LENGTH} characters`);
  return { nodes: new Parser(text, isHtml).parse(), isHtml };
}

/** @throws {TemplateError} when the output becomes too large. */
export function renderMailTemplate({ nodes }: MailTemplate, values: Readonly<Record<string, unknown>>): string {
  return new Renderer(values).render(nodes);
}

// ---- reading ------------------------------------------------------------------------------------------------------

class Parser {
  readonly #text: string;
  readonly #scanner: HtmlScanner | null;
  #at = 0;
  /** The action that ended the last list of nodes. */
  #ending: { readonly word: string; readonly rest: string } | null = null;

  constructor(text: string, isHtml: boolean) {
    this.#text = text;
    this.#scanner = isHtml ? new HtmlScanner() : null;
  }

  parse(): Node[] {
    const nodes = this.#nodes(0);
    if (this.#ending) throw new TemplateError(`{{ ${this.#ending.word} }} has no beginning`);
    return nodes;
  }

  #nodes(depth: number): Node[] {
    if (depth > MAX_DEPTH) throw new TemplateError(`a template is nested at most ${MAX_DEPTH} deep`);
    const nodes: Node[] = [];
    this.#ending = null;
    while (this.#at < this.#text.length) {
      const open = this.#text.indexOf("{{", this.#at);
      const until = open < 0 ? this.#text.length : open;
      const trimsBefore = open >= 0 && /^\{\{-\s/.test(this.#text.slice(open, open + 4));
      const plain = this.#text.slice(this.#at, until);
      this.#push(nodes, trimsBefore ? plain.trimEnd() : plain);
      this.#at = until;
      if (open < 0) break;
      const action = this.#action();
      if (action === "" || action.startsWith("/*")) continue;
      const [, word = "", rest = ""] = /^(\w*)\s*([\s\S]*)$/.exec(action) ?? [];
      if (word === "end" || word === "else") {
        this.#ending = { word, rest };
        return nodes;
      }
      nodes.push(
        word === "if" || word === "with" || word === "range" ? this.#block(word, rest, depth) : this.#value(action),
      );
    }
    return nodes;
  }

  #push(nodes: Node[], text: string): void {
    if (text === "") return;
    this.#scanner?.read(text);
    nodes.push({ kind: "text", text });
  }

  /** What stands between `{{` and `}}`; goes on behind it. */
  #action(): string {
    const close = this.#text.indexOf("}}", this.#at + 2);
    if (close < 0) throw new TemplateError("{{ has no }}");
    const inner = this.#text.slice(this.#at + 2, close);
    this.#at = close + 2;
    if (/\s-$/.test(inner)) {
      while (this.#at < this.#text.length && /\s/.test(this.#text[this.#at] as string)) this.#at += 1;
    }
    return inner
      .replace(/^-(?=\s)/, "")
      .replace(/\s-$/, "")
      .trim();
  }

  #value(action: string): Node {
    const value = parseExpression(action);
    const context = this.#scanner?.context ?? { kind: "plain" };
    if (context.kind === "forbidden") throw new TemplateError(`no value may stand in ${context.place}: ${action}`);
    this.#scanner?.passValue();
    return { kind: "value", value, context };
  }

  #block(kind: "if" | "with" | "range", condition: string, depth: number): Node {
    const value = parseExpression(condition);
    const then = this.#nodes(depth + 1);
    let otherwise: Node[] = [];
    const ending = this.#ending as { word: string; rest: string } | null;
    if (ending?.word === "else" && ending.rest.startsWith("if ")) {
      // The end of the inner one is the end of both.
      otherwise = [this.#block("if", ending.rest.slice(3), depth + 1)];
      return { kind, value, then, otherwise };
    }
    if (ending?.word === "else") otherwise = this.#nodes(depth + 1);
    if ((this.#ending as { word: string } | null)?.word !== "end")
      throw new TemplateError(`{{ ${kind} }} has no {{ end }}`);
    this.#ending = null;
    return { kind, value, then, otherwise };
  }
}

const TOKEN = /\s*(?:(\(|\))|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?)|(\$?(?:\.\w+)+|\$|\.)|(\w+)|(\S))/gy;

/** @throws {TemplateError} */
function parseExpression(text: string): Expression {
  const tokens = [...text.trim().matchAll(TOKEN)];
  let at = 0;
  const operand = (depth: number): Expression => {
    if (depth > MAX_DEPTH) throw new TemplateError("an expression is nested too deep");
    const token = tokens[at];
    at += 1;
    if (!token) throw new TemplateError(`something is missing in {{ ${text} }}`);
    const [, bracket, string, number, path, word] = token;
    if (bracket === "(") {
      const inner = pipeline(depth + 1);
      if (tokens[at]?.[1] !== ")") throw new TemplateError(`a bracket is not closed in {{ ${text} }}`);
      at += 1;
      return inner;
    }
    if (string !== undefined) return { kind: "literal", value: unquote(string) };
    if (number !== undefined) return { kind: "literal", value: Number(number) };
    if (path !== undefined) {
      const names = path
        .replace(/^\$/, "")
        .split(".")
        .filter((name) => name !== "");
      return { kind: path.startsWith("$") ? "root" : "path", names };
    }
    if (word === "true" || word === "false") return { kind: "literal", value: word === "true" };
    if (word === "nil") return { kind: "literal", value: null };
    throw new TemplateError(`${token[0].trim()} is not understood in {{ ${text} }}`);
  };
  const pipeline = (depth: number): Expression => {
    const word = tokens[at]?.[5];
    if (word === undefined || ["true", "false", "nil"].includes(word)) return operand(depth);
    if (!Object.hasOwn(FUNCTIONS, word)) throw new TemplateError(`there is no function ${word}`);
    at += 1;
    const parameters: Expression[] = [];
    while (at < tokens.length && tokens[at]?.[1] !== ")") parameters.push(operand(depth));
    if (parameters.length === 0) throw new TemplateError(`${word} needs something to work on`);
    return { kind: "call", name: word as FunctionName, parameters };
  };
  const expression = pipeline(0);
  if (at < tokens.length) throw new TemplateError(`${tokens[at]?.[0].trim()} is not understood in {{ ${text} }}`);
  return expression;
}

function unquote(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new TemplateError(`${text} is not understood`);
  }
}

// ---- rendering ----------------------------------------------------------------------------------------------------

class Renderer {
  readonly #root: unknown;
  #steps = 0;
  #output = "";

  constructor(root: unknown) {
    this.#root = root;
  }

  render(nodes: readonly Node[]): string {
    this.#all(nodes, this.#root);
    return this.#output;
  }

  #all(nodes: readonly Node[], dot: unknown): void {
    for (const node of nodes) this.#one(node, dot);
  }

  #one(node: Node, dot: unknown): void {
    this.#steps += 1;
    if (this.#steps > MAX_STEPS) throw new TemplateError("the mail would become too long");
    switch (node.kind) {
      case "text":
        this.#write(node.text);
        break;
      case "value":
        this.#write(escapeFor(node.context, textOf(this.#evaluate(node.value, dot))));
        break;
      case "if":
        this.#all(isTrue(this.#evaluate(node.value, dot)) ? node.then : node.otherwise, dot);
        break;
      case "with": {
        const value = this.#evaluate(node.value, dot);
        if (isTrue(value)) this.#all(node.then, value);
        else this.#all(node.otherwise, dot);
        break;
      }
      case "range": {
        const value = this.#evaluate(node.value, dot);
        const items = Array.isArray(value) ? value : typeof value === "object" && value ? Object.values(value) : [];
        for (const item of items) this.#all(node.then, item);
        if (items.length === 0) this.#all(node.otherwise, dot);
        break;
      }
    }
  }

  #write(text: string): void {
    this.#output += text;
    if (this.#output.length > MAX_OUTPUT_LENGTH) throw new TemplateError("the mail would become too long");
  }

  #evaluate(expression: Expression, dot: unknown): unknown {
    this.#steps += 1;
    switch (expression.kind) {
      case "literal":
        return expression.value;
      case "path":
        return follow(dot, expression.names);
      case "root":
        return follow(this.#root, expression.names);
      case "call":
        return FUNCTIONS[expression.name](expression.parameters.map((parameter) => this.#evaluate(parameter, dot)));
    }
  }
}

/** Own properties only: a name must not reach what JavaScript gives every object. */
function follow(value: unknown, names: readonly string[]): unknown {
  let at = value;
  for (const name of names) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, name)) return undefined;
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
