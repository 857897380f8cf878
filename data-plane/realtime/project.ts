/** What the service keeps of one project while somebody is connected to it. */
import type { ProjectRef, RealtimeSettings, ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { ProjectDatabase, ProjectDatabases } from "../database/database.ts";
import { Authorization } from "./authorization.ts";
import { ChangeFeed } from "./changes/change-feed.ts";
import type { SlotBudget } from "./changes/slots.ts";
import type { Channel } from "./channel.ts";
import { FrameTurns } from "./limits/frame-turns.ts";
import { RateCounter } from "./limits/rate-counter.ts";
import { MessageFeed } from "./messages/message-feed.ts";
import type { Outbox } from "./outbox.ts";
import { OutboxShare } from "./outbox.ts";
import type { Room } from "./rooms/room.ts";
import { type Broadcast, Rooms } from "./rooms/room.ts";
import type { RealtimeSocket } from "./socket.ts";
import { TokenVerifier } from "./tokens/token-verifier.ts";

export interface RealtimeLogger {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
  error(details: object, message: string): void;
}

/** What all projects of the process share. */
export interface RealtimeSurroundings {
  readonly databases: ProjectDatabases;
  readonly outbox: Outbox;
  readonly expiry: ExpiryWheel;
  readonly counters: RealtimeCounters;
  readonly logger: RealtimeLogger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** How long refusals are held back, so that clients that try again at once do not become a storm. */
  readonly joinRefusalDelayMs: number;
  /** How long a replication slot outlives the last subscriber to database changes. */
  readonly slotLingerMs: number;
  readonly isStopping: () => boolean;
  readonly slots: SlotBudget;
}

/** Since the start of the process. */
export interface RealtimeCounters {
  joins: number;
  refusedJoins: number;
  messagesIn: number;
  messagesOut: number;
  malformedFrames: number;
  broadcasts: number;
  presenceEvents: number;
  droppedMessages: number;
  changesDelivered: number;
  /** Rows looked up for a user's right to see them. */
  rowChecks: number;
  /** From the commit to the sockets' queues, of the last change delivered. */
  lastChangeLagMs: number;
  slowClients: number;
}

/** Channels by the second in which their tokens expire: no timer for each. */
export class ExpiryWheel {
  readonly #bySecond = new Map<number, Set<Channel>>();

  add(channel: Channel): void {
    const second = channel.token.expiresAt;
    const channels = this.#bySecond.get(second);
    if (channels) channels.add(channel);
    else this.#bySecond.set(second, new Set([channel]));
  }

  remove(channel: Channel): void {
    const second = channel.token.expiresAt;
    const channels = this.#bySecond.get(second);
    channels?.delete(channel);
    if (channels?.size === 0) this.#bySecond.delete(second);
  }

  /** Takes out those that have expired. */
  takeExpired(nowSeconds: number): Channel[] {
    const expired: Channel[] = [];
    for (const [second, channels] of this.#bySecond) {
      if (second > nowSeconds) continue;
      this.#bySecond.delete(second);
      expired.push(...channels);
    }
    return expired;
  }
}

/** Presence changes of a moment become one message. */
const PRESENCE_WINDOW_MS = 10;
/** Of all presence payloads of a project. */
const MAX_PRESENCE_BYTES = 16 * 1024 * 1024;

export class RealtimeProject {
  readonly ref: ProjectRef;
  readonly around: RealtimeSurroundings;
  readonly rooms = new Rooms<Channel>();
  readonly sockets = new Set<RealtimeSocket>();
  readonly share = new OutboxShare();
  readonly authorization: Authorization;
  readonly frameTurns: FrameTurns;
  readonly joins = new RateCounter();
  readonly events = new RateCounter();
  readonly presenceEvents = new RateCounter();
  /** Database changes delivered; counted apart from broadcasts. */
  readonly changes = new RateCounter();
  readonly feed: ChangeFeed;
  readonly messages: MessageFeed;
  /** Sockets that have joined a channel. */
  users = 0;
  channels = 0;
  presenceBytes = 0;
  lastUsedMs = 0;
  snapshot: ServiceSnapshot;
  verifier: TokenVerifier;

  constructor(snapshot: ServiceSnapshot, around: RealtimeSurroundings) {
    this.ref = snapshot.projectRef;
    this.frameTurns = new FrameTurns(this.ref);
    this.around = around;
    this.snapshot = snapshot;
    this.verifier = new TokenVerifier(snapshot.jwt);
    this.feed = new ChangeFeed(this, around.slots);
    this.messages = new MessageFeed(this);
    this.authorization = new Authorization(this.ref, () => this.database(), around.logger);
  }

  get settings(): RealtimeSettings {
    return this.snapshot.realtime;
  }

  get seconds(): number {
    return this.around.now() / 1000;
  }

  get maxPayloadBytes(): number {
    return this.settings.maxPayloadSizeKb * 1000 + 500;
  }

  /** Asked for each time: a pool may be replaced. */
  database(): ProjectDatabase {
    return this.around.databases.get(this.ref, this.snapshot.database);
  }

  /** Takes over a newer snapshot. @returns Whether every socket has to connect again. */
  update(snapshot: ServiceSnapshot): boolean {
    const before = this.snapshot;
    if (snapshot.version < before.version) return false;
    this.snapshot = snapshot;
    const sameKeys = JSON.stringify(before.jwt) === JSON.stringify(snapshot.jwt);
    if (!sameKeys) this.verifier = new TokenVerifier(snapshot.jwt);
    return (
      !sameKeys ||
      before.realtime.privateOnly !== snapshot.realtime.privateOnly ||
      before.realtime.suspended !== snapshot.realtime.suspended
    );
  }

  /** To everybody in the room of that name and privacy. @returns To how many. */
  broadcast(topic: string, isPrivate: boolean, broadcast: Broadcast, from: Channel | null): number {
    const room = this.rooms.find(topic, isPrivate);
    const count = room ? room.broadcast(broadcast, from, from ? undefined : wasReplayed(broadcast)) : 0;
    this.events.add(1 + count, this.seconds);
    this.around.counters.broadcasts += 1;
    return count;
  }

  /** Lets go of everything that is held in the project's database. */
  close(): void {
    this.feed.close();
    this.messages.close();
  }

  /** Nothing is held in the project's database. */
  get isIdle(): boolean {
    return this.feed.isIdle && this.messages.isIdle;
  }

  get hasTooManyEvents(): boolean {
    return this.events.isOver(this.settings.maxEventsPerSecond, this.seconds);
  }

  // ---- presence -------------------------------------------------------------------------------------------------

  /** @returns False when the project's presence takes more memory than it may. */
  track(channel: Channel, room: Room<Channel>, payload: string): boolean {
    const before = room.presence.bytesOf(channel);
    if (this.presenceBytes - before + payload.length > MAX_PRESENCE_BYTES) return false;
    if (room.presence.track(channel, channel.presenceKey, payload)) {
      this.presenceBytes += payload.length - before;
      this.#schedulePresence(room);
    }
    return true;
  }

  untrack(channel: Channel, room: Room<Channel>): void {
    const before = room.presence.bytesOf(channel);
    if (!room.presence.untrack(channel)) return;
    this.presenceBytes -= before;
    this.#schedulePresence(room);
  }

  /** The room's presence, and nothing of it is announced again afterwards. */
  presenceState(room: Room<Channel>): string {
    this.#announce(room);
    return room.presence.state();
  }

  #schedulePresence(room: Room<Channel>): void {
    if (room.isDiffScheduled) return;
    room.isDiffScheduled = true;
    setTimeout(() => {
      room.isDiffScheduled = false;
      this.#announce(room);
    }, PRESENCE_WINDOW_MS);
  }

  #announce(room: Room<Channel>): void {
    const count = room.announcePresence();
    this.presenceEvents.add(count, this.seconds);
  }
}

function wasReplayed(broadcast: Broadcast): ((channel: Channel) => boolean) | undefined {
  const id = broadcast.kind === "user" ? broadcast.id : undefined;
  return id === undefined ? undefined : (channel) => channel.replayed?.has(id) === true;
}
