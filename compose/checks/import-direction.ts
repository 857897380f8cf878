/**
 * Guards the direction of imports between the modules (ARCHITECTURE.md, "Modules").
 * Run by `npm run check:imports`; prints every offending import and exits 1 when there is one.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/** For each module: the modules (or folders of them) that its files may import. A module may always import itself. */
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
/** Test files may use the harness in test/ whatever module they lie in, and so may benchmarks. */
const TEST_HARNESS = "test/harness";

const root = resolve(import.meta.dirname, "../..");

function moduleOf(path: string): string | undefined {
  return Object.keys(ALLOWED).find((module) => path === module || path.startsWith(`${module}/`));
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
    const module = moduleOf(file);
    if (!module) continue;
    for (const target of importsOf(file)) {
      if ((/\.test\.tsx?$/.test(file) || top === "bench") && target.startsWith(TEST_HARNESS)) continue;
      const targetModule = moduleOf(target);
      if (!targetModule || targetModule === module) continue;
      if (!ALLOWED[module]?.includes(targetModule))
        offences.push(`${file} imports ${target} (${module} may not import ${targetModule})`);
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
