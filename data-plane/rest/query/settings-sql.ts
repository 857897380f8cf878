/** The one statement that makes a pooled connection the request's: role, claims and whatever SQL may read of it. */
import type { ParameterValue, Statement } from "../../database/database.ts";
import { quoteIdentifier } from "./sql.ts";

export type Setting = readonly [name: string, value: string];

/**
 * In order: what a role needs to have set before it takes over comes first. All settings end with the transaction.
 * @param prepare False when statements are not to be prepared.
 */
export function settingsStatement(settings: readonly Setting[], prepare: boolean): Statement {
  const values: ParameterValue[] = [];
  for (const [name, value] of settings) values.push(name, value);
  return { text: settingsText(settings.length), values, prepare };
}

/** By the number of settings: names are parameters too, so there are few texts to prepare. */
const texts: string[] = [];

function settingsText(count: number): string {
  let text = texts[count];
  if (text === undefined) {
    const calls = Array.from({ length: count }, (_, index) => `set_config($${2 * index + 1}, $${2 * index + 2}, true)`);
    text = `/* rest settings */ SELECT ${calls.join(", ")}`;
    texts[count] = text;
  }
  return text;
}

/** A search path of exactly these schemas. */
export function searchPath(schemas: readonly string[]): string {
  return schemas.map(quoteIdentifier).join(", ");
}

/** @param name Of a function, with or without its schema. */
export function preRequestStatement(name: string, prepare: boolean): Statement {
  const function_ = name.split(".").map(quoteIdentifier).join(".");
  return { text: `/* rest preRequest */ SELECT ${function_}()`, values: [], prepare };
}

/** Raises what a deferred constraint would at commit, before a rollback hides it. */
export function checkConstraintsStatement(prepare: boolean): Statement {
  return { text: "/* rest checkConstraints */ SET CONSTRAINTS ALL IMMEDIATE", values: [], prepare };
}
