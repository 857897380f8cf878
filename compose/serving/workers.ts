/**
 * The serving processes of this machine: started, watched and replaced. One that dies is replaced at once, one whose
 * event loop stands still is ended first; one that dies again and again is given more and more time.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Logger } from "../../control-plane/logger.ts";
import type { FromWorker, PeerOrigins, ToWorker, WorkerSettings } from "./messages.ts";
import { type Watchdog, watchOver } from "./watchdog.ts";

export interface WorkersOptions {
  readonly slots: readonly string[];
  readonly settingsOf: (slot: string) => WorkerSettings;
  /** How long a process that stops may let requests end. */
  readonly drainMs: number;
  /** Folder for compiled code, ours alone: half of what a start takes is compiling. */
  readonly codeCache: string;
  readonly logger: Logger;
}

const ENTRY = fileURLToPath(new URL("./worker.ts", import.meta.url));

/** An event loop that shows no sign for so many looks in a row stands still: five seconds, its last sign included. */
const LOOK_MS = 250;
const LOOKS_UNTIL_STUCK = 19;
/** On a machine that does much else at the same time. */
const START_MS = 60_000;
/** A process that lived for so long has proved itself: if it dies, the next one starts at once. */
const PROVED_MS = 20_000;
const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 15_000;
/** Beyond its drain a process may take so long to close what it has open. */
const CLOSE_MS = 3_000;

/** What the serving processes must not have: they hold no key to what the control plane keeps. */
const WITHHELD = ["DATABASE_URL", "SUPALOVE_MASTER_KEYS", "SUPALOVE_METRICS_TOKEN", "SUPALOVE_TOKEN"];

export class Workers {
  readonly #options: WorkersOptions;
  readonly #places: readonly Place[];
  readonly #timer: NodeJS.Timeout;
  #replacements = 0;
  #isStopping = false;

