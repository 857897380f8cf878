/** Opening a port, and closing it with grace. */
import { boundReceiveBuffer } from "./receive-buffer.ts";
import { EXCLUSIVE_PORT, type ListenSocket, localPort, type TemplatedApp } from "./uws.ts";

/**
 * @param port 0 takes a free one.
 * @param sharePort Whether other processes may listen on the port too; the kernel then spreads connections over all.
 * @throws When the port cannot be had.
 */
export function openPort(app: TemplatedApp, port: number, host: string, sharePort: boolean): Promise<ListenSocket> {
  // The package's types lack the form with all four arguments.
  const listen = app.listen.bind(app) as unknown as (
    host: string,
    port: number,
    flags: number,
    listening: (socket: ListenSocket | false) => void,
  ) => void;
  return new Promise((resolve, reject) => {
    listen(host, port, sharePort ? 0 : EXCLUSIVE_PORT, (socket) => {
      if (socket) void boundReceiveBuffer(localPort(socket)).then(() => resolve(socket));
      else reject(new Error(`port ${port} on ${host} cannot be had: it is in use or not allowed`));
    });
  });
}

/** Counts what is under way, and tells when it is over. */
export class InFlight {
  count = 0;
  #onIdle: (() => void) | null = null;

  enter(): void {
    this.count += 1;
  }

  leave(): void {
    this.count -= 1;
    if (this.count === 0) this.#onIdle?.();
  }

  /** Resolves when nothing is under way, or after the deadline. */
  async idle(deadlineMs: number): Promise<void> {
    if (this.count === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
