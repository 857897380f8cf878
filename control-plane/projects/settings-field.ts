/**
 * One setting of a project, described once: its type, rule, default and meaning. The zod object that validates a group,
 * its defaults and its GraphQL types are all made from these (settings.ts, settings.graphql.ts).
 */
import { z } from "zod";

/** The types a setting can have, as GraphQL will name them; `Float` holds whole numbers beyond 2^31, such as bytes. */
export type FieldType = "String" | "Boolean" | "Int" | "Float" | "[String]" | "JSON" | "Enum";

export interface Field<T> {
  readonly type: FieldType;
  /** Null is a value of the setting (no limit, none) and not "back to the default". */
  readonly nullable: boolean;
  readonly schema: z.ZodType<T>;
  readonly default: T;
  /** One or two sentences with the unit. */
  readonly description: string;
  /** The choices of an `Enum`. */
  readonly choices?: readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: fields of all types lie side by side in a group; each use narrows again
export type Fields = Readonly<Record<string, Field<any>>>;
export type SettingsOf<F extends Fields> = { readonly [Name in keyof F]: F[Name] extends Field<infer T> ? T : never };

export function flag(defaultValue: boolean, description: string): Field<boolean> {
  return { type: "Boolean", nullable: false, schema: z.boolean(), default: defaultValue, description };
}

interface IntegerRange {
  readonly min: number;
  readonly max: number;
}

export function integer(defaultValue: number, { min, max }: IntegerRange, description: string): Field<number> {
  const type = max >= 2 ** 31 ? "Float" : "Int";
  return { type, nullable: false, schema: integerSchema(min, max), default: defaultValue, description };
}

export function optionalInteger(
  defaultValue: number | null,
  { min, max }: IntegerRange,
  description: string,
): Field<number | null> {
  return {
    type: "Int",
    nullable: true,
    schema: integerSchema(min, max).nullable(),
    default: defaultValue,
    description,
  };
}

export function text(defaultValue: string, schema: z.ZodType<string>, description: string): Field<string> {
  return { type: "String", nullable: false, schema, default: defaultValue, description };
}

export function optionalText(schema: z.ZodType<string>, description: string): Field<string | null> {
  return { type: "String", nullable: true, schema: schema.nullable(), default: null, description };
}

export function texts(
  defaultValue: readonly string[],
  item: z.ZodType<string>,
  { min = 0, max }: { min?: number; max: number },
  description: string,
): Field<readonly string[]> {
  const schema = z
    .array(item)
    .min(min, `must have at least ${min} ${min === 1 ? "entry" : "entries"}`)
    .max(max, `must have at most ${max} entries`)
    .refine((list) => new Set(list).size === list.length, "must not name anything twice");
  return { type: "[String]", nullable: false, schema, default: defaultValue, description };
}

export function choice<const T extends string>(defaultValue: T, choices: readonly T[], description: string): Field<T> {
  return { type: "Enum", nullable: false, schema: z.enum(choices), default: defaultValue, description, choices };
}

export function textMap(
  schema: z.ZodType<Readonly<Record<string, string>>>,
  description: string,
): Field<Readonly<Record<string, string>>> {
  return { type: "JSON", nullable: false, schema, default: {}, description };
}

export function defaultsOf<F extends Fields>(fields: F): SettingsOf<F> {
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.default])) as SettingsOf<F>;
}

/** Every field optional, no unknown one. */
export function changeSchemaOf(fields: Fields): z.ZodType<Record<string, unknown>> {
  return z.strictObject(
    Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema.optional()])),
  );
}

function integerSchema(min: number, max: number): z.ZodType<number> {
  return z.int("must be a whole number").min(min, `must be at least ${min}`).max(max, `must be at most ${max}`);
}
