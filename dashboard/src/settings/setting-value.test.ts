import { describe, expect, test } from "vitest";
import { describeValue, fromDraft, isSameValue, settingLabel, toDraft } from "./setting-value.ts";

const setting = (type: string, isNullable = false) => ({ type, isNullable });

describe("a value comes back from the field as it went in", () => {
  test.each([
    ["Boolean", true],
    ["Int", 1000],
    ["Float", 53_687_091_200],
    ["String", "https://app.example.com"],
    ["[String]", ["public", "graphql_public"]],
    ["JSON", { key: "value" }],
    ["Enum", "FOLLOW_PRIVILEGES"],
  ])("%s", (type, value) => {
    expect(fromDraft(setting(type), toDraft(setting(type), value))).toEqual({ value });
  });
});

test("an empty number is null where null is a value, and a problem elsewhere", () => {
  expect(fromDraft(setting("Int", true), " ")).toEqual({ value: null });
  expect(fromDraft(setting("Int"), "")).toEqual({ problem: expect.any(String) });
});

test.each(["12.5", "1e3", "many", "0x10"])("%s is no whole number", (text) => {
  expect(fromDraft(setting("Int"), text)).toEqual({ problem: expect.any(String) });
});

test("what is no JSON is told before it is sent", () => {
  expect(fromDraft(setting("JSON"), "{")).toEqual({ problem: expect.stringContaining("no JSON") });
});

test.each([
  ["jwtExpSeconds", "JWT exp seconds"],
  ["uriAllowList", "URI allow list"],
  ["corsOrigins", "CORS origins"],
])("%s is shown as %s", (name, label) => {
  expect(settingLabel(name)).toBe(label);
});

test("values are told in words", () => {
  expect(describeValue(setting("Boolean"), false)).toBe("off");
  expect(describeValue(setting("Int"), null)).toBe("none");
  expect(describeValue(setting("[String]"), [])).toBe("none");
  expect(isSameValue(undefined, null)).toBe(true);
});
