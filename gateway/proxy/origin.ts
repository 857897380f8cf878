/** Where an upstream is, and the memory that its sockets read into. */

export interface Origin {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** @param origin Such as `http://rest:3000`. @throws {TypeError} */
export function parseOrigin(origin: string): Origin {
  const url = new URL(origin);
  const tls = url.protocol === "https:";
  if (!tls && url.protocol !== "http:") throw new TypeError("an upstream's origin is an http or https URL");
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port) || (tls ? 443 : 80), tls };
}

const SHARED_BYTES = 256 * 1024;
let shared: Buffer | null = null;

/**
 * All sockets read into the same memory. That is safe where the event loop reads and calls back in one go (epoll,
 * kqueue); on Windows a read is handed to the kernel beforehand, so each socket gets memory of its own there.
 */
export function readMemory(): Buffer {
  if (process.platform === "win32") return Buffer.allocUnsafeSlow(64 * 1024);
  shared ??= Buffer.allocUnsafeSlow(SHARED_BYTES);
  return shared;
}
