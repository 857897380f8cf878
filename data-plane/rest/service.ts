/**
 * REST for many projects in one process. A project's schema cache is loaded on first use and dropped when it has not
 * been used for a while, or when all of them together take more memory than they may.
 */
import type { ProjectRef, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { ProjectDatabases } from "../database/database.ts";
import type { Service } from "../service.ts";
import { configOfProject, type RestConfig } from "./config.ts";
import { readProjectConfig } from "./database-config.ts";
import { InvalidEnvironment } from "./environment.ts";
import { RestDatabase, type RestLogger } from "./rest-database.ts";

export interface RestServiceOptions {
  readonly databases: ProjectDatabases;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly logger: RestLogger;
  /** Of all schema caches together; 256 MB when left out. */
  readonly maxCacheBytes?: number;
  /** A project not used for this long is dropped; ten minutes when left out. */
  readonly idleTimeoutMs?: number;
}

export interface RestService {
  readonly handle: Service;
  /** Projects held in memory, and roughly what their schema caches take. */
  stats(): { readonly projects: number; readonly approximateBytes: number };
  close(): Promise<void>;
}

const DEFAULT_MAX_CACHE_BYTES = 256 * 1024 * 1024;
const DEFAULT_IDLE_TIMEOUT_MS = 10 * 60_000;
const CHECK_INTERVAL_MS = 30_000;
/** Of a project whose cache is not loaded yet. */
const BARE_PROJECT_BYTES = 20_000;

/** Payloads of a notification that call for a reload; nothing stands for both. */
export const RELOADS: readonly string[] = ["", "reload schema", "reload config"];

interface ServedProject {
  readonly rest: RestDatabase;
  snapshot: ServiceSnapshot;
  lastUsed: number;
  listener: Promise<{ close(): Promise<void> } | null>;
}

export function createRestService(options: RestServiceOptions): RestService {
  return new MultiTenantRest(options);
}

class MultiTenantRest implements RestService {
  private readonly options: RestServiceOptions;
  /** In order of use, longest unused first. */
  private readonly projects = new Map<ProjectRef, ServedProject>();
  private readonly timer: NodeJS.Timeout;

  constructor(options: RestServiceOptions) {
    this.options = options;
    this.timer = setInterval(() => this.dropUnused(), CHECK_INTERVAL_MS);
    this.timer.unref();
  }

  readonly handle: Service = (request, snapshot) => this.projectOf(snapshot).rest.handle(request);

  stats(): { readonly projects: number; readonly approximateBytes: number } {
    return { projects: this.projects.size, approximateBytes: this.totalBytes() };
  }

  async close(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all([...this.projects.keys()].map((ref) => this.drop(ref)));
  }

  private projectOf(snapshot: ServiceSnapshot): ServedProject {
    const known = this.projects.get(snapshot.projectRef);
    if (known === undefined) return this.open(snapshot);
    known.lastUsed = this.options.now();
    if (known.snapshot !== snapshot) return this.update(known, snapshot);
    return known;
  }

  private update(known: ServedProject, snapshot: ServiceSnapshot): ServedProject {
    if (JSON.stringify(known.snapshot.database) !== JSON.stringify(snapshot.database)) {
      void this.drop(snapshot.projectRef);
      return this.open(snapshot);
    }
    // Requests may arrive with an older snapshot than the newest seen; settings never go back.
    if (snapshot.version >= known.snapshot.version) {
      known.snapshot = snapshot;
      known.rest.configure(configOfProject(snapshot));
    }
    return known;
  }

  private open(snapshot: ServiceSnapshot): ServedProject {
    const { databases, now, logger } = this.options;
    const { projectRef } = snapshot;
    const database = databases.get(projectRef, snapshot.database);
    const projectLogger: RestLogger = {
      info: (fields, message) => logger.info({ projectRef, ...fields }, message),
      warn: (fields, message) => logger.warn({ projectRef, ...fields }, message),
    };
    const config = configOfProject(snapshot);
    const readDatabaseConfig = async (): Promise<Partial<RestConfig>> => {
      try {
        return await readProjectConfig(database);
      } catch (error) {
        if (!(error instanceof InvalidEnvironment)) throw error;
        // The project's own mistake; it is served by the settings it had without.
        projectLogger.warn({ problems: error.problems }, "in-database configuration is not usable");
        return {};
      }
    };
    const rest = new RestDatabase({ database, config, readDatabaseConfig, now, logger: projectLogger });
    const project = { rest, snapshot, lastUsed: now(), listener: this.listen(snapshot, rest, config.channel) };
    this.projects.set(projectRef, project);
    this.shrink(projectRef);
    return project;
  }

  /** Without a listener the cache still serves; it only misses changes until it is loaded anew. */
  private async listen(snapshot: ServiceSnapshot, rest: RestDatabase, channel: string | null) {
    if (channel === null) return null;
    try {
      return await this.options.databases.listen(snapshot.projectRef, snapshot.database, channel, {
        onNotification: (payload) => {
          if (RELOADS.includes(payload)) rest.reload();
        },
        onReconnect: () => rest.reload(),
      });
    } catch (error) {
      this.options.logger.warn({ projectRef: snapshot.projectRef, error: String(error) }, "cannot listen for reloads");
      return null;
    }
  }

  private async drop(ref: ProjectRef): Promise<void> {
    const project = this.projects.get(ref);
    if (!project) return;
    this.projects.delete(ref);
    project.rest.close();
    await (await project.listener)?.close();
  }

  private dropUnused(): void {
    const oldest = this.options.now() - (this.options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS);
    for (const [ref, project] of this.projects) if (project.lastUsed < oldest) void this.drop(ref);
    this.shrink(null);
  }

  /** Drops the longest unused projects until the rest fit; never the one that is being opened. */
  private shrink(opening: ProjectRef | null): void {
    const limit = this.options.maxCacheBytes ?? DEFAULT_MAX_CACHE_BYTES;
    let bytes = this.totalBytes();
    if (bytes <= limit) return;
    const byUse = [...this.projects].sort(([, left], [, right]) => left.lastUsed - right.lastUsed);
    for (const [ref, project] of byUse) {
      if (bytes <= limit) return;
      if (ref === opening) continue;
      bytes -= bytesOf(project);
      void this.drop(ref);
    }
  }

  private totalBytes(): number {
    let bytes = 0;
    for (const project of this.projects.values()) bytes += bytesOf(project);
    return bytes;
  }
}

function bytesOf({ rest }: ServedProject): number {
  return rest.schemaCache?.approximateBytes ?? BARE_PROJECT_BYTES;
}
