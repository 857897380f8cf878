/**
 * Who a request comes from, as far as an address tells: the one module by which control plane and gateway know their
 * clients. Services take the gateway's word.
 */
import { BlockList, isIP, isIPv6 } from "node:net";

/** Addresses of proxies of ours, whose X-Forwarded-* headers are believed. */
export class TrustedHops {
  readonly #list = new BlockList();
  readonly isEmpty: boolean;

  /** @param ranges Addresses or CIDR ranges. @throws {TypeError} for anything else. */
  constructor(ranges: readonly string[]) {
    this.isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const [address = "", bits] = range.split("/");
      const family = isIP(address);
      const prefix = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits);
      if (family === 0 || !Number.isInteger(prefix)) throw new TypeError(`not an address or CIDR range: ${range}`);
      this.#list.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6");
    }
  }

  has(address: string): boolean {
    if (this.isEmpty) return false;
    const plain = unmapped(address);
    const family = isIP(plain);
    return family !== 0 && this.#list.check(plain, family === 4 ? "ipv4" : "ipv6");
  }
}

/**
 * From the client to the peer that is connected to us, as far as hops of ours have told. Each appends the address that it
 * was reached from, so what a client has written into the header itself stands further left and is never read.
 * @param forwardedFor X-Forwarded-For as it was sent; of a peer that is none of ours it is not read at all.
 * @returns At least the peer; the first is the client.
 */
export function believedChain(
  hops: TrustedHops,
  peer: string,
  forwardedFor: string | readonly string[] | undefined,
): readonly [client: string, ...hops: string[]] {
  const believed: [string, ...string[]] = [unmapped(peer)];
  if (hops.isEmpty) return believed;
  const chain = [forwardedFor ?? []].flat().join(",").split(",");
  while (chain.length > 0 && hops.has(believed[0])) {
    const next = unmapped(stripPort((chain.pop() ?? "").trim()));
    if (isIP(next) === 0) break;
    believed.unshift(next);
  }
  return believed;
}

/** `1.2.3.4:5` and `[::1]:5` as some proxies write them. */
function stripPort(address: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(address);
  if (bracketed) return bracketed[1] as string;
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(address) ? address.slice(0, address.indexOf(":")) : address;
}

/** An IPv4 address that came over an IPv6 socket, as IPv4. */
function unmapped(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, "");
}

/**
 * What limits by address go by: an IPv4 address, or the /64 of an IPv6 one. A single host is given that many, and could
 * otherwise come with a new address each time. Pure.
 */
export function addressBlockOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail = ""] = address.replace(/%.*$/, "").split("::");
  const [left, right] = [groupsOf(head), groupsOf(tail)];
  const groups = [...left, ...Array<number>(Math.max(0, 8 - left.length - right.length)).fill(0), ...right];
  const [sixth = 0, seventh = 0, eighth = 0] = groups.slice(5);
  // An IPv4 address in IPv6 clothes (::ffff:0:0/96): one bucket for the whole of IPv4 would be everybody's.
  if (sixth === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return [seventh >> 8, seventh & 255, eighth >> 8, eighth & 255].join(".");
  }
  const network = groups.slice(0, 4).map((group) => group.toString(16));
  return `${network.join(":")}::/64`;
}

/** An IPv4 address at the end stands for two groups. */
function groupsOf(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}
