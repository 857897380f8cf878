/** Bounds on what runs at a time. */
import { TooManyRequests } from "./errors.ts";

/** Runs a task when a place is free; those that wait come in order. */
export type ConcurrencyLimit = <T>(task: () => Promise<T>) => Promise<T>;

/** The limit refuses with {@link TooManyRequests} when `maxWaiting` tasks wait already. */
export function createConcurrencyLimit(most: number, maxWaiting = Number.POSITIVE_INFINITY): ConcurrencyLimit {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (task) => {
    if (running < most) running += 1;
    else if (waiting.length < maxWaiting) await new Promise<void>((begin) => waiting.push(begin));
    else throw new TooManyRequests();
    try {
      return await task();
    } finally {
      const next = waiting.shift();
      if (next)
        next(); // takes the place over
      else running -= 1;
    }
  };
}

/** A {@link createConcurrencyLimit} for each key: what one has waiting does not hold up another. */
export function createLimitByKey(
  most: number,
  maxWaiting: number,
): <T>(key: string, task: () => Promise<T>) => Promise<T> {
  const limits = new Map<string, { readonly limit: ConcurrencyLimit; tasks: number }>();
  return async (key, task) => {
    const own = limits.get(key) ?? { limit: createConcurrencyLimit(most, maxWaiting), tasks: 0 };
    limits.set(key, own);
    own.tasks += 1;
    try {
      return await own.limit(task);
    } finally {
      own.tasks -= 1;
      if (own.tasks === 0) limits.delete(key);
    }
  };
}

/** Places by key for what ends at its own time, a connection for example. */
export interface Places {
  /** @returns gives the place back, once however often it is called; null when the key has none left. */
  take(key: string): (() => void) | null;
}

export function createPlaces(most: number): Places {
  const taken = new Map<string, number>();
  return {
    take(key) {
      const count = taken.get(key) ?? 0;
      if (count >= most) return null;
      taken.set(key, count + 1);
      let isTaken = true;
      return () => {
        if (!isTaken) return;
        isTaken = false;
        const left = (taken.get(key) ?? 1) - 1;
        if (left > 0) taken.set(key, left);
        else taken.delete(key);
      };
    },
  };
}
