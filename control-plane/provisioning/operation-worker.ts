/**
 * Works on the operations of the queue, a bounded number at a time. Several instances share one queue: each operation
 * is worked on by the holder of its lease, which is renewed while the holder lives and taken over when it has run out.
 */
import { randomUUID } from "node:crypto";
import type { Database } from "../database.ts";
import { type EventStream, type Events, publishEvent } from "../events.ts";
import type { Logger } from "../logger.ts";
import { LeaseLost, reasonFor, StepFailed } from "./failure.ts";
import { TRANSITIONS } from "./lifecycle.ts";
import type { ClaimedOperation, OperationKind } from "./operation.ts";
import {
  claimOperation,
  finishOperation,
  type OperationEnd,
  recordStep,
  releaseLease,
  renewLeases,
} from "./operation-table.ts";
import { changeProjectState } from "./project-state.ts";
import type { Runtimes } from "./runtime.ts";
import { type RetryPolicy, runSteps, type Step } from "./step-runner.ts";

export interface WorkerOptions {
  readonly database: Database;
  readonly events: Events;
  readonly runtimes: Runtimes;
  readonly logger: Logger;
  /** Most operations at a time in this instance. */
  readonly concurrency: number;
  /** How long an operation of a dead instance stays untouched. Renewed every third of it. */
  readonly leaseMs: number;
  /** How often to look for operations whose lease has run out, or whose event was missed. */
  readonly pollMs: number;
  readonly retry: RetryPolicy;
  readonly wrapStep: (step: Step, kind: OperationKind) => Step;
}

interface Held {
  readonly operation: ClaimedOperation;
  readonly lease: AbortController;
  /** On this process's monotonic clock: after it another instance may own the operation. */
  leaseEndsAt: number;
  done: Promise<void>;
}

/** This instance is shutting down: the operation is given back as it is. */
class Stopping extends Error {}

