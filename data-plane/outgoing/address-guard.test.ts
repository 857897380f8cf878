import { describe, expect, test } from "vitest";
import { AddressGuard, ForbiddenTarget } from "./address-guard.ts";

describe("an address that a tenant names", () => {
  const guard = new AddressGuard();

  test.each([
    ..."127.0.0.1 127.1.2.3 0.0.0.0 10.0.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 198.18.0.1".split(
      " ",
    ),
    ..."224.0.0.1 255.255.255.255 ::1 :: fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8".split(" "),
    ..."64:ff9b::7f00:1 2002:7f00:1:: 2001:db8::1 localhost 1 017700000001 0x7f000001".split(" "),
  ])("%s is refused", (address) => {
    expect(guard.allows(address)).toBe(false);
  });

  test.each(["8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1111"])("%s is allowed", (address) => {
    expect(guard.allows(address)).toBe(true);
  });

  test.each(["localhost", "127.0.0.1", "[::1]", "2130706433", "0x7f.1", "nowhere.invalid"])(
    "%s is resolved to nothing",
    async (host) => {
      await expect(guard.resolve(host)).rejects.toThrow(ForbiddenTarget);
    },
  );

  test("is allowed where the operator says so, and nothing beside it", async () => {
    const opened = new AddressGuard(["127.0.0.0/8", "fd00::/8", "10.1.2.3"]);
    await expect(opened.resolve("127.0.0.1")).resolves.toBe("127.0.0.1");
    expect(["10.1.2.3", "10.1.2.4", "fd12::1", "::1"].map((address) => opened.allows(address))).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });
});
