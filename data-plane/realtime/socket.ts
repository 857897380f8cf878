/** One WebSocket: its frames in, its channels, and what waits to be written. */
import { randomUUID } from "node:crypto";
import { CLOSE, type ClientSocket, type SocketHandler } from "../socket-service.ts";
import { type Asker, AuthorizationUnavailable, type Extension } from "./authorization.ts";
import { bindingIds } from "./changes/binding.ts";
import { Channel, type ChannelSocket } from "./channel.ts";
import { readReplay, type StoredMessage } from "./messages/stored-messages.ts";
import type { RealtimeProject } from "./project.ts";
import {
  type ClientMessage,
  parseBinaryFrame,
  parseTextFrame,
  type Ref,
  type UserBroadcastPush,
  type Version,
} from "./protocol/client-frame.ts";
import { parseJoinConfig } from "./protocol/join-config.ts";
import { type Frame, textMessage, userBroadcastFrame, userBroadcastText } from "./protocol/server-frame.ts";
import type { Broadcast } from "./rooms/room.ts";
import { faultReason, faultText, isFault, type VerifiedToken } from "./tokens/token-verifier.ts";

const TOPIC_PREFIX = "realtime:";
/** Topics, and all that a channel keeps of its join, lie in memory as long as the channel does. */
const MAX_TOPIC_LENGTH = 1_000;
const MAX_PRESENCE_KEY_LENGTH = 1_000;
const MAX_JOIN_BYTES = 64 * 1024;
const MAX_BINDINGS = 100;
/** What a client has not taken; a slower one is closed. */
const MAX_BUFFERED_BYTES = 4 * 1024 * 1024;
/** Time for a client that is closed for being slow to read why. */
const LINGER_MS = 5_000;
/** Broadcasts that wait for the answer whether the channel may send any. */
const MAX_WAITING_WRITES = 100;
const REPLICATION_READY_MS = 60_000;

export interface SocketOrigin {
  readonly version: Version;
  /** Of the handshake. */
  readonly token: VerifiedToken;
  /** JSON text of the handshake's headers that policies may see. */
  readonly headers: string;
}

export class RealtimeSocket implements SocketHandler, ChannelSocket {
  readonly version: Version;
  readonly #project: RealtimeProject;
  readonly #origin: SocketOrigin;
  #client: ClientSocket | null = null;
  #channels: Map<string, Channel> | null = null;
  #isUser = false;
  #queue: Frame[] = [];
  #queuedBytes = 0;
  #accountedBytes = 0;
  #isDropped = false;
  lastFrameMs: number;
  /** When the last channel was left; the socket may stay a while without one. */
  withoutChannelSinceMs: number;

  constructor(project: RealtimeProject, origin: SocketOrigin) {
    this.version = origin.version;
    this.#project = project;
    this.#origin = origin;
    const now = project.around.now();
    this.lastFrameMs = now;
    this.withoutChannelSinceMs = now;
  }

  get hasChannels(): boolean {
    return this.#channels !== null && this.#channels.size > 0;
  }

  // ---- as the handler of a client -------------------------------------------------------------------------------

  opened(client: ClientSocket): void {
    this.#client = client;
    this.#project.sockets.add(this);
  }

