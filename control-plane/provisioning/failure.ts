/**
 * What went wrong in a step: whether another try may help, and what the project's members are told.
 * The error itself (SQL, host names) goes to the operator's log only.
 */

import { RateLimited } from "../errors.ts";

/** A failure whose message may be shown to the project's members. Trying again by itself does not help. */
export class ProvisioningFailure extends Error {}

/** The lease of an operation ran out or was taken by another instance: stop at once and record nothing. */
export class LeaseLost extends Error {}

/** A step failed for good; `cause` is the error of its last try. */
export class StepFailed extends Error {
  readonly step: string;
  constructor(step: string, cause: unknown) {
    super(`step "${step}" failed`, { cause });
    this.step = step;
  }
}

const TRANSIENT_SYSCALL_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EAI_AGAIN",
]);

const TRANSIENT_SQLSTATES = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now: the server is starting up
  "53300", // too_many_connections
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "55006", // object_in_use: somebody is connected to the template or the database to be dropped
  "55P03", // lock_not_available
  "57014", // query_canceled: a statement timeout on a loaded server
]);

/** `pg` reports a lost or late connection as a bare Error without a code. */
const CONNECTION_MESSAGE = /^(Connection terminated|timeout e(xceeded|xpired) when trying to connect|timeout expired)/i;

/** Two sessions that change the same catalog row (GRANT, ALTER ROLE): SQLSTATE XX000, and the second try works. */
const CATALOG_RACE = /^tuple concurrently (updated|deleted)$/;

/** True when the cluster (or the way to it) was away, or two sessions got into each other's way. */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (error instanceof AggregateError) return error.errors.some(isUnreachable); // one for each address of a host name
  const code = codeOf(error);
  if (code === undefined) return CONNECTION_MESSAGE.test(error.message);
  return TRANSIENT_SYSCALL_CODES.has(code) || code.startsWith("08") || code.startsWith("57P");
}

/** True when the same step may succeed a moment later. */
export function isTransient(error: unknown): boolean {
  if (isUnreachable(error)) return true;
  if (error instanceof RateLimited) return true; // of the password threads
  if (!(error instanceof Error)) return false;
  return TRANSIENT_SQLSTATES.has(codeOf(error) ?? "") || CATALOG_RACE.test(error.message);
}

/** The reason shown beside state FAILED. Holds no SQL, no host name and no secret. */
export function reasonFor(failure: StepFailed): string {
  const { cause, step } = failure;
  if (cause instanceof ProvisioningFailure) return cause.message;
  if (isUnreachable(cause)) return "The database cluster could not be reached. Retry when it is back.";
  return `The step "${step}" failed. The cause is in the control plane's log.`;
}

function codeOf(error: Error): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : undefined;
}
