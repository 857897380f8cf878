/**
 * For tests: an embedded PostgreSQL in a process of its own, which can be killed or run by another user.
 * `node test-instance.ts <data folder> <port>` prints the URL when it is ready, or the error, and stops on SIGTERM.
 */
import { startEmbeddedPostgres } from "./embedded-postgres.ts";

const [, , dataDir = "", port] = process.argv;
try {
  const postgres = await startEmbeddedPostgres({
    dataDir,
    port: Number(port),
    logger: { info: () => {}, error: () => {} },
  });
  process.once("SIGTERM", () => void postgres.stop().then(() => process.exit(0)));
  setInterval(() => {}, 60_000); // PostgreSQL alone would not keep the process
  console.log(`ready ${postgres.url}`);
} catch (error) {
  console.log(`failed ${(error as Error).message}`);
  process.exit(1);
}
