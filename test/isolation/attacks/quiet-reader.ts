/** A quiet project beside the hostile one: asks all the time and notes how long it waits. */

export interface ReaderReport {
  readonly answers: number;
  /** Answers other than 200. */
  readonly failures: number;
  /** Milliseconds until an answer: half of them, 99 of a hundred, the slowest. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
}

export interface QuietReader {
  /** What happened since the last report, or since the start. */
  report(): ReaderReport;
  /** Resolves when its last request is over. */
  stop(): Promise<void>;
}

const PAUSE_MS = 50;

/** @param url What it asks with GET; each request must be answered with 200. */
export function startReader(url: string, headers: Readonly<Record<string, string>>): QuietReader {
  let waits: number[] = [];
  let failures = 0;
  let isOver = false;
  const ask = async () => {
    while (!isOver) {
      const startedMs = performance.now();
      const status = await fetch(url, { headers }).then(
        async (response) => {
          await response.arrayBuffer();
          return response.status;
        },
        () => 0,
      );
      waits.push(performance.now() - startedMs);
      if (status !== 200) failures += 1;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  };
  const asking = ask();
  return {
    report() {
      const sorted = waits.toSorted((left, right) => left - right);
      const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
      const report = { answers: sorted.length, failures, p50Ms: at(0.5), p99Ms: at(0.99), worstMs: at(1) };
      waits = [];
      failures = 0;
      return report;
    },
    async stop() {
      isOver = true;
      await asking;
    },
  };
}
