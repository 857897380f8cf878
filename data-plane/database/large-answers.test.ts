import { expect, test } from "vitest";
import { LargeAnswers } from "./large-answers.ts";

const statements = (text: string) => [{ text, values: [], prepare: true }];
const MB = 1024 * 1024;

test("a large answer is expected again until a small one comes", () => {
  const answers = new LargeAnswers();
  answers.note(statements("select heap()"), 20 * MB);
  expect(answers.expectedFor(statements("select heap()"))).toBe(20 * MB);
  expect(answers.expectedFor(statements("select other()"))).toBe(0);
  answers.note(statements("select heap()"), 100);
  expect(answers.expectedFor(statements("select heap()"))).toBe(0);
});

test("only so many are remembered, the latest", () => {
  const answers = new LargeAnswers();
  for (let index = 0; index < 150; index += 1) answers.note(statements(`select ${index}`), MB);
  expect(answers.expectedFor(statements("select 149"))).toBe(MB);
  expect(answers.expectedFor(statements("select 1"))).toBe(0);
});
