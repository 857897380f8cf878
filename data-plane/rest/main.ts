/** `npm run rest`: serves one database, configured by PostgREST's own environment names. */
import { pino } from "pino";
import { stopAtSignal, surviveUnhandled } from "../../control-plane/client/process.ts";
import { createProjectDatabases } from "../database/project-databases.ts";
import { InvalidEnvironment, readEnvironment } from "./environment.ts";
import { startStandalone } from "./standalone.ts";

try {
  const settings = readEnvironment(process.env);
  const running = await startStandalone({ settings, createDatabases: createProjectDatabases });
  const logger = pino({ level: "warn" });
  surviveUnhandled(logger);
  stopAtSignal(logger, () => running.close());
  process.on("SIGUSR1", () => running.reload());
  process.on("SIGUSR2", () => running.reload());
} catch (error) {
  if (!(error instanceof InvalidEnvironment)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}
