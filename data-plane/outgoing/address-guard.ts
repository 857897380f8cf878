/**
 * Addresses that a tenant's settings may have us connect to. Without this guard a mail server or hook named by a tenant
 * could be the installation's own database, another machine of its network, or a cloud's metadata service.
 */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";

/** The target may not be reached, or has no address; the message may be shown to the tenant. */
export class ForbiddenTarget extends Error {}

/** Special-purpose ranges of the IANA registries; none of them is a server on the Internet. */
const FORBIDDEN: readonly (readonly [string, number, "ipv4" | "ipv6"])[] = [
  ["0.0.0.0", 8, "ipv4"],
  ["10.0.0.0", 8, "ipv4"],
  ["100.64.0.0", 10, "ipv4"],
  ["127.0.0.0", 8, "ipv4"],
  ["169.254.0.0", 16, "ipv4"],
  ["172.16.0.0", 12, "ipv4"],
  ["192.0.0.0", 24, "ipv4"],
  ["192.0.2.0", 24, "ipv4"],
  ["192.88.99.0", 24, "ipv4"],
  ["192.168.0.0", 16, "ipv4"],
  ["198.18.0.0", 15, "ipv4"],
  ["198.51.100.0", 24, "ipv4"],
  ["203.0.113.0", 24, "ipv4"],
  ["224.0.0.0", 3, "ipv4"],
];
/** Of IPv6 only what is handed out as global unicast is allowed, without what embeds an IPv4 address. */
const GLOBAL_UNICAST = ["2000::", 3] as const;
const EMBEDDING: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];

export class AddressGuard {
  readonly #forbidden = new BlockList();
  readonly #global = new BlockList();
  readonly #allowed = new BlockList();

  /** @param allowed Addresses and CIDR ranges that the operator lets tenants use all the same. */
  constructor(allowed: readonly string[] = []) {
    for (const [address, bits, family] of FORBIDDEN) this.#forbidden.addSubnet(address, bits, family);
    for (const [address, bits] of EMBEDDING) this.#forbidden.addSubnet(address, bits, "ipv6");
    this.#global.addSubnet(...GLOBAL_UNICAST, "ipv6");
    // This machine's own public addresses lead to its own ports.
    for (const { address, family } of Object.values(networkInterfaces()).flatMap((list) => list ?? []))
      this.#forbidden.addAddress(address, family === "IPv6" ? "ipv6" : "ipv4");
    for (const range of allowed) addRange(this.#allowed, range);
  }

  allows(address: string): boolean {
    const version = isIP(address);
    if (version === 0) return false;
    if (version === 4) return this.#allowed.check(address, "ipv4") || !this.#forbidden.check(address, "ipv4");
    if (this.#allowed.check(address, "ipv6")) return true;
    return this.#global.check(address, "ipv6") && !this.#forbidden.check(address, "ipv6");
  }

  /**
   * The address to connect to: it is looked up once and must be used as it is, since a name that is looked up again may
   * lead elsewhere. @throws {ForbiddenTarget}
   */
  async resolve(host: string): Promise<string> {
    const bare = host.replace(/^\[(.*)\]$/, "$1");
    const addresses = isIP(bare) ? [bare] : await namesOf(bare);
    const allowed = addresses.find((address) => this.allows(address));
    if (allowed === undefined) throw new ForbiddenTarget(`${host} is not an address on the public Internet`);
    return allowed;
  }
}

async function namesOf(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true, verbatim: true }).catch((error: NodeJS.ErrnoException) => {
    throw new ForbiddenTarget(`${host} has no address (${error.code})`);
  });
  return found.map(({ address }) => address);
}

function addRange(list: BlockList, range: string): void {
  const [address = "", bits] = range.split("/");
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (bits === undefined) list.addAddress(address, family);
  else list.addSubnet(address, Number(bits), family);
}
