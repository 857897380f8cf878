import { expect, test } from "vitest";
import { splitStatements } from "./split-statements.ts";

const texts = (script: string) => splitStatements(script).map(({ text }) => text.trim());

test.each([
  ["select 1; select 2", ["select 1", "select 2"]],
  ["select 1;;  ;", ["select 1"]],
  ["select ';'; select 2", ["select ';'", "select 2"]],
  ["select 'it''s;'; select 2", ["select 'it''s;'", "select 2"]],
  ["select E'\\';'; select 2", ["select E'\\';'", "select 2"]],
  ["select '\\'; select 2", ["select '\\'", "select 2"]],
  ['select ";"";"; select 2', ['select ";"";"', "select 2"]],
  ["select $$;$$; select $a$ $$ ; $a$", ["select $$;$$", "select $a$ $$ ; $a$"]],
  ["select a$b$; select 2 -- $b$", ["select a$b$", "select 2 -- $b$"]],
  ["select 1 -- ;\n; select 2", ["select 1 -- ;", "select 2"]],
  ["/* ; /* ; */ ; */ select 1; -- only a comment", ["/* ; /* ; */ ; */ select 1"]],
  ["select 'never closed; select 2", ["select 'never closed; select 2"]],
  ["", []],
  ["  -- nothing\n /* at all */ ", []],
])("%j is cut into %j", (script, expected) => {
  expect(texts(script)).toEqual(expected);
});

test("offsets lead back to the place in the script", () => {
  const script = "select 1;\nselect 2;";
  for (const { text, offset } of splitStatements(script)) expect(script.slice(offset, offset + text.length)).toBe(text);
});
