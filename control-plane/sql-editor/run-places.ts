/**
 * How many scripts run at once: each may hold a database connection and megabytes of results in this process. What
 * finds no place waits for its turn, and organizations take turns.
 */
import { FairQueue } from "../client/fair-queue.ts";
import { RateLimited } from "../errors.ts";

export interface RunHolder {
  readonly organizationId: string;
  readonly accountId: string;
}

export interface RunPlaces {
  /**
   * Waits for a place. @returns A function that gives it back.
   * @param signal Aborted when the caller goes away: he waits no longer.
   * @throws {RateLimited} too much waits already, or no turn came in time.
   */
  take(holder: RunHolder, signal: AbortSignal): Promise<() => void>;
}

export interface RunPlacesOptions {
  readonly maxWaitMs?: number;
}

const MOST_OF_AN_ORGANIZATION = 4;
/** Running and waiting together, whatever the organizations; below the operations that an account may have under way. */
const MOST_OF_AN_ACCOUNT = 12;
const SHARED_PLACES = 16;
/** For organizations that have nothing running: those that fill the shared places do not keep the others waiting. */
const FIRST_PLACES = 16;
const MOST_WAITING = { maxOfOne: 12, maxOfAll: 400 };
const MAX_WAIT_MS = 30_000;
const RETRY_AFTER_SECONDS = 1;

interface Waiting {
  readonly begin: () => void;
  readonly refuse: () => void;
}

export function createRunPlaces({ maxWaitMs = MAX_WAIT_MS }: RunPlacesOptions = {}): RunPlaces {
  const waiting = new FairQueue<Waiting>(MOST_WAITING);
  const ofOrganization = new Counter();
  const ofAccount = new Counter();
  let total = 0;

  function mayBegin(organizationId: string): boolean {
    const own = ofOrganization.get(organizationId);
    if (own >= MOST_OF_AN_ORGANIZATION) return false;
    return total < SHARED_PLACES || (own === 0 && total < SHARED_PLACES + FIRST_PLACES);
  }

  function enter(organizationId: string): void {
    ofOrganization.add(organizationId, 1);
    total += 1;
  }

  function leave(organizationId: string): void {
    ofOrganization.add(organizationId, -1);
    total -= 1;
    for (let next = waiting.shift(mayBegin); next; next = waiting.shift(mayBegin)) next.begin();
  }

  function waitForTurn(organizationId: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (end: () => void) => () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onGone);
        end();
      };
      const refuse = settle(() => reject(refusal()));
      const item: Waiting = {
        begin: settle(() => {
          enter(organizationId);
          resolve();
        }),
        refuse,
      };
      const onGone = () => {
        if (waiting.remove(organizationId, item)) refuse();
      };
      const timer = setTimeout(onGone, maxWaitMs);
      signal.addEventListener("abort", onGone);
      waiting.push(organizationId, item)?.item.refuse();
    });
  }

  return {
    async take({ organizationId, accountId }, signal) {
      if (ofAccount.get(accountId) >= MOST_OF_AN_ACCOUNT) throw refusal();
      ofAccount.add(accountId, 1);
      try {
        if (mayBegin(organizationId)) enter(organizationId);
        else await waitForTurn(organizationId, signal);
      } catch (error) {
        ofAccount.add(accountId, -1);
        throw error;
      }
      return () => {
        ofAccount.add(accountId, -1);
        leave(organizationId);
      };
    },
  };
}

function refusal(): RateLimited {
  return new RateLimited(RETRY_AFTER_SECONDS, "too many SQL scripts are running, try again in a moment");
}

/** Counts by key; what is at zero is forgotten. */
class Counter {
  readonly #counts = new Map<string, number>();

  get(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: string, change: 1 | -1): void {
    const count = this.get(key) + change;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }
}
