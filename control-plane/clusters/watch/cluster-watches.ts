/** A watch for each cluster, wherever it is at the moment, and what follows from what the watches do. */
import type { Database } from "../../database.ts";
import type { Logger } from "../../logger.ts";
import { type ClusterAddress, type ClusterConnections, isSameAddress } from "../cluster-connections.ts";
import { projectAuthenticatorName, projectDatabaseName, projectUserName } from "../names.ts";
import { alterLogins, terminateOnce } from "../project-sessions.ts";
import type { WatchBounds } from "./bounds.ts";
import {
  type Act,
  type ClosedProject,
  listClosedProjects,
  mayLogIn,
  openProject,
  recordAct,
} from "./closed-projects.ts";
import { ClusterWatch, type EndedSession, type LoginTrouble } from "./cluster-watch.ts";
import type { Reason } from "./decide.ts";

export interface ClusterWatchesOptions {
  readonly database: Database;
  readonly clusters: ClusterConnections;
  readonly logger: Logger;
  /** Counted by reason. */
  readonly onEnded: (reason: Reason, sessions: number) => void;
  readonly onClosed: () => void;
  /** Private bytes of a backend, for clusters on this machine whose processes can be seen; see {@link ClusterWatchOptions}. */
  readonly memoryOf?: (address: ClusterAddress, pid: number) => number | null;
  /** See {@link ClusterWatchOptions}. */
  readonly onLoginTrouble?: (address: ClusterAddress, trouble: LoginTrouble) => readonly string[];
  readonly bounds?: Partial<WatchBounds>;
}

export interface ClusterWatches {
  /** Clusters that this instance watches itself at the moment. */
  watched(): string[];
  stop(): Promise<void>;
}

const RECONCILE_MS = 1_000;
/** An act is written down even if the database is what was attacked. */
const RECORD_TRIES = 5;
const RECORD_RETRY_MS = 1_000;

export function startClusterWatches(options: ClusterWatchesOptions): ClusterWatches {
  return new Watches(options);
}

class Watches implements ClusterWatches {
  readonly #options: ClusterWatchesOptions;
  readonly #watches = new Map<string, { readonly address: ClusterAddress; readonly watch: ClusterWatch }>();
  /** Clusters whose closed projects are being let in again. */
  readonly #opening = new Set<string>();
  /** Goes on by itself and is awaited at the end: acts that are written down, watches that stop, projects that open. */
  readonly #underWay = new Set<Promise<void>>();
  #closed: ReadonlySet<string> = new Set();
  #timer: NodeJS.Timeout | null = null;
  #reconciling: Promise<void>;
  #stopped = false;

  constructor(options: ClusterWatchesOptions) {
    this.#options = options;
    this.#reconciling = this.#reconcile();
  }

