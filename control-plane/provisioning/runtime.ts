/** What makes projects of one plan run. The engine around it (queue, leases, retries, states) is the same for every plan. */
import type { Logger } from "../logger.ts";
import type { OperationKind, ProvisionedProject } from "./operation.ts";
import type { Step } from "./step-runner.ts";

export interface Runtime {
  /**
   * The steps of one run, made anew for each run, so that they may share what they have read in closures.
   * A step relies only on what earlier steps have left in databases: the run may have been begun by another process.
   */
  steps(kind: OperationKind, project: ProvisionedProject): readonly Step[];
  /**
   * Called once when the instance starts: gets ready what a first creation would have to wait for, and answers the refs
   * of projects that an older version has made and operation `migrate` brings up to date.
   */
  prepare(logger: Logger): Promise<readonly string[]>;
  /** Called now and then: removes what abandoned projects have left, where that can be reached by now. */
  tidy(logger: Logger): Promise<void>;
}

/** A plan without a runtime is refused before anything is recorded. */
export type Runtimes = Readonly<Partial<Record<ProvisionedProject["plan"], Runtime>>>;
