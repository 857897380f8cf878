import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { findLocalInstance, writeLocalInstance } from "./local-instance.ts";
import { findStartMark } from "./postgres/processes.ts";

const dataDir = mkdtempSync(join(tmpdir(), "supalove-test-instance-"));
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const urls = { controlPlaneUrl: "http://127.0.0.1:1", gatewayUrl: "http://127.0.0.1:2" };

test("a running stack is found, one that was killed is not, also when its pid was given to somebody else", () => {
  const { pid } = process;
  expect(findLocalInstance(dataDir)).toBeNull();
  writeLocalInstance(dataDir, { pid, startMark: findStartMark(pid), ...urls });
  expect(findLocalInstance(dataDir)).toMatchObject(urls);
  writeLocalInstance(dataDir, { pid, startMark: "another start", ...urls });
  expect(findLocalInstance(dataDir)).toBeNull();
});
