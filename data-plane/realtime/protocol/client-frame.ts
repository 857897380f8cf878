/**
 * What clients send: Phoenix messages as JSON text in two versions, and in version 2 binary frames.
 * A frame that is none of these is null: it is counted and dropped, the connection stays.
 */
import { payloadOfArray, payloadOfObject } from "./json-span.ts";

/** Serializer of a socket: `vsn=1.0.x` or `vsn=2.0.x`. */
export type Version = 1 | 2;

export type Ref = string | number | null;

export interface ClientMessage {
  readonly kind: "message";
  readonly joinRef: Ref;
  readonly ref: Ref;
  readonly topic: string;
  readonly event: string;
  readonly payload: unknown;
  /** The payload as it was written: numbers keep all their digits. */
  payloadText(): string;
}

/** Binary frame of kind 3: what realtime-js sends for `channel.send({ type: "broadcast" })`. */
export interface UserBroadcastPush {
  readonly kind: "user-broadcast";
  readonly joinRef: Ref;
  readonly ref: Ref;
  readonly topic: string;
  /** The user's own event name. */
  readonly event: string;
  readonly encoding: "json" | "binary";
  /** Bytes of the frame: valid only while the frame is. */
  readonly payload: Uint8Array;
}

export type ClientFrame = ClientMessage | UserBroadcastPush;

const KIND_USER_BROADCAST = 3;

export function parseTextFrame(version: Version, text: string): ClientMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return version === 1 ? fromObject(value, text) : fromArray(value, text);
}

function fromObject(value: unknown, text: string): ClientMessage | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { topic, event, payload, ref, join_ref: joinRef = null } = value as Record<string, unknown>;
  if (payload === undefined || ref === undefined) return null;
  return message(joinRef, ref, topic, event, payload, () => payloadOfObject(text));
}

function fromArray(value: unknown, text: string): ClientMessage | null {
  if (!Array.isArray(value) || value.length !== 5) return null;
  const [joinRef, ref, topic, event, payload] = value as unknown[];
  return message(joinRef, ref, topic, event, payload, () => payloadOfArray(text));
}

function message(
  joinRef: unknown,
  ref: unknown,
  topic: unknown,
  event: unknown,
  payload: unknown,
  payloadText: () => string,
): ClientMessage | null {
  if (typeof topic !== "string" || typeof event !== "string" || !isRef(ref) || !isRef(joinRef)) return null;
  return { kind: "message", joinRef, ref, topic, event, payload, payloadText };
}

/** Longer ones would only be echoed. */
const MAX_REF_LENGTH = 255;

function isRef(value: unknown): value is Ref {
  if (value === null || typeof value === "number") return true;
  return typeof value === "string" && value.length <= MAX_REF_LENGTH;
}

/** Of kind 3 only: no client library sends another (Phoenix' own pushes of kind 0 carry nothing that a channel takes). */
export function parseBinaryFrame(data: ArrayBuffer): UserBroadcastPush | null {
  const bytes = Buffer.from(data);
  if (bytes.length < 7 || bytes[0] !== KIND_USER_BROADCAST) return null;
  const encoding = bytes[6];
  if (encoding !== 0 && encoding !== 1) return null;
  let at = 7;
  const field = (index: number) => {
    const start = at;
    at += bytes[index] as number;
    return bytes.toString("utf8", start, at);
  };
  const joinRef = field(1);
  const ref = field(2);
  const topic = field(3);
  const event = field(4);
  at += bytes[5] as number; // metadata of a client is not believed
  if (at > bytes.length) return null;
  return {
    kind: "user-broadcast",
    joinRef: joinRef === "" ? null : joinRef,
    ref: ref === "" ? null : ref,
    topic,
    event,
    encoding: encoding === 1 ? "json" : "binary",
    payload: bytes.subarray(at),
  };
}
