import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadMasterKeyFile, MasterKeyError, parseMasterKeys } from "./master-keys.ts";

const encoded = (byte: number) => Buffer.alloc(32, byte).toString("base64");
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "supalove-master-key-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

test("the first key is the current one, all of them unwrap", () => {
  const keys = parseMasterKeys(`2026:${encoded(2)}, 2025:${encoded(1)}`);
  expect(keys.currentId).toBe("2026");
  expect([...keys.byId.keys()]).toEqual(["2026", "2025"]);
});

test("a key without an id is named the same everywhere", () => {
  const { currentId } = parseMasterKeys(encoded(7));
  expect(currentId).toMatch(/^[0-9a-f]{12}$/);
  expect(parseMasterKeys(`${encoded(7)}\n`).currentId).toBe(currentId);
});

test.each([
  ["nothing", ""],
  ["a short key", Buffer.alloc(16).toString("base64")],
  ["a passphrase", "correct horse battery staple correct horse battery"],
  ["one id twice", `a:${encoded(1)},a:${encoded(2)}`],
  ["an odd id", `a b:${encoded(1)}`],
])("%s is refused without being quoted", (_what, text) => {
  expect(() => parseMasterKeys(text)).toThrow(MasterKeyError);
  expect(() => parseMasterKeys(text)).toThrow(/^(?!.*horse)/);
});

test("the file is made on first use, for its owner only, and read again", () => {
  const made = loadMasterKeyFile(directory);
  expect(statSync(join(directory, "master.key")).mode & 0o777).toBe(0o600);
  expect(loadMasterKeyFile(directory)).toEqual(made);
  expect(readdirSync(directory)).toEqual(["master.key"]);
});

test.each([0o640, 0o604, 0o660])("a file of mode %o is refused", (mode) => {
  loadMasterKeyFile(directory);
  chmodSync(join(directory, "master.key"), mode);
  expect(() => loadMasterKeyFile(directory)).toThrow(/chmod 600/);
});

test("a link to another file is not followed", () => {
  const elsewhere = join(directory, "elsewhere");
  writeFileSync(elsewhere, randomBytes(32).toString("base64"), { mode: 0o600 });
  symlinkSync(elsewhere, join(directory, "master.key"));
  expect(() => loadMasterKeyFile(directory)).toThrow(MasterKeyError);
});

test("a file with several keys rotates: a new one is put on top", () => {
  const before = loadMasterKeyFile(directory);
  const path = join(directory, "master.key");
  writeFileSync(path, `${encoded(9)}\n${readFileSync(path, "utf8")}`);
  const after = loadMasterKeyFile(directory);
  expect(after.currentId).not.toBe(before.currentId);
  expect(after.byId.has(before.currentId)).toBe(true);
});
