/** Subscriptions of people: they begin with the present state, follow events, and end when the viewer may not look any more. */
import { isCredentialValid } from "./accounts/authenticate.ts";
import type { GraphqlContext } from "./context.ts";
import { UserError } from "./errors.ts";
import type { ControlPlaneEvent, EventStream, PublishedEvent } from "./events.ts";
import { requireAccount } from "./permissions.ts";

const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export interface FollowOptions<Value> {
  /** Events that change what is shown; `access` events of the viewer are added. */
  readonly filter: (event: PublishedEvent) => boolean;
  /** Throws a UserError as soon as the viewer may not look; asked before the first value and after every event. */
  readonly authorize: () => Promise<unknown>;
  /** Reads what is to be shown; null shows nothing for this event. `event` is null for the first value. */
  readonly read: (event: ControlPlaneEvent | null) => Promise<Value | null>;
  /** True after the last value: the subscription ends by itself. */
  readonly isLast?: (value: Value) => boolean;
}

/**
 * @throws {UserError} when the viewer may not look at all: the request is answered with the error instead of a stream.
 * Ends without an error when a right is taken away later, when the credential ends, or with the instance.
 */
export async function follow<Value>(
  context: GraphqlContext,
  { filter, authorize, read, isLast }: FollowOptions<Value>,
): Promise<AsyncIterableIterator<Value>> {
  const viewer = requireAccount(context);
  await authorize();
  const stream = context.events.subscribe(
    (event) => filter(event) || (event.topic === "access" && event.accountId === viewer.accountId),
  );
  const expiry = endAt(stream, viewer.expiresAt, context.now());

  async function* values(): AsyncGenerator<Value> {
    try {
      let event: ControlPlaneEvent | null = null;
      do {
        if (event) {
          if (!(await isCredentialValid(context.database, viewer, context.now()))) return;
          if (!(await isAllowed(authorize))) return;
        }
        const value = await read(event);
        if (value !== null) yield value;
        if (value !== null && isLast?.(value)) return;
        event = (await stream.next()).value ?? null;
      } while (event);
    } finally {
      clearTimeout(expiry);
      await stream.return();
    }
  }
  return endable(values(), stream);
}

/** A generator's own `return` waits for the `await` it hangs in; ending the stream first lets go of it. */
function endable<Value>(values: AsyncGenerator<Value>, stream: EventStream): AsyncIterableIterator<Value> {
  return {
    next: () => values.next(),
    async return() {
      await stream.return();
      return values.return(undefined);
    },
    async throw(error) {
      await stream.return();
      return values.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function isAllowed(authorize: () => Promise<unknown>): Promise<boolean> {
  try {
    await authorize();
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/** The longest timer is 24 days; a stream that old may as well begin anew. */
function endAt(stream: EventStream, expiresAt: Date | null, now: number): NodeJS.Timeout | undefined {
  if (!expiresAt) return undefined;
  const delayMs = Math.min(Math.max(expiresAt.getTime() - now, 0), MAX_TIMEOUT_MS);
  return setTimeout(() => void stream.return(), delayMs).unref();
}
