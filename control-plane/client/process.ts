/** How every process of the house begins and ends. */
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

export interface StopLogger {
  info(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** The first SIGINT or SIGTERM stops in order; another one ends the process at once. */
export function stopAtSignal(logger: StopLogger, stop: () => Promise<void>): void {
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1);
      stopping = true;
      logger.info({ signal }, "stopping");
      stop().catch((error) => {
        logger.error({ err: error }, "stopping failed");
        process.exitCode = 1;
      });
    });
  }
}
