/** JSON lines on standard output. What could be a secret is removed here as well, whatever a caller passes. */
import { type Logger as PinoLogger, pino } from "pino";

export type Logger = Pick<PinoLogger, "trace" | "debug" | "info" | "warn" | "error" | "fatal"> & {
  child(bindings: Record<string, unknown>): Logger;
};

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** Keys whose values never reach a log line, at the top of an entry and one level down (`headers.authorization`). */
const SECRET_KEYS = [
  "authorization",
  "cookie",
  "password",
  "newPassword",
  "currentPassword",
  "token",
  "secret",
  "apikey",
  "databaseUrl",
  "connectionString",
  "variables",
];

/** @param write Where lines go; standard output when left out. Each line ends in a newline. */
export function createLogger(level: LogLevel, write?: (line: string) => void): PinoLogger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: "[redacted]" },
    serializers: { err: serializeError },
  };
  return write ? pino(options, { write }) : pino(options);
}

/** PostgreSQL's `detail` and `where` quote row values, and `parameters` are the values themselves: none is logged. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, severity, schema, table, constraint } = error as unknown as Record<string, unknown>;
  return {
    type: error.name,
    message: error.message,
    stack: error.stack,
    ...Object.fromEntries(
      Object.entries({ code, severity, schema, table, constraint }).filter(([, value]) => value !== undefined),
    ),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  };
}
