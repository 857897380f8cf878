/** How many scripts run at once: each may hold a database connection and megabytes of results in this process. */
import { RateLimited } from "../errors.ts";

export interface RunPlaces {
  /** @returns gives the place back. @throws {RateLimited} when the project or the instance has none left. */
  take(ref: string): () => void;
}

const MOST_OF_A_PROJECT = 4;
const MOST_OF_AN_INSTANCE = 16;
const RETRY_AFTER_SECONDS = 1;

export function createRunPlaces(): RunPlaces {
  const running = new Map<string, number>();
  let total = 0;
  return {
    take(ref) {
      const own = running.get(ref) ?? 0;
      if (own >= MOST_OF_A_PROJECT || total >= MOST_OF_AN_INSTANCE) {
        throw new RateLimited(RETRY_AFTER_SECONDS, "too many SQL scripts are running, try again in a moment");
      }
      running.set(ref, own + 1);
      total += 1;
      return () => {
        total -= 1;
        const left = (running.get(ref) ?? 1) - 1;
        if (left === 0) running.delete(ref);
        else running.set(ref, left);
      };
    },
  };
}
