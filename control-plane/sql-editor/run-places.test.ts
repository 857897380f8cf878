import { expect, test } from "vitest";
import { createRunPlaces } from "./run-places.ts";

test("a project runs four scripts at once, and again when one has ended", () => {
  const places = createRunPlaces();
  const [giveBack] = [1, 2, 3, 4].map(() => places.take("a"));
  expect(() => places.take("a")).toThrow("too many SQL scripts");
  places.take("b");
  giveBack?.();
  places.take("a");
});

test("all projects together run sixteen", () => {
  const places = createRunPlaces();
  for (const ref of "abcd") for (let run = 0; run < 4; run++) places.take(ref);
  expect(() => places.take("e")).toThrow("too many SQL scripts");
});
