import { expect, test } from "vitest";
import { projectSqlVersion, readSqlFiles, renderSql } from "./sql-files.ts";

const parameters = { postgres_group: "supabase_postgres" };

test("a parameter stands as identifier or as text, as in psql", () => {
  expect(renderSql(`grant x to :"postgres_group"; select :'postgres_group'`, parameters)).toBe(
    `grant x to "supabase_postgres"; select 'supabase_postgres'`,
  );
});

test("casts and slices are no parameters", () => {
  const text = `select 'pg_class'::regclass, a[1 : 2], b::"char"`;
  expect(renderSql(text, parameters)).toBe(text);
});

test("an unknown parameter never reaches the server", () => {
  expect(() => renderSql(`grant x to :"postgres_grup"`, parameters)).toThrow(/postgres_grup/);
});

test("files come in order of their numbers and render with the parameters there are", () => {
  for (const folder of ["cluster", "project"] as const) {
    const files = readSqlFiles(folder);
    const names = files.map(({ name }) => name);
    expect(names).toEqual([...names].sort());
    for (const { text } of files) expect(renderSql(text, parameters)).not.toContain(':"');
  }
});

test("the version changes with any text and fits an integer column", () => {
  const files = [{ name: "001_a.sql", text: "select 1" }];
  const version = projectSqlVersion(files);
  expect(version).toBe(projectSqlVersion(files));
  expect(version).not.toBe(projectSqlVersion([{ name: "001_a.sql", text: "select 2" }]));
  expect(version).toBeGreaterThanOrEqual(0);
  expect(version).toBeLessThan(2 ** 31);
});
