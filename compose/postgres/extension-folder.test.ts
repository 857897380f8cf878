import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { extensionSettings, installExtension, listExtensions, trustedControl } from "./extension-folder.ts";

test("a control file becomes trusted, and its library is looked for along the path", () => {
  const control =
    "comment = 'x'\ntrusted = false\nsuperuser = true\nmodule_pathname = '$libdir/vector'\nrelocatable = true";
  expect(trustedControl(control)).toBe(
    "comment = 'x'\nmodule_pathname = 'vector'\nrelocatable = true\ntrusted = true\n",
  );
});

test("what is installed is listed with its version, and a second time replaces the first", () => {
  const folder = mkdtempSync(join(tmpdir(), "supalove-extensions-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const version = (text: string) => ({
    definitions: new Map([
      ["vector.control", `default_version = '${text}'\nmodule_pathname = '$libdir/vector'\n`],
      [`vector--${text}.sql`, "select 1;"],
    ]),
    libraries: new Map([["vector.so", new Uint8Array([1, 2])]]),
  });
  expect(listExtensions(folder, 18)).toEqual([]);
  installExtension(folder, 18, version("0.8.5"));
  installExtension(folder, 18, version("0.8.6"));
  expect(listExtensions(folder, 18)).toEqual([{ name: "vector", version: "0.8.6" }]);
  expect([...readFileSync(join(folder, "extensions/18/lib/vector.so"))]).toEqual([1, 2]);
});

test("servers before 18 have no such path", () => {
  expect(extensionSettings("/x", 17)).toEqual({});
  expect(extensionSettings("/x", 18)).toEqual({
    extension_control_path: "/x:$system",
    dynamic_library_path: "/x/lib:$libdir",
  });
});