  message(data: ArrayBuffer, isBinary: boolean): void {
    const { frameTurns, around } = this.#project;
    this.lastFrameMs = around.now();
    around.counters.messagesIn += 1;
    if (this.#isDropped) return;
    if (frameTurns.isFree) {
      frameTurns.run(() => this.#take(data, isBinary));
      return;
    }
    const copied = data.slice(0); // it is lent for this call
    if (!frameTurns.add(copied.byteLength, () => this.#take(copied, isBinary))) this.#tooSlow();
  }

  #take(data: ArrayBuffer, isBinary: boolean): void {
    const { counters } = this.#project.around;
    if (this.#isDropped || this.#client === null) return;
    if (isBinary) {
      const push = this.version === 2 ? parseBinaryFrame(data) : null;
      if (push) this.#userBroadcast(push);
      else counters.malformedFrames += 1;
      return;
    }
    const message = parseTextFrame(this.version, Buffer.from(data).toString("utf8"));
    if (message) this.#dispatch(message, data.byteLength);
    else counters.malformedFrames += 1;
  }

  drained(): void {
    this.#account();
  }

  closed(): void {
    this.#client = null;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#account();
    for (const channel of this.#channels?.values() ?? []) this.#detach(channel);
    this.#channels = null;
    if (this.#isUser) this.#project.users -= 1;
    this.#isUser = false;
    this.#project.sockets.delete(this);
  }

  // ---- towards the client -----------------------------------------------------------------------------------------

  enqueue(frame: Frame): void {
    if (this.#client === null || this.#isDropped) return;
    this.#queue.push(frame);
    this.#queuedBytes += frame.data.length;
    if (this.#queue.length === 1) this.#project.around.outbox.add(this.#project.share, this);
    if (this.#queuedBytes > MAX_BUFFERED_BYTES) this.#tooSlow();
  }

  flush(): void {
    const client = this.#client;
    const frames = this.#queue;
    if (client === null || frames.length === 0) return;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#project.around.counters.messagesOut += frames.length;
    const [first] = frames;
    if (frames.length === 1 && first) client.send(first.data, first.isBinary);
    else {
      client.cork(() => {
        for (const { data, isBinary } of frames) client.send(data, isBinary);
      });
    }
    this.#account();
  }

  /** Tells every channel and closes the socket; the client connects again. */
  disconnect(code: number, reason: string, tell: boolean): void {
    if (tell) {
      for (const channel of this.#channels?.values() ?? []) {
        const payload = { extension: "system", status: "ok", message: "Server requested disconnect" };
        if (channel.room) channel.push("system", JSON.stringify(payload));
      }
    }
    this.flush();
    this.#client?.close(code, reason);
  }

  #account(): void {
    const buffered = this.#client?.bufferedBytes ?? 0;
    const delta = buffered - this.#accountedBytes;
    if (delta === 0) return;
    this.#accountedBytes = buffered;
    const mayGrow = this.#project.around.outbox.account(this.#project.share, delta, buffered);
    if (buffered > MAX_BUFFERED_BYTES || !mayGrow) this.#tooSlow();
  }

  #tooSlow(): void {
    if (this.#isDropped || !this.#client) return;
    this.#isDropped = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#project.around.counters.slowClients += 1;
    const client = this.#client;
    client.close(CLOSE.overloaded, "the client is too slow");
    setTimeout(() => client.terminate(), LINGER_MS).unref();
  }

  #reply(message: { joinRef?: Ref; ref: Ref; topic: string }, status: "ok" | "error", response: string): void {
    const payload = `{"status":"${status}","response":${response}}`;
    const topicJson = JSON.stringify(message.topic);
    const data = textMessage(this.version, message.joinRef ?? null, message.ref, topicJson, "phx_reply", payload);
    this.enqueue({ data, isBinary: false });
  }

  // ---- messages ---------------------------------------------------------------------------------------------------

  #dispatch(message: ClientMessage, bytes: number): void {
    const { topic, event } = message;
    if (topic === "phoenix" && event === "heartbeat") this.#reply({ ref: message.ref, topic }, "ok", "{}");
    else if (event === "phx_join") this.#join(message, bytes);
    else {
      const channel = this.#channels?.get(topic);
      if (event === "phx_leave") this.#leave(message, channel);
      else if (channel?.room) this.#channelMessage(message, channel, bytes);
      else this.#reply({ ref: message.ref, topic }, "error", '{"reason":"unmatched topic"}');
    }
  }

  #leave(message: ClientMessage, channel: Channel | undefined): void {
    const isCurrent = message.joinRef === null || message.joinRef === channel?.joinRef;
    if (!channel || !isCurrent) {
      this.#reply({ joinRef: message.joinRef, ref: message.ref, topic: message.topic }, "ok", "{}");
      return;
    }
    this.#remove(channel);
    channel.reply(message.ref, "ok", "{}");
    channel.sendClose();
  }

  #channelMessage(message: ClientMessage, channel: Channel, bytes: number): void {
    const { event } = message;
    if (event === "access_token") {
      void this.#newToken(channel, message.payload);
      return;
    }
    if (event === "presence") {
      this.#presence(message, channel, bytes);
      return;
    }
    if (!this.#mayGoOn(channel)) return;
    if (event === "broadcast") {
      const { payload } = message;
      if (typeof payload !== "object" || payload === null) return;
      const broadcast: Broadcast = { kind: "text", payload: message.payloadText() };
      this.#broadcast(channel, message.ref, broadcast, bytes);
    } else this.#project.events.add(1, this.#project.seconds);
  }

  #userBroadcast(push: UserBroadcastPush): void {
    const channel = this.#channels?.get(push.topic);
    if (!channel?.room) {
      this.#reply({ ref: push.ref, topic: push.topic }, "error", '{"reason":"unmatched topic"}');
      return;
    }
    if (!this.#mayGoOn(channel)) return;
    const { event, encoding } = push;
    // The bytes are lent for this call; a private channel may have to ask first.
    const isKnown = !channel.config.isPrivate || channel.writeRights.broadcast.answer !== undefined;
    const payload = isKnown ? push.payload : Buffer.from(push.payload);
    const broadcast: Broadcast = { kind: "user", event, encoding, payload, metadata: "" };
    this.#broadcast(channel, push.ref, broadcast, push.payload.length);
  }

  /** @returns False when the project sends more than it may: the channel is closed. */
  #mayGoOn(channel: Channel): boolean {
    if (!this.#project.hasTooManyEvents) return true;
    this.#shutDown(channel, "Too many messages per second");
    return false;
  }

  #broadcast(channel: Channel, ref: Ref, broadcast: Broadcast, bytes: number): void {
    if (bytes > this.#project.maxPayloadBytes) {
      if (channel.config.ack) channel.reply(ref, "error", '"payload_size_exceeded"');
      return;
    }
    this.#whenAllowed(channel, "broadcast", (isAllowed) => {
      if (channel.isClosed) return;
      if (!isAllowed) {
        this.#project.around.counters.droppedMessages += 1;
        return;
      }
      this.#project.broadcast(channel.topic, channel.config.isPrivate, broadcast, channel);
      if (channel.config.ack) channel.reply(ref, "ok", "{}");
    });
  }

  /** Calls back at once when the answer is known; what has to wait keeps its order. */
  #whenAllowed(channel: Channel, extension: Extension, act: (isAllowed: boolean) => void): void {
    const right = channel.writeRights[extension];
    if (!channel.config.isPrivate) act(true);
    else if (right.answer !== undefined) act(right.answer);
    else if (right.waiting) {
      if (right.waiting.length < MAX_WAITING_WRITES) right.waiting.push(act);
      else this.#project.around.counters.droppedMessages += 1;
    } else {
      right.waiting = [act];
      const { token } = channel;
      const settle = (answer: boolean, isKnown: boolean) => {
        const waiting = right.waiting ?? [];
        right.waiting = null;
        // A token that came meanwhile has other rights.
        if (isKnown && channel.token === token) right.answer = answer;
        for (const waited of waiting) waited(answer);
      };
      this.#project.authorization.mayWrite(this.#asker(channel), extension).then(
        (answer) => settle(answer, true),
        () => settle(false, false),
      );
    }
  }

