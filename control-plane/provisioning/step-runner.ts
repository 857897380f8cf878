/** Runs the steps of one operation in order, each recorded before and after, with bounded retries. Pure but for its journal. */
import { isTransient, StepFailed } from "./failure.ts";

/** One idempotent piece of work: running it again after it has succeeded, or half succeeded, does no harm. */
export interface Step {
  /** Kept in the database: a running operation finds its place by it, so a name is not changed lightly. */
  readonly name: string;
  /** @param signal aborted when this instance must stop; a long step checks it before each thing it changes. */
  run(signal: AbortSignal): Promise<void>;
}

/** Where steps are recorded. */
export interface Journal {
  /**
   * Records that the step begins and that those in `completed` are done, in one write.
   * Answers how often the step was begun, this time included.
   * @throws {LeaseLost} when the operation is no longer this instance's.
   */
  begin(step: string, completed: readonly string[]): Promise<number>;
}

export interface RetryPolicy {
  /** Most tries of one step, over all instances that worked on it. */
  readonly maxAttempts: number;
  /** Pause before the next try, doubling from the base up to the most, in milliseconds. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
}

/** About 20 s of tries: a cluster that restarts is back by then. */
export const DEFAULT_RETRY: RetryPolicy = { maxAttempts: 9, baseDelayMs: 100, maxDelayMs: 5000 };

/**
 * @param alreadyCompleted names recorded by an earlier run of the same operation; they are skipped.
 * @returns the names of all steps, to be recorded together with the operation's end.
 * @throws {StepFailed} when a step failed for good. @throws the signal's reason when it was aborted between two steps.
 */
export async function runSteps(
  steps: readonly Step[],
  alreadyCompleted: readonly string[],
  journal: Journal,
  retry: RetryPolicy,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const completed = [...alreadyCompleted];
  for (const step of steps) {
    if (completed.includes(step.name)) continue;
    await runStep(step, completed, journal, retry, signal);
    completed.push(step.name);
  }
  signal.throwIfAborted();
  return completed;
}

async function runStep(
  step: Step,
  completed: readonly string[],
  journal: Journal,
  retry: RetryPolicy,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const attempts = await journal.begin(step.name, completed);
    // A step that takes its process down with it is begun again by each instance that takes over: that ends here.
    if (attempts > retry.maxAttempts) throw new StepFailed(step.name, new Error(`begun ${attempts} times`));
    signal.throwIfAborted();
    try {
      return await step.run(signal);
    } catch (error) {
      signal.throwIfAborted();
      if (attempts >= retry.maxAttempts || !isTransient(error)) throw new StepFailed(step.name, error);
      await pause(delayMs(retry, attempts), signal);
    }
  }
}

/** Doubles with each attempt; a quarter of it is chance, so that many operations do not come back in step. */
export function delayMs(retry: RetryPolicy, attempts: number, random: () => number = Math.random): number {
  const full = Math.min(retry.maxDelayMs, retry.baseDelayMs * 2 ** (attempts - 1));
  return full * (0.75 + random() / 4);
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", aborted, { once: true });
    function done() {
      signal.removeEventListener("abort", aborted);
      resolve();
    }
    function aborted() {
      clearTimeout(timer);
      reject(signal.reason);
    }
  });
}
