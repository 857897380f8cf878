import { expect, test } from "vitest";
import { parsePage } from "./page.ts";
import { shapeOfQuery } from "./shape.ts";

const page = (query: string, range?: string) => parsePage(shapeOfQuery(query, false), range);

test.each([
  ["", undefined, { offset: 0, limit: null }],
  ["limit=3&offset=2", undefined, { offset: 2, limit: 3 }],
  ["offset=-4", undefined, { offset: 0, limit: null }],
  ["limit=many", undefined, { offset: 0, limit: null }],
  ["limit=3", "0-1", { offset: 0, limit: 2 }],
  ["limit=3&offset=1", "0-", { offset: 1, limit: 3 }],
  ["", "5-", { offset: 5, limit: null }],
  ["limit=0", "0-1", { offset: 0, limit: 0 }],
  ["", "nonsense", { offset: 0, limit: null }],
])("%s with Range %s", (query, range, expected) => {
  expect(page(query, range)).toEqual(expected);
});

test.each([
  ["limit=-1", undefined, "Limit should be greater than or equal to zero."],
  ["", "1-0", "The lower boundary must be lower than or equal to the upper boundary in the Range header."],
  ["offset=5", "0-1", "The lower boundary must be lower than or equal to the upper boundary in the Range header."],
])("%s with Range %s is refused", (query, range, details) => {
  expect(() => page(query, range)).toThrow(expect.objectContaining({ code: "PGRST103", status: 416, details }));
});
