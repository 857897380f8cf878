/** A WebSocket client as lean as can be, so that tens of thousands fit into the process that makes the load. */
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

export class RawSocket {
  readonly #socket: Socket;
  readonly #onFrame: (payload: Buffer, socket: RawSocket) => void;
  #pending: Buffer | null = null;
  isOpen = false;
  /** It was open, and is not any more though nobody has asked for it. */
  isLost = false;
  #isEnding = false;

  private constructor(socket: Socket, onFrame: (payload: Buffer, socket: RawSocket) => void) {
    this.#socket = socket;
    this.#onFrame = onFrame;
  }

  /** Resolves when the handshake is over. @throws {Error} with the status line of a refusal. */
  static open(port: number, target: string, onFrame: (payload: Buffer, socket: RawSocket) => void): Promise<RawSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      const raw = new RawSocket(socket, onFrame);
      socket.on("error", reject);
      socket.on("close", () => {
        raw.isLost = raw.isOpen && !raw.#isEnding;
        raw.isOpen = false;
        reject(new Error("the connection was closed"));
      });
      socket.write(
        `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
          `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`,
      );
      let head = Buffer.alloc(0);
      const onHead = (chunk: Buffer) => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) return;
        const status = head.toString("latin1", 0, head.indexOf("\r\n"));
        if (!status.includes(" 101 ")) {
          reject(new Error(status));
          socket.destroy();
          return;
        }
        socket.off("data", onHead);
        raw.isOpen = true;
        socket.on("data", (data: Buffer) => raw.#feed(data));
        if (head.length > end + 4) raw.#feed(head.subarray(end + 4));
        resolve(raw);
      };
      socket.on("data", onHead);
    });
  }

  /** A masked text frame. */
  sendText(text: string): void {
    this.#send(0x81, Buffer.from(text));
  }

  sendBinary(payload: Buffer): void {
    this.#send(0x82, payload);
  }

  end(): void {
    this.#isEnding = true;
    this.#socket.destroy();
  }

  #send(first: number, payload: Buffer): void {
    const head = payload.length < 126 ? Buffer.alloc(6) : Buffer.alloc(8);
    head[0] = first;
    head[1] = 0x80 | (payload.length < 126 ? payload.length : 126);
    if (payload.length >= 126) head.writeUInt16BE(payload.length, 2);
    // A mask of zeroes leaves the payload as it is.
    this.#socket.write(Buffer.concat([head, payload]));
  }

  #feed(chunk: Buffer): void {
    let data = this.#pending ? Buffer.concat([this.#pending, chunk]) : chunk;
    this.#pending = null;
    while (data.length >= 2) {
      const short = (data[1] as number) & 0x7f;
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (data.length < headBytes) break;
      const bytes = short < 126 ? short : short === 126 ? data.readUInt16BE(2) : Number(data.readBigUInt64BE(2));
      if (data.length < headBytes + bytes) break;
      this.#onFrame(data.subarray(headBytes, headBytes + bytes), this);
      data = data.subarray(headBytes + bytes);
    }
    if (data.length > 0) this.#pending = data;
  }
}
