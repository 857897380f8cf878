/**
 * Accepting a WebSocket after the first turn of its request.
 *
 * The server library wants every write inside of some socket's cork and says so on standard error. Inside of the
 * response's own cork an upgrade is not safe: the library goes on to use the connection as the HTTP response it was
 * before, reads what is no longer there, and now and then takes a bit of it for "close when done" (one or two of 5,000
 * sockets were lost right after opening). So the upgrade is made inside of the cork of another socket, which we keep for
 * that: it is connected to ourselves and never sends anything.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { openPort } from "./listen.ts";
import { App, closeListenSocket, type HttpResponse, localPort, type TemplatedApp, type WebSocket } from "./uws.ts";

export class LateUpgrade {
  readonly #app: TemplatedApp;
  #holder: WebSocket<object> | null = null;
  #client: Socket | null = null;
  #closed = false;

  constructor() {
    this.#app = App().ws<object>("/*", {
      idleTimeout: 0,
      sendPingsAutomatically: false,
      open: (socket) => {
        this.#holder = socket;
      },
      close: () => {
        this.#holder = null;
      },
    });
  }

  /** Opens the socket that is kept. Until then, and should it be lost, an upgrade works and the library complains. */
  async open(): Promise<void> {
    const listening = await openPort(this.#app, 0, "127.0.0.1", false);
    const client = connect(localPort(listening), "127.0.0.1");
    client.on("error", () => {});
    client.unref();
    client.write(
      "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3VwYWxvdmUtY29yaw==\r\n\r\n",
    );
    await once(client, "data");
    closeListenSocket(listening);
    this.#client = client;
    if (this.#closed) this.close();
  }

  /** As the response's own `upgrade`, whose arguments these are. */
  upgrade<Data>(native: HttpResponse, ...given: Parameters<typeof native.upgrade<Data>>): void {
    if (this.#holder) this.#holder.cork(() => native.upgrade<Data>(...given));
    else native.upgrade<Data>(...given);
  }

  close(): void {
    this.#closed = true;
    this.#client?.destroy();
    this.#app.close();
  }
}
