/**
 * Bounds what the kernel holds of a connection before we read it. The server library reads a connection until a read
 * does not fill its buffer of 512 KiB, also while the connection is paused: a sender that is fast enough keeps the event
 * loop in there as long as it likes, and all that it sends in memory. With less than a buffer to read, each read is the
 * last one. The price is a window of some 200 KB: 4 MB/s for one upload over 50 ms of round trip.
 *
 * Node has no call for it, so it is the C library's (koffi). Connections inherit it from the socket that listens.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The kernel takes twice as much, its own overhead included: below the library's buffer in any case. */
const RECEIVE_BYTES = 200_000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
/** State LISTEN in /proc/net/tcp. */
const LISTENING = "0A";

/** @returns Whether it could be done; only on Linux. */
export async function boundReceiveBuffer(port: number): Promise<boolean> {
  if (process.platform !== "linux") return false;
  try {
    const { default: koffi } = await import("koffi");
    const setsockopt = koffi
      .load(null)
      .func("int setsockopt(int socket, int level, int option, const int *value, unsigned int length)");
    const sockets = listeningOn(port);
    return sockets.length > 0 && sockets.every((fd) => setsockopt(fd, SOL_SOCKET, SO_RCVBUF, [RECEIVE_BYTES], 4) === 0);
  } catch {
    return false;
  }
}

/** Descriptors of this process that listen on the port. */
function listeningOn(port: number): number[] {
  const inodes = new Set(
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"].flatMap((table) => listeningInodes(table, port)),
  );
  return readdirSync("/proc/self/fd").flatMap((name) => {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/self/fd/${name}`))?.[1];
    return inode !== undefined && inodes.has(inode) ? [Number(name)] : [];
  });
}

function listeningInodes(table: string, port: number): string[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return readFileSync(table, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
      return local.endsWith(wanted) && state === LISTENING ? [inode] : [];
    });
}

/** Empty for one that has been closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
