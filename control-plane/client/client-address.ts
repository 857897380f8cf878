/** Who a request comes from, as far as an address tells. */
import { isIPv6 } from "node:net";

/**
 * The address that the outermost trusted proxy saw. Each proxy appends the address it was reached from, so what a
 * client has written into the header itself stands further left and is never read. Pure.
 */
export function clientAddressOf(
  socketAddress: string,
  forwardedFor: string | readonly string[] | undefined,
  trustedProxyHops: number,
): string {
  const forwarded = [forwardedFor ?? []].flat().join(",").split(",");
  const chain = [...forwarded.map((address) => address.trim()).filter((address) => address !== ""), socketAddress];
  const address = chain[Math.max(0, chain.length - 1 - trustedProxyHops)] ?? socketAddress;
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
