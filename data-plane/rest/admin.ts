/** The admin port of the standalone form: is it alive, can it serve, what does it know. */
import type { ProjectDatabase } from "../database/database.ts";
import type { ServiceResponse } from "../service.ts";
import type { Handler } from "./http-server.ts";
import type { RestDatabase } from "./rest-database.ts";

const PROBE = { text: "/* ready */ SELECT 1", values: [], prepare: false };

/** `/live`, `/ready`, `/metrics` (Prometheus) and `/schema_cache`. */
export function adminHandler(rest: RestDatabase, database: ProjectDatabase): Handler {
  return async (request) => {
    switch (request.path) {
      case "/live":
        return text(200, "");
      case "/ready":
        return text((await isReady(rest, database)) ? 200 : 503, "");
      case "/metrics":
        return text(200, metrics(rest));
      case "/schema_cache":
        return { status: 200, headers: [["Content-Type", "application/json; charset=utf-8"]], body: outline(rest) };
      default:
        return text(404, "");
    }
  };
}

async function isReady(rest: RestDatabase, database: ProjectDatabase): Promise<boolean> {
  if (rest.schemaCache === null) return false;
  try {
    await database.pipeline([PROBE]);
    return true;
  } catch {
    return false;
  }
}

function metrics(rest: RestDatabase): string {
  const loaded = rest.schemaCache;
  return [
    "# HELP pgrst_schema_cache_loaded Whether a schema cache is loaded.",
    "# TYPE pgrst_schema_cache_loaded gauge",
    `pgrst_schema_cache_loaded ${loaded ? 1 : 0}`,
    "# HELP pgrst_schema_cache_bytes Rough size of the schema cache in memory.",
    "# TYPE pgrst_schema_cache_bytes gauge",
    `pgrst_schema_cache_bytes ${loaded?.approximateBytes ?? 0}`,
    "# HELP process_resident_memory_bytes Resident memory of the process.",
    "# TYPE process_resident_memory_bytes gauge",
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    "",
  ].join("\n");
}

function outline(rest: RestDatabase): string {
  return JSON.stringify(rest.schemaCache?.outline() ?? null);
}

function text(status: number, body: string): ServiceResponse {
  return { status, headers: [["Content-Type", "text/plain; charset=utf-8"]], body };
}
