/**
 * What storage does by and by: removes the bytes of versions that no row names any more, ends uploads that nobody goes on
 * with, empties buckets. All of it is written down in the project's database; here is only remembered which projects have
 * something to do, as a file each, so that whichever process starts next goes on.
 */
import { mkdir, readdir, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isProjectRef, type ProjectRef, type ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import type { ProjectDatabases } from "../../database/database.ts";
import type { ObjectBackend } from "../backend/backend.ts";
import type { DiskStore } from "../backend/disk-store.ts";
import { systemContext } from "../context.ts";
import type { StorageLogger } from "../service.ts";
import { emptyingBatch, expireUploads, findDue, forgetRemoved, takeExpired } from "./journal.ts";

export interface UpkeepOptions {
  readonly staging: DiskStore;
  readonly backend: ObjectBackend;
  readonly databases: ProjectDatabases;
  /** Null: the project is gone. */
  readonly snapshotOf: (ref: ProjectRef) => Promise<ServiceSnapshot | null>;
  readonly logger: StorageLogger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const ROUND_MS = 30_000;
/** A note is renewed so seldom, and dropped only so long after the last one: whoever works in between is never forgotten. */
const RENEW_NOTE_MS = 60_000;
const KEEP_NOTE_MS = 3_600_000;
/** In one round for one project, so that others have their turn. */
const MAX_REMOVALS = 2_000;
const BATCH = 200;
const MAX_WAIT_MS = 3_600_000;

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #folder: string;
  readonly #noted = new Map<ProjectRef, number>();
  readonly #dueAt = new Map<ProjectRef, number>();
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#folder = join(options.staging.root, ".upkeep");
  }

  start(): void {
    this.#timer = setInterval(() => this.#next(), ROUND_MS);
    this.#timer.unref();
    setTimeout(() => this.#next(), 1_000).unref();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#round;
  }

  /** To be called before something is begun that may leave bytes behind. */
  noteWork(ref: ProjectRef): void {
    const now = this.#options.now();
    if (now - (this.#noted.get(ref) ?? 0) < RENEW_NOTE_MS) return;
    if (this.#noted.size > 10_000) this.#noted.clear();
    this.#noted.set(ref, now);
    this.#dueAt.delete(ref);
    this.#writeNote(ref).catch((error) =>
      this.#options.logger.warn({ err: error, projectRef: ref }, "upkeep not noted"),
    );
  }

  /** One round over all projects that have something to do now. */
  async run(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => [] as string[]);
    for (const name of names) {
      if (this.#isClosed) return;
      if (!isProjectRef(name) || (this.#dueAt.get(name) ?? 0) > this.#options.now()) continue;
      try {
        await this.#visit(name);
      } catch (error) {
        this.#options.logger.warn({ err: error, projectRef: name }, "upkeep of a project's storage failed");
        this.#dueAt.set(name, this.#options.now() + 5 * 60_000);
      }
    }
  }

  /** Removes what is due in one project, whether noted or not. @returns How many versions. */
  async sweep(project: ServiceSnapshot): Promise<number> {
    const context = systemContext(project, () => this.#options.databases.get(project.projectRef, project.database));
    const { backend, staging } = this.#options;
    await this.emptyBuckets(project, { maxBatches: 20 });
    await expireUploads(context);
    let removed = 0;
    while (removed < MAX_REMOVALS && !this.#isClosed) {
      const versions = await takeExpired(context, BATCH);
      if (versions.length === 0) break;
      for (const address of versions) {
        await backend.remove({ project: project.projectRef, ...address });
        if (backend.kind !== "disk") await staging.remove(project.projectRef, address.version);
      }
      await forgetRemoved(context, versions);
      removed += versions.length;
    }
    return removed;
  }

  async emptyBuckets(project: ServiceSnapshot, { maxBatches }: { readonly maxBatches: number }): Promise<void> {
    const context = systemContext(project, () => this.#options.databases.get(project.projectRef, project.database));
    for (let batch = 0; batch < maxBatches; batch += 1) if (!(await emptyingBatch(context))) return;
  }

  #next(): void {
    this.#round = this.#round
      .then(() => this.run())
      .catch((error) => {
        this.#options.logger.warn({ err: error }, "upkeep of storage failed");
      });
  }

  async #visit(ref: ProjectRef): Promise<void> {
    const now = this.#options.now();
    const project = await this.#options.snapshotOf(ref);
    if (project === null) {
      await unlink(join(this.#folder, ref)).catch(() => {});
      return;
    }
    if (project.state !== "active") {
      this.#dueAt.set(ref, now + 5 * 60_000);
      return;
    }
    await this.sweep(project);
    const context = systemContext(project, () => this.#options.databases.get(ref, project.database));
    const waitMs = await findDue(context);
    if (waitMs === null) {
      const note = join(this.#folder, ref);
      const { mtimeMs } = await stat(note);
      if (Date.now() - mtimeMs > KEEP_NOTE_MS) await unlink(note);
    }
    this.#dueAt.set(ref, now + Math.min(Math.max(waitMs ?? MAX_WAIT_MS, 1_000), MAX_WAIT_MS));
  }

  async #writeNote(ref: ProjectRef): Promise<void> {
    const note = join(this.#folder, ref);
    const time = new Date();
    await utimes(note, time, time).catch(async () => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(note, "", { mode: 0o600 });
    });
  }
}