  watched(): string[] {
    return [...this.#watches].flatMap(([id, { watch }]) => (watch.isWatching ? [id] : []));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#reconciling;
    await Promise.all([...this.#watches.values()].map(({ watch }) => watch.stop()));
    await Promise.all(this.#underWay);
  }

  async #reconcile(): Promise<void> {
    const { database, logger } = this.#options;
    try {
      await this.#followClusters();
      const closed = await listClosedProjects(database);
      this.#closed = new Set(closed.flatMap(({ ref, isOver }) => (isOver ? [] : [ref])));
      const over = closed.filter(({ isOver }) => isOver);
      for (const [clusterId, projects] of Map.groupBy(over, (project) => project.clusterId))
        this.#openAll(clusterId, projects);
    } catch (error) {
      // Watches that run go on; whoever is closed stays so.
      logger.warn({ err: error }, "the watches of clusters could not be brought up to date");
    }
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#reconciling = this.#reconcile();
    }, RECONCILE_MS);
  }

  async #followClusters(): Promise<void> {
    const { database, clusters, logger, memoryOf, onLoginTrouble, bounds = {} } = this.#options;
    const rows = await database.query<{ id: string }>(
      "/* watchedClusters */ select id from clusters where state <> 'offline' order by id",
    );
    const present = new Set(rows.map(({ id }) => id));
    for (const clusterId of present) {
      const address = await clusters.address(clusterId);
      const known = this.#watches.get(clusterId);
      if (known && isSameAddress(known.address, address)) continue;
      // Not waited for: one cluster that does not answer must not keep others from being watched.
      if (known) this.#goOn(known.watch.stop());
      if (this.#stopped) return;
      const watch = new ClusterWatch({
        clusterId,
        address,
        logger,
        bounds,
        closed: () => this.#closed,
        onEnded: (endings) => this.#record(clusterId, endings),
        ...(memoryOf ? { memoryOf: (pid) => memoryOf(address, pid) } : {}),
        ...(onLoginTrouble ? { onLoginTrouble: (trouble) => onLoginTrouble(address, trouble) } : {}),
      });
      this.#watches.set(clusterId, { address, watch });
    }
    for (const [clusterId, { watch }] of this.#watches)
      if (!present.has(clusterId)) {
        this.#watches.delete(clusterId);
        this.#goOn(watch.stop());
      }
  }

  #goOn(work: Promise<void>): void {
    const going = work.finally(() => this.#underWay.delete(going));
    this.#underWay.add(going);
  }

  #record(clusterId: string, endings: readonly EndedSession[]): void {
    const acts = Map.groupBy(endings, ({ session, reason }) => `${session.ref} ${reason}`);
    for (const [first, ...others] of acts.values()) {
      if (!first) continue;
      const act: Act = { ref: first.session.ref, reason: first.reason, sessions: others.length + 1 };
      this.#options.onEnded(act.reason, act.sessions);
      this.#options.logger.warn({ clusterId, projectRef: act.ref, ...act }, "sessions of a project were ended");
      // A closed project that comes again and again would fill the log: closing it has been written down.
      if (act.reason === "closed") continue;
      this.#goOn(this.#write(clusterId, act));
    }
  }

  async #write(clusterId: string, act: Act): Promise<void> {
    const { database, logger, onClosed } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const isClosed = await database.transaction((tx) => recordAct(tx, act));
        if (!isClosed) return;
        onClosed();
        logger.warn({ clusterId, projectRef: act.ref }, "a project was closed for a while");
        this.#closed = new Set([...this.#closed, act.ref]);
        return await this.#shut(clusterId, act.ref);
      } catch (error) {
        logger.warn({ err: error, projectRef: act.ref, attempt }, "what the watch did could not be written down");
        if (attempt === RECORD_TRIES || this.#stopped) return;
        await new Promise((resume) => setTimeout(resume, RECORD_RETRY_MS));
      }
    }
  }

  /** The watch ends whatever comes in nevertheless, so it is no harm when this fails. */
  async #shut(clusterId: string, ref: string): Promise<void> {
    await this.#options.clusters
      .withAdmin(clusterId, async (client) => {
        await alterLogins(client, ref, loginStatements(ref, "nologin"));
        await terminateOnce(client, projectDatabaseName(ref));
      })
      .catch((error) =>
        this.#options.logger.warn({ err: error, projectRef: ref }, "a closed project may still log in"),
      );
  }

  /**
   * The instance that watches a cluster has a connection to it that answers; another one, or a cluster that is away, would
   * only hold connections of the control plane while it waits. One project after another, each cluster by itself.
   */
  #openAll(clusterId: string, projects: readonly ClosedProject[]): void {
    if (!this.#watches.get(clusterId)?.watch.isWatching || this.#opening.has(clusterId)) return;
    this.#opening.add(clusterId);
    const open = async () => {
      for (const { ref } of projects) if (!this.#stopped) await this.#open(clusterId, ref);
      this.#opening.delete(clusterId);
    };
    this.#goOn(open());
  }

  /** In one transaction with the project's row, so that nobody pauses it in between. */
  async #open(clusterId: string, ref: string): Promise<void> {
    const { database, clusters, logger } = this.#options;
    try {
      await database.transaction(async (tx) => {
        if (await mayLogIn(tx, ref))
          await clusters.withAdmin(clusterId, (client) => alterLogins(client, ref, loginStatements(ref, "login")));
        if (await openProject(tx, ref)) logger.info({ projectRef: ref }, "a closed project is open again");
      });
    } catch (error) {
      logger.warn({ err: error, projectRef: ref }, "a closed project could not be opened yet");
    }
  }
}

function loginStatements(ref: string, login: "login" | "nologin"): string {
  return `/* closeOrOpenProject */ alter role ${projectUserName(ref)} ${login}; alter role ${projectAuthenticatorName(ref)} ${login};`;
}
