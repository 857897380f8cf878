/** The recorded results: one section of bench/RESULTS.md, replaced by each run. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { join } from "node:path";
import { versionOf } from "./programs.ts";

const FILE = join(import.meta.dirname, "../RESULTS.md");
const BEGIN = "<!-- gateway: written by npm run bench:gateway -->";
const END = "<!-- /gateway -->";

export function writeSection(text: string): void {
  const before = existsSync(FILE) ? readFileSync(FILE, "utf8") : "# Results of the benchmarks\n";
  const section = `${BEGIN}\n${text.trim()}\n${END}\n`;
  const start = before.indexOf(BEGIN);
  const end = before.indexOf(END);
  const after =
    start === -1
      ? `${before.trimEnd()}\n\n${section}`
      : before.slice(0, start) + section + before.slice(end + END.length + 1);
  writeFileSync(FILE, after);
}

export function machineFacts(): string {
  const [cpu] = cpus();
  const programs = (["nginx", "haproxy", "wrk", "k6"] as const).map(versionOf).join("; ");
  return `${new Date().toISOString().slice(0, 10)}, ${cpus().length} cores (${cpu?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, ${type()} ${release()}, Node ${process.version}; ${programs}`;
}

export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export const round = (value: number, digits = 0): number => Number(value.toFixed(digits));
