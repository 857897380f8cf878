/** One topic joined by one socket. */
import type { Extension, ReadRights } from "./authorization.ts";
import type { Ref, Version } from "./protocol/client-frame.ts";
import type { JoinConfig } from "./protocol/join-config.ts";
import { type Frame, textMessage } from "./protocol/server-frame.ts";
import type { Member, Room } from "./rooms/room.ts";
import type { VerifiedToken } from "./tokens/token-verifier.ts";

/** What of a socket a channel needs. */
export interface ChannelSocket {
  readonly version: Version;
  enqueue(frame: Frame): void;
}

/** Undefined: not asked yet; what waits for the answer is kept in order. */
export interface WriteRight {
  answer: boolean | undefined;
  waiting: ((allowed: boolean) => void)[] | null;
}

export class Channel implements Member {
  readonly socket: ChannelSocket;
  /** Without the `realtime:` prefix. */
  readonly topic: string;
  readonly topicJson: string;
  readonly joinRef: Ref;
  readonly config: JoinConfig;
  readonly presenceKey: string;
  token: VerifiedToken;
  room: Room<Channel> | null = null;
  /** Of a private channel; a public one may all. */
  rights: ReadRights = { broadcast: true, presence: true };
  readonly writeRights: Record<Extension, WriteRight> = {
    broadcast: { answer: undefined, waiting: null },
    presence: { answer: undefined, waiting: null },
  };
  /** Ids of stored messages that were replayed, until their live copies cannot come any more. */
  replayed: Set<string> | null = null;
  /** Whether rights to presence have been asked for. */
  knowsPresence: boolean;
  isClosed = false;
  refusal: NodeJS.Timeout | undefined;
  /** Undoes what waits for broadcasts from the database to be there. */
  stopWaiting: (() => void) | null = null;
  #presenceWindowStart = 0;
  #presenceCalls = 0;

  constructor(
    socket: ChannelSocket,
    topic: string,
    joinRef: Ref,
    config: JoinConfig,
    presenceKey: string,
    token: VerifiedToken,
  ) {
    this.socket = socket;
    this.topic = topic;
    this.topicJson = JSON.stringify(`realtime:${topic}`);
    this.joinRef = joinRef;
    this.config = config;
    this.presenceKey = presenceKey;
    this.token = token;
    this.knowsPresence = !config.isPrivate;
  }

  get version(): Version {
    return this.socket.version;
  }

  get echoes(): boolean {
    return this.config.self;
  }

  get mayReadBroadcasts(): boolean {
    return this.rights.broadcast;
  }

  get mayReadPresence(): boolean {
    return this.rights.presence;
  }

  deliver(frame: Frame): void {
    this.socket.enqueue(frame);
  }

  reply(ref: Ref, status: "ok" | "error", response: string): void {
    this.#send(this.joinRef, ref, "phx_reply", `{"status":"${status}","response":${response}}`);
  }

  /** @param payload JSON text. */
  push(event: string, payload: string): void {
    this.#send(this.joinRef, null, event, payload);
  }

  system(extension: "system" | "postgres_changes", status: "ok" | "error", message: string): void {
    const payload = { extension, status, message, channel: this.topic };
    this.push("system", JSON.stringify(payload));
  }

  sendClose(): void {
    this.#send(this.joinRef, this.joinRef, "phx_close", "{}");
  }

  /** Counts a presence call. @returns False when there were too many within the window. */
  mayCallPresence(maxCalls: number, windowMs: number, nowMs: number): boolean {
    if (nowMs - this.#presenceWindowStart >= windowMs) {
      this.#presenceWindowStart = nowMs;
      this.#presenceCalls = 0;
    }
    this.#presenceCalls += 1;
    return this.#presenceCalls <= maxCalls;
  }

  #send(joinRef: Ref, ref: Ref, event: string, payload: string): void {
    const data = textMessage(this.version, joinRef, ref, this.topicJson, event, payload);
    this.socket.enqueue({ data, isBinary: false });
  }
}
