/**
 * REST for many projects in one process. A project's schema cache is loaded on first use and dropped when it has not
 * been used for a while, or when all of them together take more memory than they may.
 */
import type { ProjectRef, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { Maxima } from "../../control-plane/client/maxima.ts";
import type { ProjectDatabases } from "../database/database.ts";
import type { Service } from "../service.ts";
import type { WorkerPool } from "../work/worker-pool.ts";
import { configOfProject, type RestConfig } from "./config.ts";
import { readProjectConfig } from "./database-config.ts";
import { InvalidEnvironment } from "./environment.ts";
import { payloadScanner } from "./request/scan-payload.ts";
import { RestDatabase, type RestLogger } from "./rest-database.ts";
import { SchemaWatch } from "./schema-watch.ts";

export interface RestServiceOptions {
  readonly databases: ProjectDatabases;
  /** For large bodies. */
  readonly workers: WorkerPool;
  /** The installation's by default when left out. */
  readonly maxima?: Maxima;
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
  /** Rejects when the project's requests would be refused: no schema cache, or no answer of its database. */
  probe(project: ServiceSnapshot): Promise<void>;
  /** Projects held in memory, and roughly what their schema caches take. */
  stats(): { readonly projects: number; readonly approximateBytes: number };
  close(): Promise<void>;
}

const DEFAULT_MAX_CACHE_BYTES = 256 * 1024 * 1024;
const DEFAULT_IDLE_TIMEOUT_MS = 10 * 60_000;
const CHECK_INTERVAL_MS = 30_000;
/** Of a project whose cache is not loaded yet. */
const BARE_PROJECT_BYTES = 20_000;

/** A project not used for so long leaves the connection it listens on to one that has none. */
const LISTENER_IDLE_MS = 30_000;

interface ServedProject {
  readonly rest: RestDatabase;
  /** Null where the settings name no channel. */
  readonly watch: SchemaWatch | null;
  snapshot: ServiceSnapshot;
  lastUsed: number;
}

export function createRestService(options: RestServiceOptions): RestService {
  return new MultiTenantRest(options);
}

class MultiTenantRest implements RestService {
  readonly #options: RestServiceOptions;
  readonly #projects = new Map<ProjectRef, ServedProject>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RestServiceOptions) {
    this.#options = options;
    const { idleTimeoutMs = DEFAULT_IDLE_TIMEOUT_MS } = options;
    this.#timer = setInterval(() => this.#dropUnused(), Math.min(CHECK_INTERVAL_MS, idleTimeoutMs));
    this.#timer.unref();
  }

  readonly handle: Service = (request, snapshot) => this.#projectOf(snapshot).rest.handle(request);

  probe(snapshot: ServiceSnapshot): Promise<void> {
    return this.#projectOf(snapshot).rest.probe();
  }

  stats(): { readonly projects: number; readonly approximateBytes: number } {
    return { projects: this.#projects.size, approximateBytes: this.#totalBytes() };
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#projects.keys()].map((ref) => this.#drop(ref)));
  }

  #projectOf(snapshot: ServiceSnapshot): ServedProject {
    const known = this.#projects.get(snapshot.projectRef);
    if (known === undefined) return this.#open(snapshot);
    known.lastUsed = this.#options.now();
    known.watch?.touch();
    if (known.snapshot !== snapshot) return this.#update(known, snapshot);
    return known;
  }

  #update(known: ServedProject, snapshot: ServiceSnapshot): ServedProject {
    // Requests may arrive with an older snapshot than the newest seen; nothing goes back.
    if (snapshot.version < known.snapshot.version) return known;
    if (JSON.stringify(known.snapshot.database) !== JSON.stringify(snapshot.database)) {
      void this.#drop(snapshot.projectRef);
      return this.#open(snapshot);
    }
    known.snapshot = snapshot;
    known.rest.configure(configOfProject(snapshot, this.#options.maxima));
    return known;
  }

  #open(snapshot: ServiceSnapshot): ServedProject {
    const { databases, now, logger } = this.#options;
    const { projectRef } = snapshot;
    const database = databases.get(projectRef, snapshot.database);
    const projectLogger: RestLogger = {
      info: (fields, message) => logger.info({ projectRef, ...fields }, message),
      warn: (fields, message) => logger.warn({ projectRef, ...fields }, message),
    };
    const config = configOfProject(snapshot, this.#options.maxima);
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
    const { channel } = config;
    const watch =
      channel === null
        ? null
        : new SchemaWatch({
            listen: (handlers) => databases.listen(projectRef, snapshot.database, channel, handlers),
            onChange: () => rest.reload(),
            onRefused: () => this.#freeListener(),
            now,
            logger: projectLogger,
          });
    const rest = new RestDatabase({
      database,
      config,
      readDatabaseConfig,
      untilWatched: async () => watch?.settled(),
      scanLarge: payloadScanner(this.#options.workers, projectRef),
      onLoaded: () => this.#shrink(projectRef),
      now,
      logger: projectLogger,
    });
    const project: ServedProject = { rest, watch, snapshot, lastUsed: now() };
    this.#projects.set(projectRef, project);
    return project;
  }

  /** Whoever was not asked for longest gives up its connection; the one that needs it tries again soon. */
  #freeListener(): void {
    let idlest: ServedProject | null = null;
    for (const project of this.#projects.values())
      if (project.watch?.isListening && project.lastUsed < (idlest?.lastUsed ?? this.#options.now() - LISTENER_IDLE_MS))
        idlest = project;
    void idlest?.watch?.pause();
  }

  async #drop(ref: ProjectRef): Promise<void> {
    const project = this.#projects.get(ref);
    if (!project) return;
    this.#projects.delete(ref);
    project.rest.close();
    await project.watch?.close();
  }

  #dropUnused(): void {
    const oldest = this.#options.now() - (this.#options.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS);
    for (const [ref, project] of this.#projects) if (project.lastUsed < oldest) void this.#drop(ref);
    this.#shrink(null);
  }

  /**
   * Drops projects until the rest fit; never the one that has just been loaded. Those that take more than their equal
   * share go first, so that a few huge ones push out each other and nobody else; then the longest unused.
   */
  #shrink(loaded: ProjectRef | null): void {
    const limit = this.#options.maxCacheBytes ?? DEFAULT_MAX_CACHE_BYTES;
    let bytes = this.#totalBytes();
    if (bytes <= limit) return;
    const share = limit / this.#projects.size;
    const isHuge = (project: ServedProject) => bytesOf(project) > share;
    const inOrder = [...this.#projects].sort(
      ([, left], [, right]) => Number(isHuge(right)) - Number(isHuge(left)) || left.lastUsed - right.lastUsed,
    );
    for (const [ref, project] of inOrder) {
      if (bytes <= limit) return;
      if (ref === loaded) continue;
      bytes -= bytesOf(project);
      void this.#drop(ref);
    }
  }

  #totalBytes(): number {
    let bytes = 0;
    for (const project of this.#projects.values()) bytes += bytesOf(project);
    return bytes;
  }
}

function bytesOf({ rest }: ServedProject): number {
  return rest.schemaCache?.approximateBytes ?? BARE_PROJECT_BYTES;
}