  #asker({ token, topic }: Channel): Asker {
    return { token, topic, headers: this.#origin.headers };
  }

  // ---- presence -----------------------------------------------------------------------------------------------------

  #presence(message: ClientMessage, channel: Channel, bytes: number): void {
    const { settings, seconds, around, presenceEvents } = this.#project;
    around.counters.presenceEvents += 1;
    presenceEvents.add(1, seconds);
    if (presenceEvents.isOver(settings.maxPresenceEventsPerSecond, seconds)) {
      this.#shutDown(channel, "Too many presence messages per second");
      return;
    }
    const { maxClientPresenceEventsPerWindow: maxCalls, clientPresenceWindowMs: windowMs } = settings;
    if (!channel.mayCallPresence(maxCalls, windowMs, around.now())) {
      this.#shutDown(channel, "Client presence rate limit exceeded");
      return;
    }
    const { event, payload = {} } = (message.payload ?? {}) as { event?: unknown; payload?: unknown };
    const call = typeof event === "string" ? event.toLowerCase() : event;
    if (call === undefined) channel.reply(message.ref, "ok", "{}");
    else if (call === "untrack") {
      if (channel.room) this.#project.untrack(channel, channel.room);
      channel.reply(message.ref, "ok", "{}");
    } else if (call !== "track") channel.reply(message.ref, "error", "{}");
    else if (typeof payload !== "object" || payload === null || Array.isArray(payload)) {
      channel.reply(message.ref, "error", '{"reason":"Presence track payload must be a map"}');
    } else if (bytes > this.#project.maxPayloadBytes) this.#shutDown(channel, "Track message size exceeded");
    else this.#track(channel, message.ref, JSON.stringify(payload));
  }

