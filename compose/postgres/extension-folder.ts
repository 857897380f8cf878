/**
 * Extensions beside those that PostgreSQL's package brings: `<folder>/extensions/<major>/{extension,lib}`, which the
 * server searches first (`extension_control_path`, `dynamic_library_path`). What is put there can be installed by every
 * tenant, for its control file says `trusted`; files that are added need no restart.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { PostgresBinaries } from "./binaries.ts";
import type { PostgresSettings } from "./settings.ts";

/**
 * Of the extensions in the package, those that PostgreSQL does not call trusted though nothing they do reaches beyond
 * the database and the caller's own rights. Each was read as C code that every tenant may call. Left out on purpose: all
 * that reads files, pages or other servers, and `refint`, whose fixed buffers take what a tenant names.
 */
const TRUSTED_CONTRIB = ["moddatetime", "autoinc", "insert_username", "earthdistance", "bloom"];

/** First version whose server knows `extension_control_path`. */
export const FIRST_MAJOR = 18;

export interface ExtensionFiles {
  /** `<name>.control` and `<name>--<version>.sql`. */
  readonly definitions: ReadonlyMap<string, string>;
  /** `<name>.so` or `<name>.dylib`. */
  readonly libraries: ReadonlyMap<string, Uint8Array>;
}

/** @param folder That of the embedded PostgreSQL. */
export function extensionFolder(folder: string, major: number): string {
  return join(folder, "extensions", String(major));
}

/** Makes the folder with the trusted copies; files that are there already are made new. Readable by all, ours to change. */
export function ensureExtensionFolder(folder: string, { postgres, major }: PostgresBinaries): string {
  const target = extensionFolder(folder, major);
  makeFolders(target);
  const installed = resolve(dirname(postgres), "../share/postgresql/extension");
  for (const name of TRUSTED_CONTRIB) {
    if (!existsSync(join(installed, `${name}.control`))) continue;
    for (const file of readdirSync(installed)) {
      if (file.startsWith(`${name}--`)) copyFileSync(join(installed, file), join(target, "extension", file));
    }
    const control = readFileSync(join(installed, `${name}.control`), "utf8");
    replaceFile(join(target, "extension", `${name}.control`), trustedControl(control));
  }
  return target;
}

/** Puts an extension there; its control file comes last, so that nobody meets half of it. */
export function installExtension(folder: string, major: number, files: ExtensionFiles): void {
  const target = extensionFolder(folder, major);
  makeFolders(target);
  for (const [name, bytes] of files.libraries) replaceFile(join(target, "lib", name), bytes);
  const definitions = [...files.definitions].sort(([left], [right]) => controlLast(left) - controlLast(right));
  for (const [name, text] of definitions) {
    replaceFile(join(target, "extension", name), name.endsWith(".control") ? trustedControl(text) : text);
  }
}

/** Names and versions of what the folder holds. */
export function listExtensions(folder: string, major: number): readonly { name: string; version: string }[] {
  const definitions = join(extensionFolder(folder, major), "extension");
  if (!existsSync(definitions)) return [];
  return readdirSync(definitions)
    .filter((file) => file.endsWith(".control"))
    .sort()
    .map((file) => ({
      name: file.slice(0, -".control".length),
      version: /default_version\s*=\s*'([^']*)'/.exec(readFileSync(join(definitions, file), "utf8"))?.[1] ?? "",
    }));
}

/** @param path The folder as the server sees it. */
export function extensionSettings(path: string, major: number): PostgresSettings {
  if (major < FIRST_MAJOR) return {};
  return { extension_control_path: `${path}:$system`, dynamic_library_path: `${path}/lib:$libdir` };
}

/**
 * With `trusted = true` whoever may create in a database may install it, and its script runs as superuser. Libraries are
 * looked for along `dynamic_library_path`, so their names lose the fixed folder.
 */
export function trustedControl(control: string): string {
  const lines = control
    .split("\n")
    .filter((line) => !/^\s*(?:trusted|superuser)\s*=/.test(line) && line.trim() !== "")
    .map((line) => line.replace(/^(\s*module_pathname\s*=\s*')\$libdir\//, "$1"));
  return [...lines, "trusted = true", ""].join("\n");
}

function controlLast(name: string): number {
  return name.endsWith(".control") ? 1 : 0;
}

function makeFolders(target: string): void {
  for (const part of ["extension", "lib"]) mkdirSync(join(target, part), { recursive: true, mode: 0o755 });
}

function replaceFile(path: string, content: string | Uint8Array): void {
  writeFileSync(`${path}.new`, content, { mode: 0o644 });
  renameSync(`${path}.new`, path);
}
