/**
 * Where a token holds the role: a JSON path (RFC 9535), or the older form `.a."b c"[0]` that PostgREST had before, with
 * filters such as `.roles[?(@ ^== "api_")]`.
 */
import { InvalidJsonPath, parseJsonPath } from "./json-path.ts";

/** Of a verified token. */
export type Claims = { readonly [name: string]: unknown };

/** The role in the claims; null when there is none. */
export type RoleSelector = (claims: Claims) => string | null;

/** The path cannot be read; told at start-up. */
export class InvalidRoleClaimKey extends Error {
  constructor(key: string) {
    super(`jwt-role-claim-key is no JSON path: ${key}`);
  }
}

/** @throws {InvalidRoleClaimKey} */
export function roleSelector(key: string): RoleSelector {
  if (key === "$.role" || key === ".role") return (claims) => (typeof claims.role === "string" ? claims.role : null);
  const select = key.startsWith("$") ? jsonPath(key) : olderPath(key);
  return (claims) => {
    const [first] = select(claims);
    return typeof first === "string" ? first : null;
  };
}

function jsonPath(key: string) {
  if (key === "$") throw new InvalidRoleClaimKey(key); // all claims are no role
  try {
    return parseJsonPath(key);
  } catch (failure) {
    if (failure instanceof InvalidJsonPath) throw new InvalidRoleClaimKey(key);
    throw failure;
  }
}

type Step = (node: unknown) => readonly unknown[];

const TOKENS = {
  name: /\.([\p{L}_][\p{L}\p{N}_-]*)/uy,
  quotedName: /\."((?:[^"\\]|\\.)*)"/y,
  index: /\[(\d{1,9})\]/y,
  filter: /\[\?\(\s*@\s*(==|!=|\^==|==\^|\*==)\s*(?:'([^']*)'|"([^"]*)")\s*\)\]/y,
} as const;

function olderPath(key: string): Step {
  const steps: Step[] = [];
  let position = 0;
  const match = (expression: RegExp): RegExpExecArray | null => {
    expression.lastIndex = position;
    const found = expression.exec(key);
    if (found) position = expression.lastIndex;
    return found;
  };
  while (position < key.length) {
    const step = nextStep(match);
    if (step === null) throw new InvalidRoleClaimKey(key);
    steps.push(step);
  }
  if (steps.length === 0) throw new InvalidRoleClaimKey(key);
  return (claims) => steps.reduce<readonly unknown[]>((nodes, step) => nodes.flatMap(step), [claims]);
}

function nextStep(match: (expression: RegExp) => RegExpExecArray | null): Step | null {
  const name = match(TOKENS.name) ?? match(TOKENS.quotedName);
  if (name) return member((name[1] ?? "").replace(/\\(.)/g, "$1"));
  const index = match(TOKENS.index);
  if (index) return (node) => (Array.isArray(node) ? node.slice(Number(index[1])).slice(0, 1) : []);
  const filter = match(TOKENS.filter);
  if (!filter) return null;
  const [, operator = "", single, double] = filter;
  const operand = single ?? double ?? "";
  return (node) =>
    Array.isArray(node) ? node.filter((item) => typeof item === "string" && compares(item, operator, operand)) : [];
}

function member(name: string): Step {
  return (node) => {
    const isObject = typeof node === "object" && node !== null && !Array.isArray(node);
    return isObject && Object.hasOwn(node, name) ? [(node as Claims)[name]] : [];
  };
}

/** The last three: begins with, ends with, contains. */
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
