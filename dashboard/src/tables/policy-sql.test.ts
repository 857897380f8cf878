import { expect, test } from "vitest";
import { createPolicySql, tryPolicySql } from "./policy-sql.ts";

const policy = {
  schema: "public",
  table: 'or"ders',
  name: "own rows",
  command: "ALL",
  roles: "authenticated, My Role",
  using: "a = 1",
  check: "b = 2",
} as const;

test("a policy quotes its names and has the clauses that its command takes", () => {
  expect(createPolicySql(policy)).toBe(
    'create policy "own rows" on "public"."or""ders"\n  for all to authenticated, "My Role"\n  using (a = 1)\n  with check (b = 2);',
  );
  expect(createPolicySql({ ...policy, command: "SELECT", roles: "" })).toContain(
    "for select to public\n  using (a = 1);",
  );
  expect(createPolicySql({ ...policy, command: "INSERT" })).not.toContain("using");
});

test("a user's id cannot leave its literal", () => {
  expect(tryPolicySql(policy, "x'; drop table t; --")).toContain("x''; drop table t; --");
});
