import { expect, test } from "vitest";
import { isFramingHeader, isHeader } from "./header.ts";

test("nothing that would end the header can be part of it", () => {
  expect(isHeader("X-A", "b c\té")).toBe(true);
  for (const [name, value] of [
    ["X-A", "b\r\nSet-Cookie: x"],
    ["X-A", "b\0"],
    ["X A", "b"],
    ["", "b"],
    ["X-A:", "b"],
  ] as const) {
    expect(isHeader(name, value)).toBe(false);
  }
});

test("framing belongs to the host", () => {
  expect(isFramingHeader("Content-Length")).toBe(true);
  expect(isFramingHeader("Transfer-Encoding")).toBe(true);
  expect(isFramingHeader("Content-Type")).toBe(false);
});
