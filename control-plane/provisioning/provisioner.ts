/** Brings projects to the state that is wanted: the queue of operations towards resolvers, and the worker behind it. */
import type { Database, Queryable } from "../database.ts";
import { Conflict, NotFound, ProjectBusy, Unsupported } from "../errors.ts";
import { type Events, publishEvent } from "../events.ts";
import type { Logger } from "../logger.ts";
import { findProject, type ProjectRow } from "../projects/project-row.ts";
import { mayBegin, type ProjectState, TRANSITIONS } from "./lifecycle.ts";
import type { OperationKind, OperationRow } from "./operation.ts";
import { findLastFinishedOperation, insertOperation } from "./operation-table.ts";
import { OperationWorker } from "./operation-worker.ts";
import { changeProjectState } from "./project-state.ts";
import type { Runtimes } from "./runtime.ts";
import { DEFAULT_RETRY, type RetryPolicy, type Step } from "./step-runner.ts";

export interface Provisioner {
  /**
   * Records the wish in the caller's transaction and moves the project to the passing state (CREATING, PAUSING …).
   * The work begins when the transaction commits, in whichever instance has a place free. Does not authorize.
   * For `create` the caller has inserted the project in state CREATING in the same transaction.
   * @throws {ProjectBusy} another operation runs. @throws {Conflict} the state does not allow it.
   * @throws {NotFound} no such project. @throws {Unsupported} no runtime here for the project's plan.
   */
  begin(tx: Queryable, ref: string, kind: OperationKind): Promise<OperationRow>;
  /**
   * Begins again what has brought the project to FAILED. A create goes on where it stopped.
   * @throws {Conflict} the project is not FAILED. @throws as {@link Provisioner.begin}.
   */
  retry(tx: Queryable, ref: string): Promise<OperationRow>;
  /** Takes up unfinished operations and everything that comes, and prepares the clusters meanwhile. */
  start(): Promise<void>;
  /** Lets the steps under way end, then gives unfinished operations back. Nothing is lost by killing the process instead. */
  stop(): Promise<void>;
}

export interface ProvisionerOptions {
  readonly database: Database;
  readonly events: Events;
  readonly runtimes: Runtimes;
  readonly logger: Logger;
  readonly concurrency?: number;
  readonly leaseMs?: number;
  readonly pollMs?: number;
  readonly retry?: RetryPolicy;
  /** How often to look whether a cluster that abandoned projects have left something on is back. */
  readonly tidyMs?: number;
  /** Stands around each step that is run: to measure it, or to see in a test what happens when a process dies in it. */
  readonly wrapStep?: (step: Step, kind: OperationKind) => Step;
}

/** Most of it is waiting for clusters, which bound by themselves what is heavy for them. */
const DEFAULT_CONCURRENCY = 8;
const DEFAULT_LEASE_MS = 10_000;
const DEFAULT_POLL_MS = 2_000;
const DEFAULT_TIDY_MS = 60_000;

export function createProvisioner(options: ProvisionerOptions): Provisioner {
  const { database, events, runtimes, logger } = options;
  const worker = new OperationWorker({
    database,
    events,
    runtimes,
    logger,
    concurrency: options.concurrency ?? DEFAULT_CONCURRENCY,
    leaseMs: options.leaseMs ?? DEFAULT_LEASE_MS,
    pollMs: options.pollMs ?? DEFAULT_POLL_MS,
    retry: options.retry ?? DEFAULT_RETRY,
    wrapStep: options.wrapStep ?? ((step) => step),
  });

  async function begin(tx: Queryable, ref: string, kind: OperationKind): Promise<OperationRow> {
    const project = await getProject(tx, ref);
    if (!runtimes[project.plan]) throw new Unsupported(`this installation runs no ${project.plan} projects`);
    const operation = await insertOperation(tx, ref, kind);
    if (!operation) throw new ProjectBusy();
    // Read after the insert: from here on no other operation can change the state before this transaction ends.
    const { state } = await getProject(tx, ref);
    const failed = state === "FAILED" ? await findLastFinishedOperation(tx, ref) : null;
    if (!mayBegin(kind, state, failed?.kind ?? null)) throw new Conflict(refusal(kind, state), { state });
    const { during } = TRANSITIONS[kind];
    if (during) await changeProjectState(tx, project, during);
    await publishEvent(tx, { topic: "operation", ref, operationId: operation.id, kind });
    return operation;
  }

  async function retry(tx: Queryable, ref: string): Promise<OperationRow> {
    const { state } = await getProject(tx, ref);
    const last = await findLastFinishedOperation(tx, ref);
    if (state !== "FAILED" || !last) throw new Conflict("only a failed project is retried", { state });
    return begin(tx, ref, last.kind);
  }

  async function prepare(): Promise<void> {
    for (const runtime of Object.values(runtimes)) {
      for (const ref of await runtime.prepare(logger)) {
        if (stopping) return;
        await database
          .transaction((tx) => begin(tx, ref, "migrate"))
          .catch((error) => logger.info({ err: error, ref }, "project not migrated now")); // another instance did, or it is busy
      }
    }
  }

  async function tidy(): Promise<void> {
    for (const runtime of Object.values(runtimes)) await runtime.tidy(logger);
  }

  let stopping = false;
  let preparing: Promise<void> | undefined;
  let tidying: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  return {
    begin,
    retry,
    async start() {
      worker.start();
      preparing = prepare().catch((error) => logger.error({ err: error }, "could not prepare the clusters"));
      timer = setInterval(() => {
        tidying ??= tidy()
          .catch((error) => logger.warn({ err: error }, "could not look for leftovers"))
          .finally(() => (tidying = undefined));
      }, options.tidyMs ?? DEFAULT_TIDY_MS);
    },
    async stop() {
      stopping = true;
      clearInterval(timer);
      await Promise.all([preparing, tidying]);
      await worker.stop();
    },
  };
}

function refusal(kind: OperationKind, state: ProjectState): string {
  if (kind === "abandon") return "only a project whose deletion has failed is deleted by force";
  return `a project in state ${state} cannot ${kind}`;
}

async function getProject(tx: Queryable, ref: string): Promise<ProjectRow> {
  const project = await findProject(tx, ref);
  if (!project) throw new NotFound("project");
  return project;
}
