/** A quiet neighbour: reads one row of his twenty times a second, logs in and changes a setting once a second. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

export interface NeighbourSetup {
  readonly url: string;
  readonly anonKey: string;
  readonly databaseUrl: string;
  readonly ref: string;
  /** The whole body of his row. */
  readonly expected: string;
  readonly controlPlaneUrl: string;
  readonly token: string;
}

export interface Sample {
  readonly ms: number;
  /** Null: answered, and right. */
  readonly fault: string | null;
}

export interface NeighbourNotes {
  readonly rest: Sample[];
  readonly logins: Sample[];
  /** Of a setting, in the control plane. */
  readonly changes: Sample[];
}

export interface Neighbour {
  /** What he meets from the call until the work has ended. */
  during<T>(work: () => Promise<T>): Promise<{ readonly notes: NeighbourNotes; readonly result: T }>;
  close(): Promise<void>;
}

export async function startNeighbour(setup: NeighbourSetup): Promise<Neighbour> {
  const thread = new Worker(new URL("./neighbour-thread.ts", import.meta.url), { workerData: setup });
  const next = async () => (await once(thread, "message"))[0] as unknown; // rejects when the thread fails
  await next();
  return {
    async during(work) {
      thread.postMessage("start");
      const result = await work();
      thread.postMessage("stop");
      return { notes: (await next()) as NeighbourNotes, result };
    },
    async close() {
      await thread.terminate();
    },
  };
}

export interface Summary {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly worst: number;
  /** How often something else came than the right answer, by what it was. */
  readonly faults: Readonly<Record<string, number>>;
}

/** In milliseconds. */
export function summarize(samples: readonly Sample[]): Summary {
  const sorted = samples.map(({ ms }) => ms).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const faults: Record<string, number> = {};
  for (const { fault } of samples) if (fault !== null) faults[fault] = (faults[fault] ?? 0) + 1;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), worst: at(1), faults };
}
