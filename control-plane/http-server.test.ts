import { expect, test } from "vitest";
import { clientAddressOf } from "./http-server.ts";

test.each([
  ["without a trusted proxy the header is not read", 0, "10.0.0.1"],
  ["one trusted proxy: the address it appended", 1, "198.51.100.7"],
  ["two trusted proxies", 2, "203.0.113.9"],
  ["more trust than entries ends at the first entry", 9, "192.0.2.66"],
])("%s", (_name, hops, expected) => {
  expect(clientAddressOf("10.0.0.1", "192.0.2.66, 203.0.113.9, 198.51.100.7", hops)).toBe(expected);
});

test("an IPv4 address is written as one", () => {
  expect(clientAddressOf("::ffff:127.0.0.1", undefined, 0)).toBe("127.0.0.1");
});
