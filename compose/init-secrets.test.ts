import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureSecrets } from "./init-secrets.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "supalove-secrets-"));
  for (const owner of ["postgres", "control", "service", "gateway"]) mkdirSync(join(folder, owner));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const read = (path: string) => readFileSync(join(folder, path), "utf8");

test("everybody gets what he needs and no more, readable by himself alone", () => {
  ensureSecrets(folder);
  expect(readdirSync(join(folder, "gateway")).sort()).toEqual(["gateway-token", "internal-token"]);
  expect(readdirSync(join(folder, "service")).sort()).toEqual(["internal-token", "service-token"]);
  expect(readdirSync(join(folder, "postgres"))).toEqual(["superuser-password"]);
  expect(read("service/internal-token")).toBe(read("gateway/internal-token"));
  expect(read("control/database-url")).toContain(read("postgres/superuser-password").trim());
  expect(statSync(join(folder, "control/master-keys")).mode & 0o777).toBe(0o600);
});

test("a second start makes nothing new, and a lost volume is filled from the others", () => {
  ensureSecrets(folder);
  const before = read("gateway/gateway-token");
  expect(ensureSecrets(folder)).toEqual([]);
  rmSync(join(folder, "gateway/gateway-token"));
  expect(ensureSecrets(folder)).toEqual([]);
  expect(read("gateway/gateway-token")).toBe(before);
});
