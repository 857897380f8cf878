/** What the first route and each page load, in gzipped bytes, as the build's manifest says. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { ensureDashboardBuild } from "../../control-plane/dashboard/build.ts";

interface Chunk {
  readonly file: string;
  readonly css?: readonly string[];
  readonly imports?: readonly string[];
  readonly isEntry?: boolean;
}

const KB = 1_000;
let folder: string;
let manifest: Readonly<Record<string, Chunk>>;

beforeAll(async () => {
  folder = await ensureDashboardBuild();
  manifest = JSON.parse(readFileSync(join(folder, ".vite/manifest.json"), "utf8"));
});

/** All chunks that a chunk cannot do without. */
function needed(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const imported of manifest[name]?.imports ?? []) needed(imported, seen);
  return seen;
}

const size = (file: string) => readFileSync(join(folder, `${file}.gz`)).length;
const scripts = (names: Iterable<string>) =>
  [...names].reduce((sum, name) => sum + size(manifest[name]?.file ?? ""), 0);
const styles = (names: Iterable<string>) =>
  [...new Set([...names].flatMap((name) => manifest[name]?.css ?? []))].reduce((sum, file) => sum + size(file), 0);

const entry = () => Object.keys(manifest).find((name) => manifest[name]?.isEntry) ?? "";

test("the list of projects, the first route, needs at most 250 KB of script and 25 KB of style", () => {
  const chunks = new Set([...needed(entry()), ...needed("src/projects/projects-page.tsx")]);
  console.log(
    `first route: ${Math.round(scripts(chunks) / KB)} KB of script, ${Math.round(styles(chunks) / KB)} KB of style`,
  );
  expect(scripts(chunks)).toBeLessThanOrEqual(250 * KB);
  expect(styles(chunks)).toBeLessThanOrEqual(25 * KB);
});

/** On top of the first route. A page that is not named here has the budget of the others. */
const BUDGETS: Readonly<Record<string, number>> = { "src/sql/code-editor.tsx": 190 };
const USUAL_KB = 45;

test("no page adds more than its budget to what is loaded already", () => {
  const loaded = new Set([...needed(entry()), ...needed("src/projects/projects-page.tsx")]);
  const pages = Object.keys(manifest).filter((name) => /-page\.tsx$|-pages\.tsx$|code-editor\.tsx$/.test(name));
  expect(pages.length).toBeGreaterThan(15);
  const over = pages.flatMap((name) => {
    const added = scripts([...needed(name)].filter((chunk) => !loaded.has(chunk)));
    return added > (BUDGETS[name] ?? USUAL_KB) * KB ? [`${name}: ${Math.round(added / KB)} KB`] : [];
  });
  expect(over).toEqual([]);
});
