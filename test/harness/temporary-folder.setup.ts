/**
 * Vitest global set-up: all temporary folders of a run lie in one of its own, which goes at its end, whatever a test that
 * failed has left there.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export default function setup(): () => void {
  const before = process.env.TMPDIR;
  const folder = mkdtempSync(join(tmpdir(), "supalove-run-"));
  chmodSync(folder, 0o711); // PostgreSQL, which may run as another user, must get through
  process.env.TMPDIR = folder; // the processes that run the tests inherit it
  return () => {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
    rmSync(folder, { recursive: true, force: true });
  };
}
