/**
 * What listens for clients. Plain HTTP is one app of the server library, for good. With TLS there is a new app whenever a
 * certificate in use has changed or is gone, and it takes the port over: within an app a name cannot be taken back while
 * connections under it are open (the library frees the name's routes, and their next request brings the process down).
 */
import { openPort } from "../data-plane/http/listen.ts";
import {
  App,
  closeListenSocket,
  type ListenSocket,
  localPort,
  SSLApp,
  type TemplatedApp,
} from "../data-plane/http/uws.ts";
import type { Logger } from "./logger.ts";
import { type Certificate, CertificateWatcher, defaultCertificate, listCertificates, type TlsOptions } from "./tls.ts";

/** An app and the connections on it. */
export interface Generation {
  readonly app: TemplatedApp;
  /** Another app has the port: connections on this one are told to close with their next response. */
  retired: boolean;
  /** Names that have a certificate of their own on it. */
  readonly names: string[];
}

export interface ListenerOptions {
  /** Left out: plain HTTP. */
  readonly tls?: TlsOptions;
  /** Share the port with other processes on this machine; else a port in use is an error. */
  readonly sharePort: boolean;
  /** Sets the routes of an app. With TLS each host name has routes of its own: it is called again for each. */
  readonly register: (generation: Generation) => void;
  /** The app is about to be closed: long-lived connections on it are sent away within the given time. */
  readonly sendAway: (generation: Generation, withinMs: number) => Promise<void>;
  readonly logger: Logger;
}

/** How long downloads and WebSockets outlive a change of certificates; afterwards WebSockets are sent away spread over: */
const RETIREMENT_MS = 1_800_000;
const SEND_AWAY_MS = 60_000;

export class Listener {
  readonly isTls: boolean;
  readonly #options: ListenerOptions;
  readonly #watcher: CertificateWatcher | null = null;
  readonly #retired = new Map<Generation, NodeJS.Timeout>();
  #current: Generation;
  #address: { readonly port: number; readonly host: string } | null = null;
  #socket: ListenSocket | null = null;

  /** @throws When there is no usable default certificate. */
  constructor(options: ListenerOptions) {
    this.#options = options;
    const { tls } = options;
    this.isTls = tls !== undefined;
    if (!tls) {
      this.#current = this.#newGeneration(App());
      return;
    }
    const given = defaultCertificate(listCertificates(tls.directory));
    this.#current = this.#newGeneration(tlsApp(given));
    const user = {
      add: (certificate: Certificate) => this.#addName(this.#current, certificate),
      replace: (certificates: ReadonlyMap<string, Certificate>) => void this.#replace(certificates),
    };
    this.#watcher = new CertificateWatcher(tls, given, user, options.logger);
  }

  /** @param port 0 takes a free one. @throws When the port cannot be had. */
  async listen(port: number, host: string): Promise<{ port: number }> {
    const { sharePort } = this.#options;
    this.#socket = await openPort(this.#current.app, port, host, sharePort);
    this.#address = { port: localPort(this.#socket), host };
    if (this.isTls && !sharePort) {
      // It was ours alone; from here on the next generation must be able to listen beside this one.
      closeListenSocket(this.#socket);
      this.#socket = await openPort(this.#current.app, this.#address.port, host, true);
    }
    return { port: this.#address.port };
  }

  /** Takes no new connections. */
  stop(): void {
    this.#watcher?.close();
    if (this.#socket) closeListenSocket(this.#socket);
    this.#socket = null;
    this.#address = null;
  }

  /** Breaks every connection. */
  close(): void {
    this.stop();
    for (const [{ app }, timer] of this.#retired) {
      clearTimeout(timer);
      app.close();
    }
    this.#retired.clear();
    this.#current.app.close();
  }

  #newGeneration(app: TemplatedApp): Generation {
    const generation: Generation = { app, retired: false, names: [] };
    this.#options.register(generation);
    return generation;
  }

  /** In the server library each name with a certificate has routes of its own: `domain` says whose come next. */
  #addName(generation: Generation, { host, keyFile, certificateFile }: Certificate): void {
    generation.app.addServerName(host, { key_file_name: keyFile, cert_file_name: certificateFile }).domain(host);
    generation.names.push(host);
    this.#options.register(generation);
  }

  async #replace(certificates: ReadonlyMap<string, Certificate>): Promise<void> {
    const given = defaultCertificate(certificates);
    const next = this.#newGeneration(tlsApp(given));
    for (const certificate of certificates.values()) if (certificate !== given) this.#addName(next, certificate);
    const before = this.#current;
    this.#current = next;
    this.#retire(before);
    const address = this.#address;
    if (!address) return;
    try {
      const socket = await openPort(next.app, address.port, address.host, true);
      if (this.#socket) closeListenSocket(this.#socket);
      if (this.#address) this.#socket = socket;
      else closeListenSocket(socket);
    } catch (error) {
      this.#options.logger.error({ err: error }, "changed certificates cannot be taken over: restart the gateway");
    }
  }

  #retire(generation: Generation): void {
    generation.retired = true;
    const end = async () => {
      await this.#options.sendAway(generation, SEND_AWAY_MS);
      if (!this.#retired.delete(generation)) return;
      generation.app.close();
      // Nobody is left under the names: what they hold can be given back.
      setImmediate(() => {
        for (const name of generation.names) generation.app.removeServerName(name);
      });
    };
    const timer = setTimeout(() => void end(), RETIREMENT_MS);
    timer.unref();
    this.#retired.set(generation, timer);
  }
}

function tlsApp({ keyFile, certificateFile }: Certificate): TemplatedApp {
  return SSLApp({ key_file_name: keyFile, cert_file_name: certificateFile });
}
