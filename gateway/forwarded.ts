/** Who the client is and how it reached us, when proxies that we trust stand in between. */
import { believedChain, type TrustedHops } from "../control-plane/client/client-address.ts";

export interface Forwarded {
  /** Address of the client. */
  readonly clientAddress: string;
  /** Value of X-Forwarded-For towards services. */
  readonly forwardedFor: string;
  readonly proto: "http" | "https";
  /** Host header as the client sent it to the first trusted hop. */
  readonly host: string;
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
  const believed = believedChain(hops, peer, sent.forwardedFor);
  return {
    clientAddress: believed[0],
    forwardedFor: believed.join(", "),
    proto: protoOf(sent.forwardedProto) ?? direct.proto,
    host: sent.forwardedHost.trim() || sent.host,
  };
}

function protoOf(header: string): "http" | "https" | null {
  const proto = header.trim().toLowerCase();
  return proto === "http" || proto === "https" ? proto : null;
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
