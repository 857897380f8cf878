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
  const groups = [...left, ...Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0"), ...right];
  const network = groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/** An IPv4 address at the end stands for two groups. */
function groupsOf(text: string): string[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => (group.includes(".") ? ["0", "0"] : [group]));
}
