import { expect, test } from "vitest";
import { addressBlockOf, believedChain, TrustedHops } from "./client-address.ts";

const FORWARDED = "192.0.2.66, 203.0.113.9, 198.51.100.7";

test.each([
  ["without a hop of ours the header is not read", [], "10.0.0.1"],
  ["nor from a peer that is none of ours", ["10.9.9.9"], "10.0.0.1"],
  ["one hop: the address that it was reached from", ["10.0.0.1"], "198.51.100.7"],
  ["two hops", ["10.0.0.0/8", "198.51.100.0/24"], "203.0.113.9"],
  ["more trust than entries ends at the first entry", ["0.0.0.0/0"], "192.0.2.66"],
])("%s", (_name, ranges, expected) => {
  expect(believedChain(new TrustedHops(ranges), "10.0.0.1", FORWARDED)[0]).toBe(expected);
});

test("an IPv4 address is written as one, and known as a hop, also when it came over IPv6", () => {
  expect(believedChain(new TrustedHops([]), "::ffff:127.0.0.1", undefined)).toEqual(["127.0.0.1"]);
  const hops = new TrustedHops(["127.0.0.1"]);
  expect(believedChain(hops, "::ffff:127.0.0.1", "::ffff:192.0.2.1")).toEqual(["192.0.2.1", "127.0.0.1"]);
});

test.each(["nonsense", "10.0.0.0/x"])("%s is no range", (range) => {
  expect(() => new TrustedHops([range])).toThrow(TypeError);
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
