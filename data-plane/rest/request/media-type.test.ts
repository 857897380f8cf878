import { expect, test } from "vitest";
import { contentTypeOf, essenceOf, parseAccept, parseMediaType } from "./media-type.ts";

test("Accept is ordered by quality, then as written", () => {
  expect(parseAccept("text/html;q=0.1, text/csv, application/json;q=0.9, x/y").map(essenceOf)).toEqual([
    "text/csv",
    "x/y",
    "application/json",
    "text/html",
  ]);
  expect(parseAccept(undefined)).toEqual([{ kind: "any" }]);
});

test.each([
  ["application/vnd.pgrst.object", "application/vnd.pgrst.object+json; charset=utf-8"],
  ["application/vnd.pgrst.array+json;nulls=stripped", "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8"],
  [
    'application/vnd.pgrst.plan; for="text/csv"; options=analyze|nonsense|wal',
    'application/vnd.pgrst.plan+text; for="text/csv"; options=analyze|wal; charset=utf-8',
  ],
  ["TEXT/CSV; version=1", "text/csv; charset=utf-8"],
  ["text/plain", "text/plain; charset=utf-8"],
  ["image/png", "image/png"],
])("%s is served as %s", (text, contentType) => {
  expect(contentTypeOf(parseMediaType(text))).toBe(contentType);
});
