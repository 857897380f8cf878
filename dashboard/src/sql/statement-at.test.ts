import { expect, test } from "vitest";
import { statementAt } from "./statement-at.ts";

test("a semicolon in quotes, comments and bodies of functions ends nothing", () => {
  const script = "select 'a;b'; -- c;d\ndo $x$ begin; end $x$; select 3";
  expect(statementAt(script, 3).text).toBe("select 'a;b'");
  expect(statementAt(script, 40)).toEqual({ text: " -- c;d\ndo $x$ begin; end $x$", offset: 13 });
  expect(statementAt(script, script.length).text).toBe(" select 3");
});
