/** What gateways count of each project's traffic, as they report it to the control plane. */
import type { ProjectRef, ServiceName } from "./config-snapshot.ts";

/** Classes of status codes, in the order of {@link TrafficEntry.statuses}; 499, a client that went away, is a 4xx. */
export const STATUS_CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;

/**
 * Upper bounds in milliseconds of the buckets of {@link TrafficEntry.durations}; one bucket more counts what took
 * longer than all. Steps of about 1.6, so that a percentile read from them is off by a quarter at most.
 */
export const DURATION_BOUNDS_MS = [
  1, 2, 3, 5, 8, 12, 20, 30, 50, 80, 120, 200, 300, 500, 800, 1_200, 2_000, 3_000, 5_000, 10_000, 30_000,
] as const;

export const DURATION_BUCKETS = DURATION_BOUNDS_MS.length + 1;

/** One project's traffic at one service in one minute, as one gateway saw it. Counts are added to what is known. */
export interface TrafficEntry {
  readonly ref: ProjectRef;
  readonly service: ServiceName;
  /** Minutes since the epoch. */
  readonly minute: number;
  /** Requests answered, by class. */
  readonly statuses: readonly number[];
  /** Requests by how long they took, from the head to the last byte of the answer. */
  readonly durations: readonly number[];
  /** Of bodies and WebSocket frames, without headers. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** The most WebSockets open at once. */
  readonly sockets: number;
  /** WebSocket frames in both directions. */
  readonly messages: number;
}

/** The control plane refuses longer reports. */
export const MAX_ENTRIES_OF_REPORT = 500;

/** Pure: the index in {@link TrafficEntry.durations}. */
export function durationBucket(ms: number): number {
  let bucket = 0;
  while (bucket < DURATION_BOUNDS_MS.length && ms > (DURATION_BOUNDS_MS[bucket] as number)) bucket += 1;
  return bucket;
}
