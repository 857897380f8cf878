/** How every process reads its environment: one zod object, every problem reported in one go. */
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

/** An empty variable counts as unset. @throws {EnvironmentError} */
export function parseVariables<Schema extends z.ZodType>(
  schema: Schema,
  variables: NodeJS.ProcessEnv,
): z.output<Schema> {
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `  ${path.join(".")}: ${message}`);
  throw new EnvironmentError(`The environment cannot be used:\n${problems.join("\n")}`);
}

/** The variables as a Markdown table, for the reference that is printed from here. */
export function printVariables({ shape }: z.ZodObject): string {
  const rows = Object.entries(shape).map(([name, schema]) => {
    const fallback = z.safeParse(schema, undefined);
    const text = fallback.success ? String(fallback.data ?? "") : "required";
    const shown = text === "" || text === "required" ? text : `\`${text}\``;
    return `| \`${name}\` | ${shown} | ${(z.globalRegistry.get(schema)?.description ?? "").replaceAll("|", "\\|")} |`;
  });
  return ["| Variable | Default | Meaning |", "|---|---|---|", ...rows].join("\n");
}
