/**
 * Guards the direction of imports between the rooms of the house (ARCHITECTURE.md, "Imports").
 * Run by `npm run check:imports`; prints every offending import and exits 1 when there is one.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** For each room: the rooms (or folders of them) that its files may import. A room may always import itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "control-plane/client": [],
  "control-plane": ["control-plane/client"],
  "data-plane": ["control-plane/client"],
  gateway: ["data-plane", "control-plane/client"],
  dashboard: [],
  compose: ["gateway", "data-plane", "control-plane", "control-plane/client"],
  bench: ["compose", "gateway", "data-plane", "control-plane", "control-plane/client"],
  test: ["compose", "gateway", "data-plane", "control-plane", "control-plane/client"],
};
/** Test files may use the harness in test/ whatever room they lie in, and so may benchmarks. */
const TEST_HARNESS = "test/harness";

const root = resolve(import.meta.dirname, "../..");

function roomOf(path: string): string | undefined {
  return Object.keys(ALLOWED).find((room) => path === room || path.startsWith(`${room}/`));
}

function* sourceFiles(folder: string): Generator<string> {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory() && entry.name !== "node_modules" && entry.name !== "dist") yield* sourceFiles(path);
    else if (/\.(ts|tsx|mjs)$/.test(entry.name)) yield path;
  }
}

function importsOf(path: string): string[] {
  const text = readFileSync(join(root, path), "utf8");
  const specifiers = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"(\.[^"]+)"/g);
  return [...specifiers].map(([, specifier]) => relative(root, resolve(root, dirname(path), specifier ?? "")));
}

const offences: string[] = [];
for (const top of ["control-plane", "data-plane", "gateway", "dashboard", "compose", "bench", "test"]) {
  for (const file of existing(top)) {
    const room = roomOf(file);
    if (!room) continue;
    for (const target of importsOf(file)) {
      if ((/\.test\.tsx?$/.test(file) || top === "bench") && target.startsWith(TEST_HARNESS)) continue;
      const targetRoom = roomOf(target);
      if (!targetRoom || targetRoom === room) continue;
      if (!ALLOWED[room]?.includes(targetRoom))
        offences.push(`${file} imports ${target} (${room} may not import ${targetRoom})`);
    }
  }
}

function existing(folder: string): string[] {
  try {
    return [...sourceFiles(folder)];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

for (const offence of offences) console.error(offence);
console.log(offences.length === 0 ? "import directions: ok" : `import directions: ${offences.length} offence(s)`);
process.exitCode = offences.length === 0 ? 0 : 1;
