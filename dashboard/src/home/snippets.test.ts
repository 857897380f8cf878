import { expect, test } from "vitest";
import * as snippets from "./snippets.ts";

const input: snippets.SnippetInput = {
  url: "http://localhost:8083/projects/abc",
  publicKey: "sb_publishable_x",
  database: { host: "localhost", port: 5435, name: "project_abc", user: "project_abc_user" },
  databaseUrl: null,
};

test("no snippet has a password before it was asked for", () => {
  for (const snippet of [snippets.psql, snippets.prisma, snippets.drizzle, snippets.sqlAlchemy, snippets.dotEnv])
    expect(snippet(input)).toContain(snippets.PASSWORD_PLACEHOLDER);
});

test("a revealed connection string stands in each of them", () => {
  const revealed = { ...input, databaseUrl: "postgresql://project_abc_user:s3cret@localhost:5435/project_abc" };
  expect(snippets.psql(revealed)).toBe('psql "postgresql://project_abc_user:s3cret@localhost:5435/project_abc"\n');
  expect(snippets.sqlAlchemy(revealed)).toContain("postgresql+psycopg://project_abc_user:s3cret@");
});

test("URL and key are quoted as the language quotes", () => {
  expect(snippets.supabaseJs({ ...input, publicKey: 'a"b' })).toContain('"a\\"b"');
});
