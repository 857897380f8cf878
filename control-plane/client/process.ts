/** How every process begins and ends, and what it does with an error that nobody has handled. */
import { Counter, type Registry } from "prom-client";
import { EnvironmentError } from "./environment-variables.ts";

/** Variables that cannot be used end the process with a message instead of a stack, and with exit code 1. */
export async function startProcess(start: () => Promise<void>): Promise<void> {
  try {
    await start();
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}

/** Waits for what a stop may refuse. @returns False when it was refused: there is nothing left to start. */
export function isThere(ready: Promise<unknown>): Promise<boolean> {
  return ready.then(
    () => true,
    () => false,
  );
}

export interface StopLogger {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** One press of Ctrl-C comes twice where npm stands in between: from the terminal and from npm. */
const SAME_SIGNAL_MS = 1_000;
/** Above every drain and whatever has to be closed after it. */
const STOP_MS = 60_000;
/** What is still open when everything has been closed was forgotten: it is told, and does not keep the process. */
const LEFT_OPEN_MS = 1_000;

/**
 * The first SIGINT, SIGTERM or SIGHUP stops in order, whoever sends it, and the process ends with code 0; another one,
 * from somebody who will not wait, ends it at once. Register it before anything is waited for.
 */
export function stopAtSignal(logger: StopLogger, stop: () => Promise<void>): void {
  let stoppingSince: number | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    if (stoppingSince !== null) {
      if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    logger.info({ signal }, "stopping");
    setTimeout(() => {
      logger.error({ resources: process.getActiveResourcesInfo() }, "the process did not stop in time");
      process.exit(1);
    }, STOP_MS).unref();
    stop()
      .catch((error) => {
        logger.error({ err: error }, "stopping failed");
        process.exitCode = 1;
      })
      .finally(() => {
        // Fires only while something keeps the event loop: else the process has ended before.
        setTimeout(() => {
          logger.error({ resources: process.getActiveResourcesInfo() }, "something was left open at the end");
          process.exit();
        }, LEFT_OPEN_MS).unref();
      });
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
}

type UnhandledKind = "rejection" | "event" | "exception";

/** So many unhandled errors within a minute are no accident any more: a fresh process is the better one. */
const MOST_PER_MINUTE = 100;

/**
 * The last resort, for errors that escaped whoever should have handled them. Each is logged and counted. The process
 * goes on after a rejected promise (only what awaited it is concerned) and after an error that a socket, a backend or a
 * child process reported (it is that connection's). After any other exception, or too many of these, its state is not
 * to be trusted: it ends with code 1, and whoever supervises it starts another.
 * @returns an undo.
 */
export function surviveUnhandled(logger: Pick<StopLogger, "error">, registry?: Registry): () => void {
  const counter = new Counter({
    name: "supalove_unhandled_errors_total",
    help: "Errors that nobody handled; the process went on after rejections and events.",
    labelNames: ["kind"],
    registers: registry ? [registry] : [],
  });
  const policy = new UnhandledPolicy(() => performance.now());
  const meet = (kind: UnhandledKind, error: unknown) => {
    counter.inc({ kind });
    const survives = policy.survives(kind);
    const outcome = survives ? "the process goes on" : "the process ends";
    try {
      logger.error({ err: error, kind }, `an error was not handled: ${outcome}`);
    } catch {
      // Whatever keeps the log from being written must not decide about the process.
    }
    if (!survives) process.exit(1);
  };
  const onRejection = (reason: unknown) => meet("rejection", reason);
  const onException = (error: unknown) => meet(kindOf(error), error);
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  // Whoever reads our output may go away; what cannot be told then is lost, and no more.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignore);
  return () => {
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
    for (const stream of [process.stdout, process.stderr]) stream.off("error", ignore);
  };
}

/** Pure but for its memory of the last minute. Exported for its test. */
export class UnhandledPolicy {
  readonly #now: () => number;
  #recent: number[] = [];

  /** @param now Milliseconds, growing steadily. */
  constructor(now: () => number) {
    this.#now = now;
  }

  survives(kind: UnhandledKind): boolean {
    const now = this.#now();
    this.#recent = [...this.#recent.filter((at) => now - at < 60_000), now];
    return kind !== "exception" && this.#recent.length <= MOST_PER_MINUTE;
  }
}

/** Codes that Node's own streams and sockets give to what they report; those of system calls have `syscall` besides. */
const REPORTED = /^(?:E[A-Z0-9]{2,15}|ERR_(?:STREAM|HTTP|HTTP2|SOCKET|SSL|TLS|IPC|WORKER|UNESCAPED)_\w+|UND_ERR_\w+)$/;
/** The PostgreSQL driver's error on a connection that broke has no code. */
const DRIVER =
  /^(?:Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect)/;
/** SQLSTATE of what the server says before it ends a session. */
const SESSION_ENDED = /^(?:57P|25P0[34]|08|53)/;

/** Exported for its test. */
export function kindOf(error: unknown): "event" | "exception" {
  if (!(error instanceof Error)) return "exception";
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (typeof syscall === "string") return "event";
  if (typeof code === "string" && (REPORTED.test(code) || SESSION_ENDED.test(code))) return "event";
  return DRIVER.test(error.message) ? "event" : "exception";
}

function ignore(): void {}
