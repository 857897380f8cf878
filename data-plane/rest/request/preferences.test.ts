import { expect, test } from "vitest";
import { appliedPreferences, checkHandling, parsePreferences } from "./preferences.ts";

test("the first valid value of a kind counts; the rest is noted", () => {
  expect(parsePreferences("return=nothing, return=minimal,return=representation, count=exact, foo")).toMatchObject({
    return: "minimal",
    count: "exact",
    invalid: ["return=nothing", "foo"],
  });
});

test("strict handling names what is no preference", () => {
  expect(() => checkHandling(parsePreferences("handling=strict, a, b=c"))).toThrow(
    expect.objectContaining({ code: "PGRST122", details: "Invalid preferences: a, b=c" }),
  );
  expect(() => checkHandling(parsePreferences("handling=lenient, a"))).not.toThrow();
});

test("only what had an effect is told, in a settled order", () => {
  const preferences = parsePreferences(
    "max-affected=3,timezone=UTC,handling=strict,count=exact,return=minimal,missing=default",
  );
  const effect = { resolution: true, missing: true, return: true, count: true, tx: true, maxAffected: true };
  expect(appliedPreferences(preferences, effect)).toBe(
    "missing=default, return=minimal, count=exact, handling=strict, timezone=UTC, max-affected=3",
  );
  expect(appliedPreferences(parsePreferences("max-affected=3"), effect)).toBe(null);
});
