/**
 * Where a token holds the role: a JSON path (RFC 9535) with names, wildcards, indexes, slices of one form and filters of
 * comparison and `search()`, or the older form `.a."b c"[0]` that PostgREST had before.
 */
import type { Claims } from "./verify.ts";

/** The role in the claims; null when there is none. */
export type RoleSelector = (claims: Claims) => string | null;

/** The path cannot be read; told at start-up. */
export class InvalidRoleClaimKey extends Error {
  constructor(key: string) {
    super(`jwt-role-claim-key is no JSON path: ${key}`);
  }
}

type Step = (node: unknown) => readonly unknown[];

/** @throws {InvalidRoleClaimKey} */
export function roleSelector(key: string): RoleSelector {
  if (key === "$.role" || key === ".role") return (claims) => (typeof claims.role === "string" ? claims.role : null);
  const steps = parsePath(key);
  return (claims) => {
    let nodes: readonly unknown[] = [claims];
    for (const step of steps) nodes = nodes.flatMap(step);
    const [first] = nodes;
    return typeof first === "string" ? first : null;
  };
}

const TOKENS = {
  name: /\.([\p{L}_][\p{L}\p{N}_-]*)/uy,
  quotedName: /\."((?:[^"\\]|\\.)*)"/y,
  wildcard: /\.\*|\[\*\]/y,
  descend: /\.\.([\p{L}_][\p{L}\p{N}_-]*)/uy,
  bracketName: /\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]/y,
  index: /\[\s*(-?\d{1,9})\s*\]/y,
  comparison:
    /\[\s*\?\(?\s*@((?:\.[\p{L}_][\p{L}\p{N}_]*)*)\s*(==|!=|\^==|==\^|\*==)\s*(?:'([^']*)'|"([^"]*)")\s*\)?\s*\]/uy,
  search: /\[\s*\?\(?\s*search\(\s*@((?:\.[\p{L}_][\p{L}\p{N}_]*)*)\s*,\s*(?:'([^']*)'|"([^"]*)")\s*\)\s*\)?\s*\]/uy,
} as const;

function parsePath(key: string): readonly Step[] {
  const path = key.startsWith("$") ? key.slice(1) : key;
  const steps: Step[] = [];
  let position = 0;
  const match = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = position;
    const found = expression.exec(path);
    if (found) position = expression.lastIndex;
    return found;
  };
  while (position < path.length) {
    const step = nextStep(match);
    if (step === null) throw new InvalidRoleClaimKey(key);
    steps.push(step);
  }
  if (steps.length === 0) throw new InvalidRoleClaimKey(key);
  return steps;
}

function nextStep(match: (expression: RegExp) => RegExpExecArray | null): Step | null {
  const descend = match(TOKENS.descend);
  if (descend) return (node) => descendants(node, descend[1] ?? "");
  const name = match(TOKENS.name) ?? match(TOKENS.quotedName);
  if (name) return member(withoutEscapes(name[1] ?? ""));
  if (match(TOKENS.wildcard)) return children;
  const bracketName = match(TOKENS.bracketName);
  if (bracketName) return member(withoutEscapes(bracketName[1] ?? bracketName[2] ?? ""));
  const index = match(TOKENS.index);
  if (index) return element(Number(index[1]));
  const comparison = match(TOKENS.comparison);
  if (comparison) {
    const [, inner = "", operator = "", single, double] = comparison;
    return filtered(inner, (value) => compares(value, operator, single ?? double ?? ""));
  }
  const search = match(TOKENS.search);
  if (search) {
    const [, inner = "", single, double] = search;
    const pattern = searchPattern(single ?? double ?? "");
    return pattern && filtered(inner, (value) => value.length <= MAX_SEARCHED && pattern.test(value));
  }
  return null;
}

const MAX_SEARCHED = 1024;

/** With one quantifier at most no text makes the search slow; null for any other expression. */
function searchPattern(source: string): RegExp | null {
  if ((source.match(/[*+?{]/g) ?? []).length > 1) return null;
  try {
    return new RegExp(source, "u");
  } catch {
    return null;
  }
}

function withoutEscapes(text: string): string {
  return text.replace(/\\(.)/g, "$1");
}

function member(name: string): Step {
  return (node) => (isObject(node) && Object.hasOwn(node, name) ? [node[name]] : []);
}

function element(index: number): Step {
  return (node) => {
    if (!Array.isArray(node)) return [];
    const found: unknown = node.at(index);
    return found === undefined ? [] : [found];
  };
}

function children(node: unknown): readonly unknown[] {
  if (Array.isArray(node)) return node;
  return isObject(node) ? Object.values(node) : [];
}

function descendants(node: unknown, name: string): readonly unknown[] {
  return [...member(name)(node), ...children(node).flatMap((child) => descendants(child, name))];
}

/** Children for which the value at the inner path (`.a.b`, or nothing for the child itself) is text that fits. */
function filtered(inner: string, fits: (value: string) => boolean): Step {
  const names = inner.split(".").slice(1);
  return (node) =>
    children(node).filter((child) => {
      let value: unknown = child;
      for (const name of names) value = member(name)(value)[0];
      return typeof value === "string" && fits(value);
    });
}

/** The last three are of the older form: begins with, ends with, contains. */
function compares(value: string, operator: string, operand: string): boolean {
  switch (operator) {
    case "==":
      return value === operand;
    case "!=":
      return value !== operand;
    case "^==":
      return value.startsWith(operand);
    case "==^":
      return value.endsWith(operand);
    default:
      return value.includes(operand);
  }
}

function isObject(node: unknown): node is Readonly<Record<string, unknown>> {
  return typeof node === "object" && node !== null && !Array.isArray(node);
}
