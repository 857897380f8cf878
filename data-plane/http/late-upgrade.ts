/**
 * Accepting a WebSocket after the first turn of its request.
 *
 * The server library wants every write inside of some socket's cork and says so on standard error. Inside of the
 * response's own cork an upgrade is not safe: the library goes on to use the connection as the HTTP response it was
 * before, reads what is no longer there, and now and then takes a bit of it for "close when done" (one or two of 5,000
 * sockets were lost right after opening). So the upgrade is made inside of the cork of another response, which we keep for
 * that: to a request of our own that is never answered.
 */
import { connect, type Socket } from "node:net";
import { openPort } from "./listen.ts";
import { App, closeListenSocket, type HttpResponse, localPort, type TemplatedApp } from "./uws.ts";

export class LateUpgrade {
  readonly #app: TemplatedApp;
  readonly #ready = Promise.withResolvers<void>();
  #holder: HttpResponse | null = null;
  #client: Socket | null = null;

  constructor() {
    this.#app = App().any("/*", (response) => {
      response.onAborted(() => {
        this.#holder = null;
      });
      this.#holder = response;
      this.#ready.resolve();
    });
  }

  /** Makes the request that is kept. Until then, and should it be lost, an upgrade works and the library complains. */
  async open(): Promise<void> {
    const listening = await openPort(this.#app, 0, "127.0.0.1", false);
    const client = connect(localPort(listening), "127.0.0.1");
    this.#client = client;
    client.on("error", this.#ready.reject);
    client.unref();
    client.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await this.#ready.promise;
    closeListenSocket(listening);
  }

  /** As the response's own `upgrade`, whose arguments these are. */
  upgrade<Data>(native: HttpResponse, ...given: Parameters<typeof native.upgrade<Data>>): void {
    if (this.#holder) this.#holder.cork(() => native.upgrade<Data>(...given));
    else native.upgrade<Data>(...given);
  }

  close(): void {
    this.#client?.destroy();
    this.#app.close();
  }
}
