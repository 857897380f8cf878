/** What a failing database means to the caller. */
import { ConnectionLost, DatabaseError, PoolTimeout } from "../../database/database.ts";
import { AuthError, unexpectedFailure } from "../errors.ts";

const UNIQUE_VIOLATION = "23505";

/** True when a unique index refused a row; `constraint` narrows it to one of them. */
export function isUniqueViolation(error: unknown, constraint?: string): boolean {
  return (
    error instanceof DatabaseError &&
    error.code === UNIQUE_VIOLATION &&
    (constraint === undefined || error.constraint === constraint)
  );
}

/** Text that PostgreSQL cannot store (a NUL in a URL), or metadata nested too deep: the caller's fault. */
const CALLERS_FAULT = new Set(["22021", "22P05", "54001"]);
/** Classes of SQLSTATE that say the server cannot serve now: connections, resources, operator intervention, missing database or login. */
const UNAVAILABLE = /^(?:08|53|57P|58|28|3D)/;

/**
 * A 5xx keeps sessions alive in clients, a 4xx ends them: so an unreachable or overloaded database is 503, never 4xx.
 * Null when the error is not the database's.
 */
export function databaseFailure(error: unknown): AuthError | null {
  if (error instanceof PoolTimeout || error instanceof ConnectionLost) return unavailable(error);
  if (!(error instanceof DatabaseError)) return null;
  if (CALLERS_FAULT.has(error.code)) {
    return new AuthError("validation_failed", "The request holds text that cannot be stored", { cause: error });
  }
  if (UNAVAILABLE.test(error.code)) return unavailable(error);
  if (error.code === "57014") {
    return new AuthError("request_timeout", TIMEOUT_MESSAGE, { cause: error });
  }
  if (error.code === "55P03" || error.code === "40P01") {
    return new AuthError("conflict", "Too many concurrent requests on the same user or session", { cause: error });
  }
  return unexpectedFailure("Unexpected failure, please check server logs for more information", error);
}

export const TIMEOUT_MESSAGE = "Processing this request timed out, please retry after a moment.";

const unavailable = (cause: Error): AuthError =>
  new AuthError("unexpected_failure", "The database of this project cannot be reached", { status: 503, cause });

/** Names the step that failed, as clients see it: `Database error saving new user`. Other errors pass through. */
export async function databaseStep<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const failure = databaseFailure(error);
    if (failure?.status === 500) throw unexpectedFailure(name, error);
    throw failure ?? error;
  }
}
