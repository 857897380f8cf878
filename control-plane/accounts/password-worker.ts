/** The thread of password-hashing.ts: one job in, one result out. */
import { parentPort } from "node:worker_threads";
import bcrypt from "bcryptjs";
import type { PasswordJob, PasswordResult } from "./password-hashing.ts";

parentPort?.on("message", (job: PasswordJob) => {
  parentPort?.postMessage(run(job));
});

// The synchronous functions are right here: the thread has nothing else to do, and they do not give way in between.
function run(job: PasswordJob): PasswordResult {
  try {
    const value =
      job.kind === "hash" ? bcrypt.hashSync(job.password, job.cost) : bcrypt.compareSync(job.password, job.hash);
    return { value };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
