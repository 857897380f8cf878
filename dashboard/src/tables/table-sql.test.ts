import { expect, test } from "vitest";
import { createTableSql } from "./table-sql.ts";

test("a table with quoted names, a key of two columns, defaults and row-level security", () => {
  const column = { isKey: false, notNull: false, defaultSql: "" };
  expect(
    createTableSql({
      schema: "public",
      name: 'or"ders',
      rls: true,
      columns: [
        { ...column, name: "id", type: "bigint", isKey: true, defaultSql: "generated always as identity" },
        { ...column, name: "b", type: "uuid", isKey: true, notNull: true },
        { ...column, name: "at", type: "timestamptz", notNull: true, defaultSql: "now()" },
      ],
    }),
  ).toBe(
    `create table "public"."or""ders" (\n  "id" bigint generated always as identity,\n  "b" uuid,\n  "at" timestamptz not null default now(),\n  primary key ("id", "b")\n);\nalter table "public"."or""ders" enable row level security;`,
  );
});
