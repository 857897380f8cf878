/**
 * The keys that wrap every project's data key. They live outside the database: in the environment or in a file that
 * only the control plane's user can read.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { KEY_BYTES } from "./sealed-box.ts";

export interface MasterKeys {
  /** Id of the key that wraps from now on. */
  readonly currentId: string;
  /** Every key that may still unwrap, by id. */
  readonly byId: ReadonlyMap<string, Buffer>;
}

/** A master key cannot be used as configured; the message names the problem and never the key. */
export class MasterKeyError extends Error {}

const KEY_ID = /^[a-zA-Z0-9_-]{1,40}$/;

/**
 * Parses one or more keys, current first, separated by commas or line ends, each `<base64 of 32 bytes>` or
 * `<id>:<base64 of 32 bytes>`. A key without an id is named by the first 12 hex digits of its SHA-256, so the same key
 * has the same id everywhere.
 * @throws {MasterKeyError}
 */
export function parseMasterKeys(text: string): MasterKeys {
  const byId = new Map<string, Buffer>();
  for (const entry of text.split(/[,\n]/).map((part) => part.trim())) {
    if (entry === "") continue;
    const { id, key } = parseMasterKey(entry);
    if (byId.has(id)) throw new MasterKeyError(`master key id ${JSON.stringify(id)} is given twice`);
    byId.set(id, key);
  }
  const [currentId] = byId.keys();
  if (currentId === undefined) throw new MasterKeyError("no master key is given");
  return { currentId, byId };
}

function parseMasterKey(entry: string): { id: string; key: Buffer } {
  const separator = entry.indexOf(":");
  const encoded = entry.slice(separator + 1);
  const key = Buffer.from(encoded, "base64");
  if (key.length !== KEY_BYTES || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(encoded))
    throw new MasterKeyError(`a master key must be the base64 of ${KEY_BYTES} random bytes (openssl rand -base64 32)`);
  const id = separator < 0 ? createHash("sha256").update(key).digest("hex").slice(0, 12) : entry.slice(0, separator);
  if (!KEY_ID.test(id)) throw new MasterKeyError("a master key id has 1 to 40 letters, digits, - or _");
  return { id, key };
}

/**
 * Reads `master.key` of the data directory; on first use makes it with a fresh key and mode 0600.
 * Two processes that start at once agree on one key: the file appears whole or not at all.
 * @throws {MasterKeyError} when group or others may read or write the file, or its content is no key.
 */
export function loadMasterKeyFile(dataDirectory: string): MasterKeys {
  const path = join(dataDirectory, "master.key");
  return readMasterKeyFile(path) ?? createMasterKeyFile(path);
}

function readMasterKeyFile(path: string): MasterKeys | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new MasterKeyError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  try {
    const { mode } = fstatSync(file);
    if ((mode & 0o077) !== 0)
      throw new MasterKeyError(
        `${path} has mode ${(mode & 0o777).toString(8)}; others can read it. Run: chmod 600 ${path}`,
      );
    return parseMasterKeys(readFileSync(file, "utf8"));
  } finally {
    closeSync(file);
  }
}

function createMasterKeyFile(path: string): MasterKeys {
  const draft = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  writeFileSync(draft, `${randomBytes(KEY_BYTES).toString("base64")}\n`, { mode: 0o600, flag: "wx", flush: true });
  try {
    chmodSync(draft, 0o600);
    linkSync(draft, path); // fails when another process was first; a rename would replace its key
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    unlinkSync(draft);
  }
  const keys = readMasterKeyFile(path);
  if (!keys) throw new MasterKeyError(`${path} disappeared while it was made`);
  return keys;
}
