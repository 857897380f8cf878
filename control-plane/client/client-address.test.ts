import { expect, test } from "vitest";
import { addressBlockOf, clientAddressOf } from "./client-address.ts";

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

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:0001:2::6", "2001:db8:1:2::/64"],
  ["2001:db8::6", "2001:db8:0:0::/64"],
  ["1::2:3:4:5:6:7", "1:0:2:3::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["64:ff9b::192.0.2.1", "64:ff9b:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::FFFF:c000:201", "192.0.2.1"],
  ["0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"],
  ["", ""],
])("limits count %s as %s", (address, block) => {
  expect(addressBlockOf(address)).toBe(block);
});
