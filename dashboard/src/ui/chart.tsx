/** Time series: lines over time with a legend that tells the values under the pointer. Drawn by uPlot on a canvas. */
import { useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import styles from "./chart.module.css";
import { safeLocale } from "./format.ts";

export interface ChartLine {
  readonly label: string;
  readonly values: readonly (number | null)[];
}

export interface ChartProps {
  /** What it shows, for those who do not see it: "Requests by service, last hour". */
  readonly label: string;
  /** Of the first value. */
  readonly startAt: Date;
  readonly stepSeconds: number;
  readonly lines: readonly ChartLine[];
  readonly format: (value: number) => string;
}

const HEIGHT = 148;
const MAX_LINES = 6;

export function Chart({ label, startAt, stepSeconds, lines, format }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const formatter = useRef(format);
  formatter.current = format;
  const [pointed, setPointed] = useState<number | null>(null);
  const theme = useThemeName();
  const shown = lines.slice(0, MAX_LINES);
  const from = startAt.getTime() / 1_000;
  const key = JSON.stringify([from, stepSeconds, shown]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the key holds all that is drawn, the theme its colours
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const data = [
      Float64Array.from({ length: shown[0]?.values.length ?? 0 }, (_, index) => from + index * stepSeconds),
      ...shown.map(({ values }) => [...values]),
    ] as unknown as uPlot.AlignedData;
    const plot = new uPlot(optionsOf(element, shown, formatter, setPointed), data, element);
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, [key, theme]);

  return (
    <figure className={styles.chart}>
      <div ref={place} role="img" aria-label={`${label}. ${summary(shown, format)}`} />
      <figcaption className={styles.legend}>
        <time className={styles.time}>
          {pointed === null ? "" : formatTime(new Date((from + pointed * stepSeconds) * 1_000), stepSeconds)}
        </time>
        {shown.map(({ label, values }, index) => (
          <span key={label} className={styles.entry}>
            <span aria-hidden className={styles[`swatch${index + 1}`]} />
            {label}
            {pointed === null ? null : <b>{valueText(values[pointed], format)}</b>}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function valueText(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? "–" : format(value);
}

/** The highest of each line: what one sees at a glance. */
function summary(lines: readonly ChartLine[], format: (value: number) => string): string {
  return lines
    .map(({ label, values }) => {
      const known = values.filter((value) => value !== null);
      return known.length === 0 ? `${label}: nothing known` : `${label}: at most ${format(Math.max(...known))}`;
    })
    .join("; ");
}

function formatTime(date: Date, stepSeconds: number): string {
  const time = stepSeconds < 86_400 ? ({ hour: "2-digit", minute: "2-digit" } as const) : {};
  return new Intl.DateTimeFormat(safeLocale(), { month: "short", day: "numeric", ...time }).format(date);
}

function optionsOf(
  element: HTMLElement,
  lines: readonly ChartLine[],
  format: { readonly current: (value: number) => string },
  onPointed: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(element);
  const color = (name: string) => resolvedColor(element, `var(${name})`);
  const axis = {
    stroke: color("--text-2"),
    font: `11px ${style.fontFamily}`,
    grid: { stroke: color("--line"), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [
      {
        ...axis,
        space: 64,
        size: 26,
        values: (_plot, times) => times.map((time, index) => axisTime(time, times[index - 1])),
      },
      { ...axis, size: 62, space: 32, values: (_plot, values) => values.map((value) => format.current(value)) },
    ],
    series: [
      {},
      ...lines.map(({ label, values }, index) => ({
        label,
        stroke: color(`--series-${index + 1}`),
        width: 1.5,
        spanGaps: false,
        // A value between two unknown ones has no line to stand on.
        points: { show: true, size: 4, filter: () => lonelyIndexes(values) },
        ...(lines.length === 1 ? { fill: `color-mix(in srgb, ${color("--series-1")} 12%, transparent)` } : {}),
      })),
    ],
    hooks: { setCursor: [(plot) => onPointed(plot.cursor.idx ?? null)] },
  };
}

/** Pure: where a value stands alone. */
function lonelyIndexes(values: readonly (number | null)[]): number[] {
  const isKnown = (value: number | null | undefined) => value !== null && value !== undefined;
  return values.flatMap((value, index) =>
    isKnown(value) && !isKnown(values[index - 1]) && !isKnown(values[index + 1]) ? [index] : [],
  );
}

/** The time of day, or the date where a day begins or days are shown. */
function axisTime(seconds: number, before: number | undefined): string {
  const date = new Date(seconds * 1_000);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  const isDaily = before !== undefined && seconds - before >= 86_400;
  return new Intl.DateTimeFormat(
    safeLocale(),
    isMidnight || isDaily ? { month: "short", day: "numeric" } : { hour: "numeric", minute: "2-digit" },
  ).format(date);
}

/** A canvas knows no custom properties and no light-dark(): the colour as it is computed here. */
function resolvedColor(element: HTMLElement, value: string): string {
  const before = element.style.color;
  element.style.color = value;
  const color = getComputedStyle(element).color;
  element.style.color = before;
  return color;
}

/** Changes with what the page looks like, also when the system changes it. */
function useThemeName(): string {
  const [name, setName] = useState(themeName);
  useEffect(() => {
    const update = () => setName(themeName());
    const query = matchMedia("(prefers-color-scheme: dark)");
    query.addEventListener("change", update);
    const observer = new MutationObserver(update);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      query.removeEventListener("change", update);
      observer.disconnect();
    };
  }, []);
  return name;
}

function themeName(): string {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  return document.documentElement.dataset.theme ?? system;
}
