/**
 * Bounds what one run may send us at all. The limits of the results are not enough: they are asked once a message is
 * complete, and a single value or notice may have a gigabyte, more than a JavaScript string can hold.
 */
import type { Duplex } from "node:stream";
import type pg from "pg";

/** Calls `onExceeded` and cuts the connection when more than `maxBytes` have come in on it from now on. */
export function limitReceivedBytes(client: pg.Client, maxBytes: number, onExceeded: () => void): void {
  // `@types/pg` does not show the connection; with TLS its stream is the decrypted one by now.
  const { stream } = (client as unknown as { connection: { stream: Duplex } }).connection;
  let received = 0;
  stream.on("data", (chunk: Buffer) => {
    if (received > maxBytes) return;
    received += chunk.length;
    if (received <= maxBytes) return;
    onExceeded();
    stream.destroy(); // the server ends the statement when it finds nobody to send to
  });
}
