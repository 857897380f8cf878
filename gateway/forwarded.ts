/** Who the client is and how it reached us, when proxies that we trust stand in between. */
import { BlockList, isIP } from "node:net";

export interface Forwarded {
  /** Address of the client. */
  readonly clientAddress: string;
  /** Value of X-Forwarded-For towards services. */
  readonly forwardedFor: string;
  readonly proto: "http" | "https";
  /** Host header as the client sent it to the first trusted hop. */
  readonly host: string;
}

/** Addresses of proxies whose X-Forwarded-* headers are believed. */
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
    const family = isIP(address);
    return family !== 0 && this.#list.check(address, family === 4 ? "ipv4" : "ipv6");
  }
}

/** As sent; empty when not. */
export interface ForwardedHeaders {
  readonly host: string;
  readonly forwardedFor: string;
  readonly forwardedProto: string;
  readonly forwardedHost: string;
}

/**
 * From a trusted peer the right-most address in X-Forwarded-For that is no trusted hop itself is the client; what
 * stands to its left could have been written by anybody and is not passed on.
 */
export function readForwarded(hops: TrustedHops, peer: string, tls: boolean, sent: ForwardedHeaders): Forwarded {
  const direct = { clientAddress: peer, forwardedFor: peer, proto: tls ? "https" : "http", host: sent.host } as const;
  if (hops.isEmpty || !hops.has(peer)) return direct;
  const chain = sent.forwardedFor.split(",").map((address) => stripPort(address.trim()));
  const believed: string[] = [peer];
  while (chain.length > 0 && hops.has(believed[0] as string)) {
    const next = chain.pop() as string;
    if (isIP(next) === 0) break;
    believed.unshift(next);
  }
  return {
    clientAddress: believed[0] as string,
    forwardedFor: believed.join(", "),
    proto: protoOf(sent.forwardedProto) ?? direct.proto,
    host: sent.forwardedHost.trim() || sent.host,
  };
}

function protoOf(header: string): "http" | "https" | null {
  const proto = header.trim().toLowerCase();
  return proto === "http" || proto === "https" ? proto : null;
}

/** `1.2.3.4:5` and `[::1]:5` as some proxies write them. */
function stripPort(address: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(address);
  if (bracketed) return bracketed[1] as string;
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(address) ? address.slice(0, address.indexOf(":")) : address;
}

/** Text of a binary address of 4 or 16 bytes; IPv4 in IPv6 (`::ffff:0:0/96`) as IPv4. */
export function addressText(binary: ArrayBuffer): string {
  const bytes = new Uint8Array(binary);
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) return "";
  const mapped = bytes[10] === 255 && bytes[11] === 255 && bytes.subarray(0, 10).every((byte) => byte === 0);
  if (mapped) return `${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
  const view = new DataView(binary);
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2).toString(16)).join(":");
  // The URL parser knows the canonical short form (RFC 5952).
  return new URL(`http://[${groups}]`).hostname.slice(1, -1);
}