export class OperationWorker {
  readonly #options: WorkerOptions;
  /** Names this run of this process in the leases; never used again. */
  readonly #owner = randomUUID();
  readonly #held = new Map<string, Held>();
  #stream: EventStream | null = null;
  #timers: NodeJS.Timeout[] = [];
  #claiming: Promise<void> | null = null;
  #claimAgain = false;
  readonly #stopping = new AbortController();

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  /** Takes up what is unfinished and everything that comes. */
  start(): void {
    this.#stream = this.#options.events.subscribe((event) => event.topic === "operation" && event.step === undefined);
    void this.#claimOnEvents(this.#stream);
    this.#timers = [
      setInterval(() => this.#claim(), this.#options.pollMs),
      setInterval(() => void this.#renew(), this.#options.leaseMs / 3),
    ];
    this.#claim();
  }

  /** Lets each step that is under way end, then gives the operations back for another instance to go on with. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Stopping());
    await this.#stream?.return();
    await this.#claiming;
    await Promise.all([...this.#held.values()].map(({ done }) => done));
    for (const timer of this.#timers) clearInterval(timer); // leases are renewed to the last
  }

  async #claimOnEvents(stream: EventStream): Promise<void> {
    for await (const _event of stream) this.#claim();
  }

  /** Fills the free places. Calls that come while it runs make it look once more. */
  #claim(): void {
    if (this.#claiming) {
      this.#claimAgain = true;
      return;
    }
    this.#claiming = this.#claimWhileFree()
      .catch((error) => this.#options.logger.warn({ err: error }, "could not look for operations"))
      .finally(() => {
        this.#claiming = null;
        if (this.#claimAgain) {
          this.#claimAgain = false;
          this.#claim();
        }
      });
  }

  async #claimWhileFree(): Promise<void> {
    const { database, leaseMs, concurrency, runtimes } = this.#options;
    const plans = Object.keys(runtimes);
    while (!this.#stopping.signal.aborted && this.#held.size < concurrency) {
      const claimedAt = performance.now(); // before the request: the lease cannot begin earlier than this
      const operation = await claimOperation(database, this.#owner, leaseMs, plans, [...this.#held.keys()]);
      if (!operation) return;
      const held: Held = {
        operation,
        lease: new AbortController(),
        leaseEndsAt: claimedAt + leaseMs,
        done: Promise.resolve(),
      };
      this.#held.set(operation.id, held);
      held.done = this.#work(held).finally(() => {
        this.#held.delete(operation.id);
        this.#claim();
      });
    }
  }

  /** Never rejects: what cannot be recorded is left to whoever holds the lease next. */
  async #work(held: Held): Promise<void> {
    const { operation } = held;
    const logger = this.#options.logger.child({ operationId: operation.id, ref: operation.projectRef });
    const startedAt = performance.now();
    try {
      const end = await this.#run(held, logger);
      await this.#finish(held, end);
      logger.info(
        { kind: operation.kind, state: end.state, durationMs: Math.round(performance.now() - startedAt) },
        "operation ended",
      );
    } catch (error) {
      if (error instanceof LeaseLost) logger.warn({ kind: operation.kind }, "operation taken over by another instance");
      else if (!(error instanceof Stopping))
        logger.error({ err: error, kind: operation.kind }, "operation interrupted");
      // Otherwise the lease is left to run out: that is the pause before the next try of whatever went wrong.
      if (error instanceof Stopping) await this.#release(operation, logger);
    }
  }

  async #release(operation: ClaimedOperation, logger: Logger): Promise<void> {
    await releaseLease(this.#options.database, this.#owner, operation.id).catch((error) =>
      logger.warn({ err: error }, "lease not released: it will run out"),
    );
  }

  async #run(held: Held, logger: Logger): Promise<OperationEnd> {
    const { database, runtimes, retry, wrapStep } = this.#options;
    const { operation, lease } = held;
    const signal = AbortSignal.any([lease.signal, this.#stopping.signal]);
    try {
      const steps = runtimes[operation.project.plan]?.steps(operation.kind, operation.project);
      if (!steps) throw new Error(`no runtime for plan ${operation.project.plan}`); // claimed by plan: cannot happen
      const journal = {
        begin: async (step: string, completed: readonly string[]) => {
          const attempts = await recordStep(database, this.#owner, operation, step, completed);
          if (attempts === null || performance.now() >= held.leaseEndsAt) throw new LeaseLost();
          if (attempts > 1) logger.warn({ kind: operation.kind, step, attempts }, "step begun again");
          return attempts;
        },
      };
      return {
        state: "succeeded",
        completedSteps: await runSteps(
          steps.map((step) => wrapStep(step, operation.kind)),
          operation.completedSteps,
          journal,
          retry,
          signal,
        ),
      };
    } catch (error) {
      if (!(error instanceof StepFailed)) throw error;
      logger.error({ err: error, kind: operation.kind, step: error.step }, "operation failed");
      return { state: "failed", error: reasonFor(error) };
    }
  }

  /** The end of the operation, the project's state and the event are one transaction: nobody sees one without the others. */
  async #finish({ operation }: Held, end: OperationEnd): Promise<void> {
    const { database } = this.#options;
    await database.transaction(async (tx) => {
      const leads = TRANSITIONS[operation.kind];
      const state = end.state === "succeeded" ? leads.after : leads.afterFailure;
      if (state) await changeProjectState(tx, operation.project, state, end.state === "failed" ? end.error : null);
      if (!(await finishOperation(tx, this.#owner, operation.id, end))) throw new LeaseLost();
      const { id: operationId, projectRef: ref, kind } = operation;
      await publishEvent(tx, { topic: "operation", ref, operationId, kind, step: null });
    });
  }

  /** Leases that could not be renewed before they ran out are given up: another instance may have them by now. */
  async #renew(): Promise<void> {
    const { database, leaseMs, logger } = this.#options;
    if (this.#held.size === 0) return;
    const askedAt = performance.now();
    try {
      const asked = [...this.#held.keys()];
      const renewed = new Set(await renewLeases(database, this.#owner, leaseMs, asked));
      for (const id of asked) {
        const held = this.#held.get(id);
        if (!held) continue; // it ended meanwhile
        if (renewed.has(id)) held.leaseEndsAt = askedAt + leaseMs;
        else held.lease.abort(new LeaseLost());
      }
    } catch (error) {
      logger.warn({ err: error }, "could not renew the leases of operations");
    }
    const now = performance.now();
    for (const held of this.#held.values()) if (held.leaseEndsAt <= now) held.lease.abort(new LeaseLost());
  }
}
