/** A client of the service without a network: frames go in and out of memory. For tests. */
import type { ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import type { ClientSocket, SocketHandler } from "../../socket-service.ts";
import type { RealtimeService } from "../service.ts";

export interface ReceivedMessage {
  readonly topic: string;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  readonly payload: any;
  readonly ref: string | null;
  readonly joinRef: string | null;
  /** Of a text frame. */
  readonly text: string;
}

const WAIT_MS = 15_000;

export class MemoryClient implements ClientSocket {
  readonly received: ReceivedMessage[] = [];
  readonly binary: Buffer[] = [];
  /** Set once it was closed. */
  closeCode: number | null = null;
  /** What a client that does not read lets pile up. */
  bufferedBytes = 0;
  isReading = true;
  #handler: SocketHandler;
  #ref = 0;
  #waiting = new Set<() => void>();

  private constructor(handler: SocketHandler) {
    this.#handler = handler;
    handler.opened(this);
  }

  /** @throws {Error} with the status and text of a refusal. */
  static async open(
    service: RealtimeService,
    snapshot: ServiceSnapshot,
    token: string,
    vsn = "2.0.0",
  ): Promise<MemoryClient> {
    const opening = await service.openSocket(
      {
        path: "/socket/websocket",
        query: `vsn=${vsn}`,
        headers: { "x-api-key": token },
        publicUrl: "",
        publicPath: "",
        clientAddress: "127.0.0.1",
        requestId: "test",
        signal: new AbortController().signal,
      },
      snapshot,
    );
    if (opening.kind === "refuse") throw new Error(`${opening.response.status} ${opening.response.body}`);
    return new MemoryClient(opening.handler);
  }

  send(data: string | Uint8Array, isBinary: boolean): void {
    if (!this.isReading) this.bufferedBytes += data.length;
    if (isBinary) this.binary.push(Buffer.from(data as Uint8Array));
    else {
      const text = typeof data === "string" ? data : Buffer.from(data).toString();
      const value = JSON.parse(text);
      if (Array.isArray(value)) {
        const [joinRef, ref, topic, event, payload] = value;
        this.received.push({ joinRef, ref, topic, event, payload, text });
      } else this.received.push({ joinRef: null, ...value, text });
    }
    for (const look of this.#waiting) look();
  }

  cork(work: () => void): void {
    work();
  }

  close(code: number): void {
    this.end(code);
  }

  terminate(): void {
    this.end(1006);
  }

  /** The connection is over. */
  end(code = 1005): void {
    if (this.closeCode !== null) return;
    this.closeCode = code;
    this.#handler.closed(code);
    for (const look of this.#waiting) look();
  }

  /** A text frame of version 2. @returns Its ref. */
  push(topic: string, event: string, payload: unknown, joinRef: string | null = null): string {
    this.#ref += 1;
    const ref = String(this.#ref);
    this.raw(JSON.stringify([joinRef ?? (event === "phx_join" ? ref : null), ref, topic, event, payload]));
    return ref;
  }

  raw(frame: string | Buffer): void {
    const bytes = Buffer.from(frame as string);
    this.#handler.message(new Uint8Array(bytes).buffer as ArrayBuffer, typeof frame !== "string");
  }

  /** The answer to a join. */
  async join(topic: string, config: object = {}, token?: string): Promise<ReceivedMessage> {
    const payload = { config, ...(token !== undefined && { access_token: token }) };
    const ref = this.push(`realtime:${topic}`, "phx_join", payload);
    return this.until(({ event, ref: answered }) => event === "phx_reply" && answered === ref);
  }

  /** Joins and waits until the bindings are active. @returns The `system` message that says so, or why not. */
  async follow(topic: string, bindings: readonly object[], token?: string): Promise<string> {
    const from = this.received.length;
    await this.join(topic, { postgres_changes: bindings }, token);
    const { payload } = await this.until(
      (message) => message.event === "system" && message.topic === `realtime:${topic}`,
      from,
    );
    return payload.status === "ok" ? "ok" : payload.message;
  }

  /** The first message from a position on that is looked for. */
  async until(isMeant: (message: ReceivedMessage) => boolean, from = 0): Promise<ReceivedMessage> {
    const found = () => this.received.slice(from).find(isMeant);
    await this.when(() => found() !== undefined);
    return found() as ReceivedMessage;
  }

  /** Resolves when the condition holds after a message or the end. @throws {Error} when it does not in time. */
  when(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const look = () => {
        if (!holds()) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const last = this.received.slice(-5).map(({ text }) => text.slice(0, 300));
        reject(new Error(`what was waited for did not come; last came ${last.join("\n")}`));
      }, WAIT_MS);
      this.#waiting.add(look);
    });
  }

  /** Data of the changes that came so far. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  get changes(): any[] {
    return this.received.filter(({ event }) => event === "postgres_changes").map(({ payload }) => payload.data);
  }
}
