/** An upstream that says byte for byte what a test wants, and remembers what it was told. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

export interface RawUpstream {
  readonly origin: string;
  /** Connections accepted so far. */
  readonly connections: readonly Socket[];
  /** All that was received, a string a connection. */
  readonly received: string[];
  close(): Promise<void>;
}

type Respond = (socket: Socket, head: string, count: number) => void;

/**
 * @param respond Called for each request; `count` numbers them over all connections.
 * @param when As soon as the head is there, or when the body is there too.
 */
export async function startRawUpstream(respond: Respond, when: "head" | "body" = "body"): Promise<RawUpstream> {
  const connections: Socket[] = [];
  const received: string[] = [];
  let count = 0;
  const server = createServer((socket) => {
    const index = connections.push(socket) - 1;
    received.push("");
    let unread = "";
    let answered = false;
    socket.on("error", () => {});
    socket.on("data", (data) => {
      const text = data.toString("latin1");
      received[index] += text;
      unread += text;
      while (true) {
        const headEnd = unread.indexOf("\r\n\r\n");
        if (headEnd === -1) return;
        const head = unread.slice(0, headEnd);
        const end = bodyEnd(unread, head, headEnd + 4);
        if (!answered && (end !== -1 || when === "head")) {
          answered = true;
          count += 1;
          respond(socket, head, count);
        }
        if (end === -1) return;
        unread = unread.slice(end);
        answered = false;
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections,
    received,
    async close() {
      for (const socket of connections) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, "close");
    },
  };
}

/** @returns Where the request ends, -1 when not all of it is there. */
function bodyEnd(text: string, head: string, from: number): number {
  const length = /^content-length: (\d+)\r?$/m.exec(head)?.[1];
  if (length !== undefined) return text.length - from >= Number(length) ? from + Number(length) : -1;
  if (!/^transfer-encoding: chunked\r?$/m.test(head)) return from;
  const last = /(?:^|\r\n)0\r\n\r\n/.exec(text.slice(from));
  return last ? from + last.index + last[0].length : -1;
}

export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
