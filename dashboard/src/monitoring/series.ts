/** Makes lines of a chart out of the API's series. */
import type { ProjectMetricsQuery } from "./generated/operations.ts";

export type Metrics = ProjectMetricsQuery["project"]["metrics"];
export type MetricName = Metrics["series"][number]["name"];

export interface Line {
  readonly label: string;
  /** One for each time; null where nothing is known. */
  readonly values: readonly (number | null)[];
}

/** Pure: a line for each service, in the order in which they are always shown. */
export function linesByService({ series }: Metrics, name: MetricName): Line[] {
  return ["rest", "auth", "storage", "realtime"].flatMap((service) => {
    const found = series.find((candidate) => candidate.name === name && candidate.service === service);
    return found ? [{ label: service, values: found.values.map(known) }] : [];
  });
}

/** Pure: one line of all services together. */
export function sumLine({ series }: Metrics, name: MetricName, label: string): Line[] {
  const of = series.filter((candidate) => candidate.name === name);
  if (of.length === 0) return [];
  const length = of[0]?.values.length ?? 0;
  const values = Array.from({ length }, (_, index) => {
    const present = of.map(({ values }) => known(values[index]));
    return present.every((value) => value === null)
      ? null
      : present.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  });
  return [{ label, values }];
}

/** Pure: what happened in the whole span. */
export function total(lines: readonly Line[]): number {
  return lines.reduce((sum, { values }) => sum + values.reduce<number>((of, value) => of + (value ?? 0), 0), 0);
}

/** Pure: the last value that is known. */
export function latest(lines: readonly Line[]): number | null {
  return lines[0]?.values.findLast((value) => value !== null) ?? null;
}

/** Pure: the largest of all; null when nothing is known. */
export function largest(lines: readonly Line[]): number | null {
  const values = lines.flatMap(({ values }) => values.filter((value) => value !== null));
  return values.length > 0 ? Math.max(...values) : null;
}

function known(value: number | null | undefined): number | null {
  return value ?? null;
}
