/** A policy as SQL, and the script that tries a draft of it. Pure. */

export const POLICY_TEMPLATES = {
  readAll: { label: "Everybody may read", command: "SELECT", roles: "anon, authenticated", using: "true", check: "" },
  readSignedIn: {
    label: "Who is signed in may read",
    command: "SELECT",
    roles: "authenticated",
    using: "true",
    check: "",
  },
  own: {
    label: "Users have their own rows",
    command: "ALL",
    roles: "authenticated",
    using: "(select auth.uid()) = user_id",
    check: "(select auth.uid()) = user_id",
  },
  insertSignedIn: {
    label: "Who is signed in may insert",
    command: "INSERT",
    roles: "authenticated",
    using: "",
    check: "true",
  },
} as const;
export type PolicyTemplate = keyof typeof POLICY_TEMPLATES;

export interface NewPolicy {
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  readonly command: "ALL" | "SELECT" | "INSERT" | "UPDATE" | "DELETE";
  /** Separated by commas. */
  readonly roles: string;
  /** SQL; empty for none. */
  readonly using: string;
  readonly check: string;
}

const name = (text: string) => `"${text.replaceAll('"', '""')}"`;

/** A word in capitals or a role that needs no quotes stays as it is, so that `public` is everybody. */
function roleList(roles: string): string {
  const list = roles
    .split(",")
    .map((role) => role.trim())
    .filter((role) => role !== "");
  return (list.length > 0 ? list : ["public"])
    .map((role) => (/^[a-z_][a-z0-9_]*$/.test(role) ? role : name(role)))
    .join(", ");
}

export function createPolicySql(policy: NewPolicy): string {
  const { schema, table, command } = policy;
  const using = command === "INSERT" || policy.using.trim() === "" ? "" : `\n  using (${policy.using.trim()})`;
  const hasCheck = command !== "SELECT" && command !== "DELETE" && policy.check.trim() !== "";
  return `create policy ${name(policy.name)} on ${name(schema)}.${name(table)}
  for ${command.toLowerCase()} to ${roleList(policy.roles)}${using}${hasCheck ? `\n  with check (${policy.check.trim()})` : ""};`;
}

/** A policy does nothing while row-level security is off. */
export function enableRlsSql(policy: NewPolicy): string {
  return `alter table ${name(policy.schema)}.${name(policy.table)} enable row level security;`;
}

/** Counts, up to 1,000 each: all rows, those of anon, and those of a user. To be run as a dry run. */
export function tryPolicySql(policy: NewPolicy, userId: string): string {
  const count = `select count(*) from (select from ${name(policy.schema)}.${name(policy.table)} limit 1000) t`;
  const claims = JSON.stringify({ sub: userId, role: "authenticated" }).replaceAll("'", "''");
  return `${createPolicySql(policy)}
${enableRlsSql(policy)}
${count};
set local role anon;
${count};
set local role authenticated;
select set_config('request.jwt.claims', '${claims}', true);
${count};`;
}
