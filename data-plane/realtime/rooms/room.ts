/** All channels of a project with one subtopic and one privacy: what is sent to one is sent to all. */
import type { Version } from "../protocol/client-frame.ts";
import {
  type Frame,
  fanOutFrame,
  type UserBroadcast,
  userBroadcastFrame,
  userBroadcastText,
} from "../protocol/server-frame.ts";
import { Presence } from "./presence.ts";

export interface Member {
  readonly version: Version;
  /** Gets its own broadcasts back. */
  readonly echoes: boolean;
  readonly mayReadBroadcasts: boolean;
  readonly mayReadPresence: boolean;
  deliver(frame: Frame): void;
}

/** A broadcast in the form in which it came: a payload for event `broadcast`, or a user's event with a payload. */
export type Broadcast =
  | { readonly kind: "text"; readonly payload: string }
  | ({ readonly kind: "user"; readonly id?: string } & UserBroadcast);

export class Room<M extends Member = Member> {
  /** Without the `realtime:` prefix. */
  readonly topic: string;
  readonly isPrivate: boolean;
  readonly members = new Set<M>();
  readonly presence = new Presence<M>();
  /** Stored messages that a member was replayed, by id: their live copies are not sent to it again. */
  isDiffScheduled = false;
  readonly #topicJson: string;

  constructor(topic: string, isPrivate: boolean) {
    this.topic = topic;
    this.isPrivate = isPrivate;
    this.#topicJson = JSON.stringify(`realtime:${topic}`);
  }

  /**
   * @param from Gets it only when it wants its own broadcasts.
   * @param skips Members that have it already.
   * @returns To how many it went.
   */
  broadcast(broadcast: Broadcast, from: M | null, skips?: (member: M) => boolean): number {
    const frames: (Frame | null | undefined)[] = [];
    let count = 0;
    for (const member of this.members) {
      if (!member.mayReadBroadcasts || (member === from && !member.echoes) || skips?.(member)) continue;
      let frame = frames[member.version];
      if (frame === undefined) {
        frame = this.#broadcastFrame(member.version, broadcast);
        frames[member.version] = frame;
      }
      if (frame === null) continue;
      member.deliver(frame);
      count += 1;
    }
    return count;
  }

  /** Sends what has changed in the room's presence. @returns To how many. */
  announcePresence(): number {
    const diff = this.presence.takeDiff();
    if (diff === null) return 0;
    const frames: Frame[] = [];
    let count = 0;
    for (const member of this.members) {
      if (!member.mayReadPresence) continue;
      frames[member.version] ??= fanOutFrame(member.version, this.#topicJson, "presence_diff", diff);
      member.deliver(frames[member.version] as Frame);
      count += 1;
    }
    return count;
  }

  #broadcastFrame(version: Version, broadcast: Broadcast): Frame | null {
    if (broadcast.kind === "text") return fanOutFrame(version, this.#topicJson, "broadcast", broadcast.payload);
    if (version === 2) return userBroadcastFrame(`realtime:${this.topic}`, this.#topicJson, broadcast);
    const text = userBroadcastText(broadcast);
    return text === null ? null : fanOutFrame(1, this.#topicJson, "broadcast", text);
  }
}

/** Rooms of one project. Public and private ones of one name are different rooms. */
export class Rooms<M extends Member> {
  readonly #public = new Map<string, Room<M>>();
  readonly #private = new Map<string, Room<M>>();

  get size(): number {
    return this.#public.size + this.#private.size;
  }

  find(topic: string, isPrivate: boolean): Room<M> | undefined {
    return this.#of(isPrivate).get(topic);
  }

  join(topic: string, isPrivate: boolean, member: M): Room<M> {
    const rooms = this.#of(isPrivate);
    let room = rooms.get(topic);
    if (!room) {
      room = new Room<M>(topic, isPrivate);
      rooms.set(topic, room);
    }
    room.members.add(member);
    return room;
  }

  leave(room: Room<M>, member: M): void {
    room.members.delete(member);
    if (room.members.size === 0) this.#of(room.isPrivate).delete(room.topic);
  }

  #of(isPrivate: boolean): Map<string, Room<M>> {
    return isPrivate ? this.#private : this.#public;
  }
}