  constructor(options: WorkersOptions) {
    this.#options = options;
    this.#places = options.slots.map((slot) => new Place(slot));
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Resolves when all serve. @throws {Error} with a sentence for people when one of them cannot start. */
  async start(): Promise<void> {
    await Promise.all(this.#places.map((place) => this.#startIn(place).ready));
  }

  /** Lets requests in flight end, then ends every process. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    await Promise.all(
      this.#places.flatMap((place) => {
        clearTimeout(place.restart);
        return [...place.processes].map((worker) => worker.stop(false, this.#options.drainMs + CLOSE_MS));
      }),
    );
  }

  #startIn(place: Place): ServingProcess {
    const { logger } = this.#options;
    const worker = new ServingProcess(this.#options.settingsOf(place.slot), this.#options.codeCache, logger, {
      onChanged: () => this.#tellPeers(),
      onLeaving: () => this.#replaceGently(place, worker),
      onExit: (how) => this.#onExit(place, worker, how),
    });
    place.current = worker;
    place.processes.add(worker);
    return worker;
  }

  #onExit(place: Place, worker: ServingProcess, how: string): void {
    place.processes.delete(worker);
    if (place.current !== worker) return; // it has been replaced already
    place.current = null;
    this.#tellPeers();
    if (this.#isStopping || !worker.hasServed) return; // one that never served is told of by its start
    this.#replaceLater(place, how, worker.livedMs);
  }

  #replaceLater(place: Place, how: string, livedMs: number): void {
    place.failures = livedMs >= PROVED_MS ? 0 : place.failures + 1;
    const delayMs = place.failures <= 1 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (place.failures - 2));
    this.#replacements += 1;
    this.#options.logger.error(
      { worker: place.slot, how, livedMs: Math.round(livedMs), failures: place.failures, delayMs },
      place.failures > 2
        ? "a serving process dies again and again: the next one starts after a pause"
        : "a serving process has died and is replaced",
    );
    place.restart = setTimeout(() => {
      const worker = this.#startIn(place);
      const startedAt = performance.now();
      worker.ready.catch((error: Error) => {
        if (!this.#isStopping) this.#replaceLater(place, error.message, performance.now() - startedAt);
      });
    }, delayMs);
  }

  /** Its replacement serves before it goes. */
  #replaceGently(place: Place, leaving: ServingProcess): void {
    const end = () => leaving.stop(!this.#isStopping, this.#options.drainMs + CLOSE_MS);
    if (this.#isStopping || place.current !== leaving) {
      void end();
      return;
    }
    this.#replacements += 1;
    this.#options.logger.info({ worker: place.slot }, "a serving process was told to end and is replaced");
    const next = this.#startIn(place);
    next.ready.then(end, (error: Error) => {
      void end();
      if (!this.#isStopping) this.#replaceLater(place, error.message, 0);
    });
  }

  #look(): void {
    for (const { slot, processes } of this.#places)
      for (const worker of processes) {
        if (!worker.isStuck()) continue;
        this.#options.logger.error({ worker: slot, pid: worker.pid }, "a serving process stands still and is ended");
        worker.kill();
      }
  }

  #tellPeers(): void {
    const origins: Record<string, string> = {};
    // The newest that serves: one that is leaving serves until its replacement does.
    for (const { slot, processes } of this.#places)
      for (const { peerOrigin } of processes) if (peerOrigin !== null) origins[slot] = peerOrigin;
    for (const { processes } of this.#places)
      for (const worker of processes) worker.tellPeers(origins, this.#replacements);
  }
}

/** Where one serving process runs at a time, besides those that are on their way out. */
class Place {
  readonly slot: string;
  readonly processes = new Set<ServingProcess>();
  current: ServingProcess | null = null;
  restart: NodeJS.Timeout | undefined;
  /** Deaths in a row, each soon after the start. */
  failures = 0;

  constructor(slot: string) {
    this.slot = slot;
  }
}

interface ProcessEvents {
  readonly onChanged: () => void;
  readonly onLeaving: () => void;
  readonly onExit: (how: string) => void;
}

class ServingProcess {
  /** Resolves when it serves; rejects when it ends before. */
  readonly ready: Promise<void>;
  hasServed = false;
  /** Where it takes other processes' requests. */
  peerOrigin: string | null = null;
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #watchdog: Watchdog | null;
  readonly #startedAt = performance.now();
  #silentLooks = 0;
  #hasExited = false;

  constructor(settings: WorkerSettings, codeCache: string, logger: Logger, events: ProcessEvents) {
    const given = Object.entries(process.env).filter(([name]) => !WITHHELD.includes(name));
    // Each thread of V8 would get an arena of its own in glibc's allocator: twenty megabytes that stay empty.
    const env = { MALLOC_ARENA_MAX: "2", NODE_COMPILE_CACHE: codeCache, ...Object.fromEntries(given) };
    this.#child = fork(ENTRY, [settings.slot], { env, execArgv: [], stdio: ["ignore", "ignore", "inherit", "ipc"] });
    const { pid } = this.#child;
    this.#watchdog = pid
      ? watchOver(pid, (err) => logger.warn({ err }, "a serving process runs without its watchdog"))
      : null;
    const started = Promise.withResolvers<void>();
    this.ready = started.promise;
    this.ready.catch(() => undefined);
    const timer = setTimeout(() => this.kill(), START_MS);
    this.#child.on("message", (message: FromWorker) => {
      switch (message.kind) {
        case "ready":
          clearTimeout(timer);
          this.hasServed = true;
          this.peerOrigin = message.peerOrigin;
          started.resolve();
          events.onChanged();
          break;
        case "failed":
          started.reject(new Error(message.message));
          break;
        case "alive":
          this.#silentLooks = 0;
          break;
        case "leaving":
          events.onLeaving();
          break;
      }
    });
    this.#exited = new Promise((gone) => {
      const onEnd = (how: string) => {
        if (this.#hasExited) return;
        this.#hasExited = true;
        clearTimeout(timer);
        this.#watchdog?.stop();
        started.reject(new Error(`a serving process did not start (${how})`));
        events.onExit(how);
        gone();
      };
      this.#child.once("exit", (code, signal) => onEnd(signal ?? `exit code ${code}`));
      this.#child.once("error", (error) => {
        // Also when a message could not be sent to a process that is ending: then its exit follows.
        if (this.#child.pid === undefined) onEnd(error.message);
      });
    });
    this.#send({ kind: "start", settings });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get livedMs(): number {
    return performance.now() - this.#startedAt;
  }

  /** Looks are counted, not time: when we ourselves stood still, it was not the process. */
  isStuck(): boolean {
    if (!this.hasServed || this.#hasExited) return false;
    this.#silentLooks += 1;
    return this.#silentLooks > LOOKS_UNTIL_STUCK;
  }

  tellPeers(origins: PeerOrigins, replacements: number): void {
    if (this.hasServed) this.#send({ kind: "peers", origins, replacements });
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Resolves when it has ended, which it is made to after the deadline. */
  async stop(isReplaced: boolean, deadlineMs: number): Promise<void> {
    if (this.#hasExited) return;
    this.#send({ kind: "stop", isReplaced });
    const timer = setTimeout(() => this.kill(), deadlineMs);
    await this.#exited;
    clearTimeout(timer);
  }

  #send(message: ToWorker): void {
    // A process that is ending takes no more messages; its exit tells all.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }
}
