import { describe, expect, test } from "vitest";
import { LeaseLost, ProvisioningFailure, StepFailed } from "./failure.ts";
import { delayMs, type Journal, type RetryPolicy, runSteps, type Step } from "./step-runner.ts";

const RETRY: RetryPolicy = { maxAttempts: 3, baseDelayMs: 1, maxDelayMs: 2 };
const never = new AbortController().signal;

/** Keeps what a table would keep, so that a second run can go on from it. */
function journal(): Journal & { events: string[]; completed: readonly string[] } {
  let current: string | undefined;
  let attempts = 0;
  return {
    events: [],
    completed: [],
    async begin(step, completed) {
      attempts = step === current ? attempts + 1 : 1;
      current = step;
      this.completed = [...completed];
      this.events.push(`begin ${step}`);
      return attempts;
    },
  };
}

function steps(log: string[], ...names: string[]): Step[] {
  return names.map((name) => ({ name, run: async () => void log.push(name) }));
}

function refused(): Error {
  return Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:5432"), { code: "ECONNREFUSED" });
}

describe("runSteps", () => {
  test("runs the steps in order and records each before it begins, with those that are done", async () => {
    const record = journal();
    const completed = await runSteps(steps(record.events, "a", "b"), [], record, RETRY, never);
    expect(record.events).toEqual(["begin a", "a", "begin b", "b"]);
    expect(record.completed).toEqual(["a"]);
    expect(completed).toEqual(["a", "b"]);
  });

  test("skips what an earlier run has completed", async () => {
    const record = journal();
    await runSteps(steps(record.events, "a", "b"), ["a"], record, RETRY, never);
    expect(record.events).toEqual(["begin b", "b"]);
  });

  test("tries a step again after a transient error", async () => {
    const record = journal();
    let tries = 0;
    const flaky: Step = {
      name: "flaky",
      run: async () => {
        tries += 1;
        if (tries < 3) throw refused();
      },
    };
    expect(await runSteps([flaky], [], record, RETRY, never)).toEqual(["flaky"]);
    expect(tries).toBe(3);
  });

  test("gives up after the most attempts and keeps the last error as the cause", async () => {
    const error = refused();
    const away: Step = { name: "away", run: () => Promise.reject(error) };
    const record = journal();
    const failure = await runSteps([away], [], record, RETRY, never).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(StepFailed);
    expect(failure).toMatchObject({ step: "away", cause: error });
    expect(record.events).toHaveLength(RETRY.maxAttempts);
  });

  test("does not repeat a step that failed for a reason that will stay", async () => {
    const record = journal();
    const full: Step = { name: "full", run: () => Promise.reject(new ProvisioningFailure("no room")) };
    await expect(runSteps([full], [], record, RETRY, never)).rejects.toThrow(StepFailed);
    expect(record.events).toEqual(["begin full"]);
  });

  test("fails a step that took down every process that began it, without running it once more", async () => {
    const record = journal();
    for (let crash = 0; crash < RETRY.maxAttempts; crash++) await record.begin("poison", []);
    const runs: string[] = [];
    await expect(runSteps(steps(runs, "poison"), [], record, RETRY, never)).rejects.toThrow(StepFailed);
    expect(runs).toEqual([]);
  });

  test("stops between two steps when the lease is lost, and runs nothing more", async () => {
    const record = journal();
    const lease = new AbortController();
    const first: Step = { name: "first", run: async () => lease.abort(new LeaseLost()) };
    await expect(runSteps([first, ...steps(record.events, "second")], [], record, RETRY, lease.signal)).rejects.toThrow(
      LeaseLost,
    );
    expect(record.events).toEqual(["begin first"]);
  });

  test("a lease that is lost while a step waits for its next try ends the wait", async () => {
    const lease = new AbortController();
    const away: Step = { name: "away", run: () => Promise.reject(refused()) };
    const slow: RetryPolicy = { maxAttempts: 3, baseDelayMs: 3_600_000, maxDelayMs: 3_600_000 };
    const running = runSteps([away], [], journal(), slow, lease.signal);
    setImmediate(() => lease.abort(new LeaseLost()));
    await expect(running).rejects.toThrow(LeaseLost);
  });
});

test("the pause between tries doubles up to its limit", () => {
  const retry: RetryPolicy = { maxAttempts: 9, baseDelayMs: 100, maxDelayMs: 500 };
  expect([1, 2, 3, 4].map((attempt) => delayMs(retry, attempt, () => 1))).toEqual([100, 200, 400, 500]);
  expect(delayMs(retry, 1, () => 0)).toBe(75);
});
