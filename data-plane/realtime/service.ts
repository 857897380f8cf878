/** Realtime for many projects in one process: WebSockets, and the HTTP interface beside them. */
import { setTimeout as delay } from "node:timers/promises";
import type { ConfigCache } from "../../control-plane/client/config-cache.ts";
import type { ProjectRef, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { ProjectDatabases } from "../database/database.ts";
import type { Service } from "../service.ts";
import { CLOSE, type SocketOpening, type SocketRequest, type SocketService } from "../socket-service.ts";
import { SlotBudget } from "./changes/slots.ts";
import { judgeHandshake, type Refusal, refusalResponse } from "./handshake.ts";
import { handleHttp } from "./http-api.ts";
import { Outbox } from "./outbox.ts";
import {
  ExpiryWheel,
  type RealtimeCounters,
  type RealtimeLogger,
  RealtimeProject,
  type RealtimeSurroundings,
} from "./project.ts";
import { RealtimeSocket } from "./socket.ts";

export interface RealtimeServiceOptions {
  readonly databases: ProjectDatabases;
  readonly configs: Pick<ConfigCache<"service">, "onChange">;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly logger: RealtimeLogger;
  /** How long a refused handshake is held back; 2,000 when left out. */
  readonly handshakeRefusalDelayMs?: number;
  /** How long a refused join is held back; 5,000 when left out. Clients give up after 10,000. */
  readonly joinRefusalDelayMs?: number;
  /** Replication slots on one cluster, over all processes; 20 when left out. */
  readonly maxSlotsPerCluster?: number;
  /** How long a slot outlives the last subscriber; 60,000 when left out. */
  readonly slotLingerMs?: number;
}

export interface RealtimeStats {
  readonly projects: number;
  readonly sockets: number;
  readonly channels: number;
  readonly rooms: number;
  readonly bufferedBytes: number;
  /** Streams of database changes that are open or being opened, and what waits in and before them. */
  readonly slots: number;
  readonly changeLagBytes: number;
  readonly changeBacklog: number;
  readonly counters: Readonly<RealtimeCounters>;
}

export interface RealtimeService {
  readonly handle: Service;
  readonly openSocket: SocketService;
  stats(): RealtimeStats;
  close(): Promise<void>;
}

const HANDSHAKE_REFUSAL_MS = 2_000;
const JOIN_REFUSAL_MS = 5_000;
const MAX_SLOTS = 20;
const SLOT_LINGER_MS = 60_000;
/** Refusals that are held back at a time; further ones are sent at once. */
const MAX_HELD_REFUSALS = 1_000;
/** Without any frame of the client. */
const IDLE_MS = 60_000;
const WITHOUT_CHANNEL_MS = 600_000;
/** A project that nobody is connected to is forgotten after so long. */
const FORGET_MS = 60_000;
const TICK_MS = 1_000;

export function createRealtimeService(options: RealtimeServiceOptions): RealtimeService {
  return new MultiTenantRealtime(options);
}

class MultiTenantRealtime implements RealtimeService {
  readonly #projects = new Map<ProjectRef, RealtimeProject>();
  readonly #around: RealtimeSurroundings;
  readonly #outbox = new Outbox();
  readonly #handshakeRefusalDelayMs: number;
  readonly #stopWatching: () => void;
  readonly #timer: NodeJS.Timeout;
  #heldRefusals = 0;
  #isStopping = false;
  readonly #counters: RealtimeCounters = {
    joins: 0,
    refusedJoins: 0,
    messagesIn: 0,
    messagesOut: 0,
    malformedFrames: 0,
    broadcasts: 0,
    presenceEvents: 0,
    droppedMessages: 0,
    changesDelivered: 0,
    rowChecks: 0,
    lastChangeLagMs: 0,
    slowClients: 0,
  };

  constructor(options: RealtimeServiceOptions) {
    const { databases, logger, now, configs } = options;
    this.#handshakeRefusalDelayMs = options.handshakeRefusalDelayMs ?? HANDSHAKE_REFUSAL_MS;
    this.#around = {
      databases,
      logger,
      now,
      outbox: this.#outbox,
      expiry: new ExpiryWheel(),
      counters: this.#counters,
      joinRefusalDelayMs: options.joinRefusalDelayMs ?? JOIN_REFUSAL_MS,
      slotLingerMs: options.slotLingerMs ?? SLOT_LINGER_MS,
      isStopping: () => this.#isStopping,
      slots: new SlotBudget(options.maxSlotsPerCluster ?? MAX_SLOTS),
    };
    this.#stopWatching = configs.onChange(({ projectRef, snapshot }) => this.#configChanged(projectRef, snapshot));
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  readonly handle: Service = (request, snapshot) => handleHttp(request, this.#projectOf(snapshot));

  readonly openSocket: SocketService = (request: SocketRequest, snapshot: ServiceSnapshot) => {
    if (!isSocketPath(request.path)) return this.#refuse({ status: 404, text: "Not found" });
    const project = this.#projectOf(snapshot);
    const judged = judgeHandshake(request, project);
    if ("status" in judged) return this.#refuse(judged);
    return { kind: "accept", handler: new RealtimeSocket(project, judged) };
  };

  stats(): RealtimeStats {
    let sockets = 0;
    let channels = 0;
    let rooms = 0;
    let changeLagBytes = 0;
    let changeBacklog = 0;
    for (const project of this.#projects.values()) {
      sockets += project.sockets.size;
      channels += project.channels;
      rooms += project.rooms.size;
      changeLagBytes = Math.max(changeLagBytes, project.feed.lagBytes);
      changeBacklog += project.feed.backlog;
    }
    return {
      projects: this.#projects.size,
      sockets,
      channels,
      rooms,
      bufferedBytes: this.#outbox.bufferedBytes,
      slots: this.#around.slots.count,
      changeLagBytes,
      changeBacklog,
      counters: this.#counters,
    };
  }

  async close(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#timer);
    this.#stopWatching();
    for (const project of this.#projects.values()) {
      project.close();
      this.#disconnect(project, "server restarting", false);
    }
    this.#projects.clear();
  }

  #refuse(refusal: Refusal): SocketOpening | Promise<SocketOpening> {
    const opening: SocketOpening = { kind: "refuse", response: refusalResponse(refusal) };
    if (refusal.text === "" || this.#heldRefusals >= MAX_HELD_REFUSALS) return opening;
    this.#heldRefusals += 1;
    return delay(this.#handshakeRefusalDelayMs, opening).finally(() => {
      this.#heldRefusals -= 1;
    });
  }

  #projectOf(snapshot: ServiceSnapshot): RealtimeProject {
    let project = this.#projects.get(snapshot.projectRef);
    if (!project) {
      project = new RealtimeProject(snapshot, this.#around);
      this.#projects.set(snapshot.projectRef, project);
    } else if (project.snapshot !== snapshot) this.#update(project, snapshot);
    project.lastUsedMs = this.#around.now();
    return project;
  }

  #configChanged(ref: ProjectRef, snapshot: ServiceSnapshot | null): void {
    const project = this.#projects.get(ref);
    if (!project) return;
    if (snapshot === null || snapshot.state !== "active") {
      this.#projects.delete(ref);
      // At once: a database with an active slot cannot be dropped.
      project.close();
      this.#disconnect(project, "the project is not available", false);
    } else this.#update(project, snapshot);
  }

  #update(project: RealtimeProject, snapshot: ServiceSnapshot): void {
    if (project.update(snapshot)) this.#disconnect(project, "the configuration has changed", true);
  }

  #disconnect(project: RealtimeProject, reason: string, tell: boolean): void {
    for (const socket of [...project.sockets]) socket.disconnect(CLOSE.restart, reason, tell);
  }

  #tick(): void {
    const now = this.#around.now();
    for (const channel of this.#around.expiry.takeExpired(Math.floor(now / 1000))) {
      (channel.socket as RealtimeSocket).expire(channel);
    }
    for (const [ref, project] of this.#projects) {
      for (const socket of project.sockets) {
        if (now - socket.lastFrameMs > IDLE_MS) socket.disconnect(1000, "idle", false);
        else if (!socket.hasChannels && now - socket.withoutChannelSinceMs > WITHOUT_CHANNEL_MS)
          socket.disconnect(1000, "no channel", false);
      }
      if (project.sockets.size === 0 && now - project.lastUsedMs > FORGET_MS && project.isIdle)
        this.#projects.delete(ref);
    }
  }
}

function isSocketPath(path: string): boolean {
  return path === "/socket/websocket";
}
