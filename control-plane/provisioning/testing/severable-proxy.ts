/** For tests: a way to a server that can be cut and mended, as when the server is away for a while. */
import { connect, createServer, type Socket } from "node:net";

export interface SeverableProxy extends AsyncDisposable {
  readonly port: number;
  /** Ends every connection and answers none. */
  sever(): void;
  mend(): void;
  /** What is connected stays so and nothing passes any more, as when the other machine has lost its power. */
  freeze(): void;
}

export async function startSeverableProxy(target: { host: string; port: number }): Promise<SeverableProxy> {
  const sockets = new Set<Socket>();
  let severed = false;
  const server = createServer((inbound) => {
    if (severed) return void inbound.resetAndDestroy();
    const outbound = connect(target.port, target.host);
    for (const socket of [inbound, outbound]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        inbound.destroy();
        outbound.destroy();
      });
    }
    inbound.pipe(outbound).pipe(inbound);
  }).listen(0, "127.0.0.1");
  await new Promise((listening) => server.once("listening", listening));
  const { port } = server.address() as { port: number };
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port,
    sever() {
      severed = true;
      cut();
    },
    mend() {
      severed = false;
    },
    freeze() {
      for (const socket of sockets) {
        socket.unpipe();
        socket.pause();
      }
    },
    async [Symbol.asyncDispose]() {
      cut();
      await new Promise((closed) => server.close(closed));
    },
  };
}