  #track(channel: Channel, ref: Ref, payload: string): void {
    this.#whenAllowed(channel, "presence", (isAllowed) => {
      if (channel.isClosed || !channel.room) return;
      if (!isAllowed) {
        channel.reply(ref, "error", "{}");
        return;
      }
      if (!this.#project.track(channel, channel.room, payload)) {
        this.#shutDown(channel, "Track message size exceeded");
        return;
      }
      channel.reply(ref, "ok", "{}");
      if (!channel.knowsPresence) void this.#askPresence(channel);
    });
  }

  /** A private channel that has not asked for presence at its join gets to see it from its first track on, if it may. */
  async #askPresence(channel: Channel): Promise<void> {
    channel.knowsPresence = true;
    const rights = await this.#project.authorization
      .readRights(this.#asker(channel), ["presence"])
      .catch(() => ({ presence: false }));
    if (!channel.isClosed) channel.rights = { ...channel.rights, presence: rights.presence };
  }

  // ---- joining ------------------------------------------------------------------------------------------------------

  #join(message: ClientMessage, bytes: number): void {
    const { topic } = message;
    if (!topic.startsWith(TOPIC_PREFIX)) {
      this.#reply(message, "error", '{"reason":"unmatched topic"}');
      return;
    }
    const { around, joins, seconds } = this.#project;
    around.counters.joins += 1;
    joins.add(1, seconds);
    const before = this.#channels?.get(topic);
    const config = parseJoinConfig(message.payload);
    const presenceKey = config.presenceKey === "" ? randomUUID() : config.presenceKey;
    const subtopic = topic.slice(TOPIC_PREFIX.length);
    const channel = new Channel(this, subtopic, message.joinRef, config, presenceKey, this.#origin.token);
    const refusal = this.#refusal(channel, before !== undefined, bytes);
    if (before) this.#detach(before);
    this.#channels ??= new Map();
    this.#channels.set(topic, channel);
    if (refusal !== null) this.#refuseJoin(channel, message.ref, before, refusal);
    else if (config.isPrivate) void this.#joinPrivate(channel, message.ref, before);
    else this.#admit(channel, message.ref, before);
  }

  /** Why a join cannot be, as far as that is known without the database. Sets the channel's token. */
  #refusal(channel: Channel, isRejoin: boolean, bytes: number): string | null {
    const { settings, around, users, joins, seconds, verifier } = this.#project;
    const { config } = channel;
    if (around.isStopping()) return "RealtimeRestarting: Realtime is restarting, please standby";
    if (settings.suspended) return "RealtimeDisabledForTenant: Realtime disabled for this tenant";
    if (settings.privateOnly && !config.isPrivate) return "PrivateOnly: This project only allows private channels";
    if (!this.#isUser && users >= settings.maxConcurrentUsers)
      return "ConnectionRateLimitReached: Too many connected users";
    if (joins.isOver(settings.maxJoinsPerSecond, seconds))
      return "ClientJoinRateLimitReached: Too many joins per second";
    if (!isRejoin && (this.#channels?.size ?? 0) >= settings.maxChannelsPerClient)
      return "ChannelRateLimitReached: Too many channels";
    if (channel.topic === "") return "TopicNameRequired: You must provide a topic name";
    if (channel.topic.length > MAX_TOPIC_LENGTH) return "TopicNameTooLong: A topic has at most 1000 characters";
    if (bytes > MAX_JOIN_BYTES || channel.presenceKey.length > MAX_PRESENCE_KEY_LENGTH)
      return "JoinPayloadTooLarge: The join message is too large";
    if (config.bindings.length > MAX_BINDINGS) return "TooManyBindings: A channel has at most 100 postgres_changes";
    const token = config.token === null ? this.#origin.token : verifier.verify(config.token, around.now());
    if (isFault(token)) return faultReason(token);
    const expiredFor = Math.floor(seconds) - token.expiresAt;
    if (expiredFor >= 0) return `InvalidJWTToken: Token has expired ${expiredFor} seconds ago`;
    channel.token = token;
    if (config.replay === null) return "UnableToReplayMessages: Replay params are not valid";
    if (config.replay !== undefined && !config.isPrivate)
      return "UnableToReplayMessages: Replay is not allowed for public channels";
    return null;
  }

  async #joinPrivate(channel: Channel, ref: Ref, before: Channel | undefined): Promise<void> {
    const wantsPresence = channel.config.presenceEnabled || this.#project.settings.presenceEnabled;
    const reason = await this.#checkRights(channel, wantsPresence);
    if (channel.isClosed) return;
    const { replay } = channel.config;
    let replayed: readonly StoredMessage[] = [];
    let failure = reason;
    if (failure === null && replay && channel.rights.broadcast) {
      try {
        replayed = await readReplay(this.#project.database(), channel.topic, replay, this.#project.maxPayloadBytes);
      } catch {
        failure = "UnableToReplayMessages: Realtime was unable to replay messages";
      }
      if (channel.isClosed) return;
    }
    if (failure !== null) {
      this.#refuseJoin(channel, ref, before, failure);
      return;
    }
    this.#admit(channel, ref, before, replayed);
  }

  /** @returns Why the channel may not be read, or null. */
  async #checkRights(channel: Channel, wantsPresence: boolean): Promise<string | null> {
    try {
      const extensions: Extension[] = wantsPresence ? ["broadcast", "presence"] : ["broadcast"];
      channel.rights = await this.#project.authorization.readRights(this.#asker(channel), extensions);
      channel.knowsPresence = wantsPresence;
    } catch (error) {
      if (error instanceof AuthorizationUnavailable) return error.message;
      this.#project.around.logger.error({ err: error, projectRef: this.#project.ref }, "a channel was not authorised");
      return "Unknown Error on Channel";
    }
    if (channel.rights.broadcast || channel.rights.presence) return null;
    return `Unauthorized: You do not have permissions to read from this Channel topic: ${channel.topic}`;
  }

  #admit(channel: Channel, ref: Ref, before: Channel | undefined, replayed: readonly StoredMessage[] = []): void {
    const project = this.#project;
    if (!this.#isUser) {
      this.#isUser = true;
      project.users += 1;
    }
    project.channels += 1;
    project.messages.channelsChanged(project.channels);
    channel.room = project.rooms.join(channel.topic, channel.config.isPrivate, channel);
    project.around.expiry.add(channel);
    const { bindings } = channel.config;
    const ids = bindingIds(bindings);
    const echoed = bindings.map((binding, index) => ({ ...binding, id: ids[index] }));
    channel.reply(ref, "ok", JSON.stringify({ postgres_changes: echoed }));
    before?.sendClose();
    for (const message of replayed) this.#replay(channel, message);
    if (bindings.length > 0) project.feed.register(channel, bindings, ids);
    if (channel.config.replicationReady) this.#announceReplication(channel);
    const isPresenceOn = channel.config.presenceEnabled || project.settings.presenceEnabled;
    if (isPresenceOn && channel.rights.presence) channel.push("presence_state", project.presenceState(channel.room));
  }

  /** A stored message, as if it came now; its live copy, should there be one, is not sent again. */
  #replay(channel: Channel, { id, event, encoding, payload }: StoredMessage): void {
    if (payload === null) return;
    channel.replayed ??= new Set();
    channel.replayed.add(id);
    const metadata = `{"replayed":true,"id":"${id}"}`;
    const broadcast = { event, encoding, payload, metadata };
    if (encoding === "json") {
      const text = userBroadcastText(broadcast);
      if (text !== null) channel.push("broadcast", text);
    } else if (this.version === 2) {
      const frame = userBroadcastFrame(TOPIC_PREFIX + channel.topic, channel.topicJson, broadcast);
      if (frame) this.enqueue(frame);
    }
  }

  /** For clients that want to know when broadcasts from the database reach them. */
  #announceReplication(channel: Channel): void {
    const timer = setTimeout(() => {
      this.#shutDown(channel, "Replication connection was not established in time");
    }, REPLICATION_READY_MS);
    const undo = this.#project.messages.whenReady(() => {
      clearTimeout(timer);
      channel.system("system", "ok", "Replication connection established");
    });
    channel.stopWaiting = () => {
      clearTimeout(timer);
      undo();
    };
  }

  /** Later, so that clients that try again at once do not become a storm; the socket goes on meanwhile. */
  #refuseJoin(channel: Channel, ref: Ref, before: Channel | undefined, reason: string): void {
    const { around } = this.#project;
    around.counters.refusedJoins += 1;
    const closesSocket = reason.startsWith("ClientJoinRateLimitReached");
    const refuse = () => {
      channel.reply(ref, "error", JSON.stringify({ reason }));
      before?.sendClose();
      this.#remove(channel);
      if (closesSocket) this.disconnect(CLOSE.goingAway, "Too many joins per second", false);
    };
    channel.refusal = setTimeout(refuse, closesSocket ? 0 : around.joinRefusalDelayMs);
  }

  // ---- tokens -------------------------------------------------------------------------------------------------------

  async #newToken(channel: Channel, payload: unknown): Promise<void> {
    const text = (payload as { access_token?: unknown } | null)?.access_token;
    if (typeof text !== "string" || text.startsWith("sb_")) return;
    const token = this.#project.verifier.verify(text, this.#project.around.now());
    if (isFault(token)) {
      this.#shutDown(channel, faultText(token));
      return;
    }
    if (token.id === channel.token.id) return;
    this.#project.around.expiry.remove(channel);
    channel.token = token;
    this.#project.around.expiry.add(channel);
    for (const right of Object.values(channel.writeRights)) right.answer = undefined;
    if (channel.config.isPrivate) await this.#readAgain(channel);
    if (!channel.isClosed) this.#project.feed.reregister(channel);
  }

  async #readAgain(channel: Channel): Promise<void> {
    const before = channel.rights;
    const { token } = channel;
    const reason = await this.#checkRights(channel, channel.knowsPresence);
    if (channel.isClosed || channel.token !== token) return;
    const { broadcast, presence } = channel.rights;
    if (reason !== null) this.#shutDown(channel, reason.slice(reason.indexOf(": ") + 2));
    else if ((before.broadcast && !broadcast) || (before.presence && !presence)) {
      this.#shutDown(channel, `You no longer have permission to read from this Channel topic: ${channel.topic}`);
    }
  }

  /** Called when the channel's token has expired. */
  expire(channel: Channel): void {
    const seconds = Math.max(0, Math.floor(this.#project.seconds) - channel.token.expiresAt);
    this.#shutDown(channel, `Token has expired ${seconds} seconds ago`);
  }

  // ---- the end of a channel -----------------------------------------------------------------------------------------

  /** An error that the channel does not survive; the socket does. */
  #shutDown(channel: Channel, message: string): void {
    if (channel.isClosed) return;
    channel.system("system", "error", message);
    channel.sendClose();
    this.#remove(channel);
  }

  #remove(channel: Channel): void {
    this.#detach(channel);
    const topic = TOPIC_PREFIX + channel.topic;
    if (this.#channels?.get(topic) === channel) this.#channels.delete(topic);
    if (!this.hasChannels) this.withoutChannelSinceMs = this.#project.around.now();
  }

  /** Takes the channel out of everything but the socket's own list. */
  #detach(channel: Channel): void {
    if (channel.isClosed) return;
    channel.isClosed = true;
    clearTimeout(channel.refusal);
    const { room } = channel;
    if (!room) return;
    const project = this.#project;
    project.channels -= 1;
    project.messages.channelsChanged(project.channels);
    channel.stopWaiting?.();
    project.around.expiry.remove(channel);
    project.feed.unregister(channel);
    project.untrack(channel, room);
    project.rooms.leave(room, channel);
    channel.room = null;
  }
}
