import { expect, test } from "vitest";
import { PreparedStatements } from "./prepared-statements.ts";

function parsed(statements: PreparedStatements, text: string) {
  const statement = statements.add(text);
  statement.isParsed = true;
  return statement;
}

test("a text keeps its name, and a name is never given twice", () => {
  const statements = new PreparedStatements(10);
  const first = parsed(statements, "select 1");
  expect(statements.find("select 1")).toBe(first);
  statements.forget(first);
  expect(statements.find("select 1")).toBeNull();
  expect(statements.add("select 1").name).not.toBe(first.name);
});

test("the least recently used goes, and is closed on the server once", () => {
  const statements = new PreparedStatements(2);
  const first = parsed(statements, "select 1");
  const second = parsed(statements, "select 2");
  statements.find("select 1");
  parsed(statements, "select 3");
  expect(statements.takeDropped()).toEqual([second.name]);
  expect(statements.takeDropped()).toEqual([]);
  expect(statements.find("select 1")).toBe(first);
});

test("one whose Parse failed is forgotten without closing what is not there", () => {
  const statements = new PreparedStatements(2);
  statements.forget(statements.add("select from where"));
  expect(statements.takeDropped()).toEqual([]);
});

test("each role has its own for the same text, all under one limit", () => {
  const statements = new PreparedStatements(2);
  const anon = statements.add("select 1", "anon");
  const user = statements.add("select 1", "authenticated");
  for (const statement of [anon, user]) statement.isParsed = true;
  expect(statements.find("select 1", "anon")).toBe(anon);
  expect(statements.find("select 1", "authenticated")).toBe(user);
  expect(statements.find("select 1")).toBeNull();
  statements.add("select 2");
  expect(statements.takeDropped()).toEqual([anon.name]);
});
