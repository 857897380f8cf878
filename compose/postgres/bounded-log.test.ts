import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BoundedLog } from "./bounded-log.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "supalove-log-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("never takes more than twice its limit, and keeps the latest lines", () => {
  const path = join(folder, "postgres.log");
  const log = new BoundedLog(path, 1000);
  for (let n = 0; n < 500; n++) log.write(Buffer.from(`line ${n}\n`));
  log.close();
  expect(statSync(path).size).toBeLessThanOrEqual(1000);
  expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(1000);
  expect(readFileSync(`${path}.1`, "utf8") + readFileSync(path, "utf8")).toMatch(/line 498\nline 499\n$/);
  expect(log.tail).toMatch(/line 499$/);
});

test("goes on where an earlier run ended, and ignores what comes after its end", () => {
  const path = join(folder, "postgres.log");
  for (const text of ["first\n", "second\n"]) {
    const log = new BoundedLog(path, 1000);
    log.write(Buffer.from(text));
    log.close();
    log.write(Buffer.from("too late\n"));
  }
  expect(readFileSync(path, "utf8")).toBe("first\nsecond\n");
});

test("one piece larger than the limit is no reason to fail", () => {
  const log = new BoundedLog(join(folder, "postgres.log"), 10);
  log.write(Buffer.alloc(100, "x"));
  log.write(Buffer.from("after"));
  log.close();
  expect(readFileSync(join(folder, "postgres.log"), "utf8")).toBe("after");
});
