/** How every process reads its environment: one zod object, every problem reported in one go. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { TrustedHops } from "./client-address.ts";

/** Variables that cannot be used; the message lists each with what is wrong, never its value. */
export class EnvironmentError extends Error {}

/** Addresses or CIDR ranges, separated by commas. */
export const addressRanges = z
  .string()
  .transform((text) =>
    text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  )
  .refine(areRanges, { error: "must be addresses or CIDR ranges, separated by commas" });

/** The same for every process that listens: without it a proxy in front is taken for the one client of all. */
export const TRUSTED_PROXIES = addressRanges
  .default([])
  .describe("Addresses or CIDR ranges of proxies whose X-Forwarded-* headers are believed.");

function areRanges(texts: readonly string[]): boolean {
  try {
    new TrustedHops(texts);
    return true;
  } catch {
    return false;
  }
}

const SECRETS = z.registry();

/**
 * Marks a variable's schema as a secret: its value may also lie in a file that `<NAME>_FILE` names, so that no process
 * list, no crash report and no `docker inspect` shows it. Mark the finished schema: what zod derives from it is another.
 */
export function secret<Schema extends z.ZodType>(schema: Schema): Schema {
  SECRETS.add(schema);
  return schema;
}

export function isSecret(schema: z.core.$ZodType): boolean {
  return SECRETS.has(schema);
}

/** An empty variable counts as unset. @throws {EnvironmentError} */
export function parseVariables<Schema extends z.ZodObject>(
  schema: Schema,
  variables: NodeJS.ProcessEnv,
): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
  const files = readSecretFiles(schema, given);
  const parsed = schema.safeParse({ ...given, ...files.values });
  if (parsed.success && files.problems.length === 0) return parsed.data;
  const invalid = (parsed.error?.issues ?? [])
    // What could not be read would otherwise be told twice, the second time as missing.
    .filter(({ path }) => !files.unread.has(path.join(".")))
    .map(({ path, message }) => `${files.sources.get(path.join(".")) ?? path.join(".")}: ${message}`);
  const problems = [...files.problems, ...invalid].map((problem) => `  ${problem}`);
  throw new EnvironmentError(`The environment cannot be used:\n${problems.join("\n")}`);
}

interface SecretFiles {
  /** By the name of the variable, without `_FILE`. */
  readonly values: Readonly<Record<string, string>>;
  /** Variable → where its value came from, for messages. */
  readonly sources: ReadonlyMap<string, string>;
  /** Variables whose file could not be used; `problems` says why, without any content. */
  readonly unread: ReadonlySet<string>;
  readonly problems: readonly string[];
}

function readSecretFiles({ shape }: z.ZodObject, given: Readonly<Record<string, string | undefined>>): SecretFiles {
  const values: Record<string, string> = {};
  const sources = new Map<string, string>();
  const unread = new Set<string>();
  const problems: string[] = [];
  for (const [name, schema] of Object.entries(shape)) {
    const path = given[`${name}_FILE`];
    if (path === undefined || !isSecret(schema)) continue;
    const refuse = (problem: string) => {
      unread.add(name);
      problems.push(`${name}_FILE: ${problem}`);
    };
    if (given[name] !== undefined) {
      refuse(`${name} is set too; give one of them`);
      continue;
    }
    try {
      // Editors and `echo` end a file with a newline that nobody means.
      const value = readFileSync(path, "utf8").replace(/\r?\n$/, "");
      if (value === "") refuse(`the file ${path} is empty`);
      else values[name] = value;
      sources.set(name, `${name}_FILE (${path})`);
    } catch (error) {
      refuse(`the file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`);
    }
  }
  return { values, sources, unread, problems };
}

/** The variables as a Markdown table, for the reference that is printed from here. */
export function printVariables({ shape }: z.ZodObject): string {
  const rows = Object.entries(shape).map(([name, schema]) => {
    const fallback = z.safeParse(schema, undefined);
    const text = fallback.success ? String(fallback.data ?? "") : "required";
    const shown = text === "" || text === "required" ? text : `\`${text}\``;
    const names = isSecret(schema) ? `\`${name}\` or \`${name}_FILE\`` : `\`${name}\``;
    return `| ${names} | ${shown} | ${(z.globalRegistry.get(schema)?.description ?? "").replaceAll("|", "\\|")} |`;
  });
  return ["| Variable | Default | Meaning |", "|---|---|---|", ...rows].join("\n");
}
