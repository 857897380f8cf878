/** The recorded results: sections of bench/RESULTS.md, each replaced by its own runs. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";
import { join } from "node:path";
import { type Program, versionOf } from "./programs.ts";

const FILE = join(import.meta.dirname, "RESULTS.md");
const HEADING = "# Results of the benchmarks\n\nEach section is written by `npm run bench -- <its name>`.\n";

/** Replaces the section of this name, or adds it at the end. @param text Markdown, with its heading. */
export function writeSection(name: string, text: string): void {
  const begin = `<!-- ${name} -->`;
  const end = `<!-- /${name} -->`;
  const before = existsSync(FILE) ? readFileSync(FILE, "utf8") : HEADING;
  const section = `${begin}\n${text.trim()}\n${end}\n`;
  const from = before.indexOf(begin);
  const after =
    from === -1
      ? `${before.trimEnd()}\n\n${section}`
      : before.slice(0, from) + section + before.slice(before.indexOf(end) + end.length + 1);
  writeFileSync(FILE, after);
}

/** Date, machine and versions in one line. */
export function machineFacts(programs: readonly Program[]): string {
  const [cpu] = cpus();
  const machine = `${cpus().length} cores (${cpu?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GB, ${type()} ${release()}`;
  return [new Date().toISOString().slice(0, 10), machine, `Node ${process.version}`, ...programs.map(versionOf)].join(
    ", ",
  );
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
