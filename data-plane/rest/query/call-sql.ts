/** Calls of functions. Arguments are named where the parameter has a name, so that defaults and overloads work as in SQL. */
import type { ValueSource } from "../request/query-types.ts";
import type { Parameter, Routine } from "../schema-cache/types.ts";
import { payloadRows } from "./payload-sql.ts";
import { quoteIdentifier, quoteQualified, type SqlWriter } from "./sql.ts";

export type CallArguments =
  /** Values as text, in order; a repeated name is several elements of a variadic, else its last value counts. */
  | { readonly kind: "values"; readonly values: readonly { readonly name: string; readonly value: ValueSource }[] }
  | { readonly kind: "json"; readonly shape: "object" | "array"; readonly names: readonly string[] }
  /** The one unnamed parameter. */
  | { readonly kind: "body" };

export interface Call {
  /** `"s"."f"("a" := …)` */
  readonly expression: string;
  /** FROM item that gives the arguments; null when they are in the call itself. */
  readonly from: string | null;
}

const ARGUMENTS = '"pgrst_args"';

export function callSql(writer: SqlWriter, routine: Routine, args: CallArguments): Call {
  const name = quoteQualified(routine);
  const call = (list: readonly string[]) => `${name}(${list.join(", ")})`;
  const named = (parameter: Parameter, value: string) =>
    (parameter.variadic ? "VARIADIC " : "") +
    (parameter.name === "" ? value : `${quoteIdentifier(parameter.name)} := ${value}`);
  switch (args.kind) {
    case "body": {
      const type = routine.parameters[0]?.type ?? "text";
      return { expression: call([wholeBody(writer, type)]), from: null };
    }
    case "values": {
      const list = routine.parameters.flatMap((parameter) => {
        const sources = args.values.filter((value) => value.name === parameter.name).map(({ value }) => value);
        const last = sources[sources.length - 1];
        if (last === undefined) return [];
        const value = parameter.variadic ? writer.parameter({ kind: "elements", sources }) : writer.value(last);
        return [named(parameter, `${value}::${parameter.type}`)];
      });
      return { expression: call(list), from: null };
    }
    case "json": {
      const given = routine.parameters.filter((parameter) => args.names.includes(parameter.name));
      if (given.length === 0) return { expression: call([]), from: null };
      const columns = given.map(({ name: column, type }) => ({
        name: column,
        type,
        parse: null,
        format: null,
        defaultExpression: null,
      }));
      const rows = { shape: args.shape, columns, defaults: false, firstOnly: true };
      const from = payloadRows(writer, rows, ARGUMENTS);
      const list = given.map((parameter) => named(parameter, `${ARGUMENTS}.${quoteIdentifier(parameter.name)}`));
      return { expression: call(list), from };
    }
  }
}

/** Bytes become text or xml only in the server, which checks them. */
function wholeBody(writer: SqlWriter, type: string): string {
  const body = writer.parameter({ kind: "body" });
  switch (type) {
    case "json":
      return `${body}::json`;
    case "jsonb":
      return `${body}::json::jsonb`;
    case "xml":
      return `${body}::text::xml`;
    default:
      return `${body}::${type}`;
  }
}
