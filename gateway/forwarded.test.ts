import { describe, expect, test } from "vitest";
import { TrustedHops } from "../control-plane/client/client-address.ts";
import { addressText, readForwarded } from "./forwarded.ts";

const sent = { host: "gateway", forwardedFor: "", forwardedProto: "", forwardedHost: "" };

describe("readForwarded", () => {
  test("believes nobody by default", () => {
    const headers = { ...sent, forwardedFor: "1.1.1.1", forwardedProto: "https", forwardedHost: "evil" };
    expect(readForwarded(new TrustedHops([]), "9.9.9.9", false, headers)).toEqual({
      clientAddress: "9.9.9.9",
      forwardedFor: "9.9.9.9",
      proto: "http",
      host: "gateway",
    });
  });

  test("takes the right-most address that is no trusted hop, and drops what stands left of it", () => {
    const hops = new TrustedHops(["10.0.0.0/8"]);
    const headers = {
      ...sent,
      forwardedFor: "6.6.6.6, 1.2.3.4:567, 10.0.0.7",
      forwardedProto: "HTTPS",
      forwardedHost: "app",
    };
    expect(readForwarded(hops, "10.0.0.1", false, headers)).toEqual({
      clientAddress: "1.2.3.4",
      forwardedFor: "1.2.3.4, 10.0.0.7, 10.0.0.1",
      proto: "https",
      host: "app",
    });
  });

  test("a trusted hop that says nothing is the client", () => {
    const forwarded = readForwarded(new TrustedHops(["::1", "127.0.0.1"]), "127.0.0.1", true, sent);
    expect(forwarded).toMatchObject({ clientAddress: "127.0.0.1", proto: "https" });
  });

  test("IPv6 hops and clients, however they are written", () => {
    const hops = new TrustedHops(["fd00::/8", "10.0.0.0/8"]);
    const headers = { ...sent, forwardedFor: "6.6.6.6, [2001:db8::7]:443, fd00::2, ::ffff:10.0.0.9" };
    expect(readForwarded(hops, "fd00::1", false, headers)).toMatchObject({
      clientAddress: "2001:db8::7",
      forwardedFor: "2001:db8::7, fd00::2, 10.0.0.9, fd00::1",
    });
    // An address that no proxy writes must do no harm.
    const zoned = { ...sent, forwardedFor: "fd00::1%eth0, fd00::2%eth0" };
    expect(() => readForwarded(hops, "fd00::1", false, zoned)).not.toThrow();
  });

  test("stops at what is no address", () => {
    const headers = { ...sent, forwardedFor: "1.2.3.4, <script>" };
    expect(readForwarded(new TrustedHops(["10.0.0.1"]), "10.0.0.1", false, headers).clientAddress).toBe("10.0.0.1");
  });
});

test("addresses are written in their short form", () => {
  const bytes = (...values: number[]) => new Uint8Array(values).buffer;
  expect(addressText(bytes(127, 0, 0, 1))).toBe("127.0.0.1");
  expect(addressText(bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1))).toBe("10.0.0.1");
  expect(addressText(bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))).toBe("::1");
});
