/** What the service sends: one frame, encoded once for all sockets of a version. */
import type { Ref, Version } from "./client-frame.ts";

export interface Frame {
  /** Text frames of one receiver are strings; what many receive is encoded once. */
  readonly data: string | Buffer;
  readonly isBinary: boolean;
}

const KIND_BROADCAST = 4;
const MAX_FIELD_BYTES = 255;

/**
 * A message as JSON text. Version 1 has no join_ref.
 * @param topicJson The whole topic as a JSON string. @param payload JSON text.
 */
export function textMessage(
  version: Version,
  joinRef: Ref,
  ref: Ref,
  topicJson: string,
  event: string,
  payload: string,
): string {
  const refJson = JSON.stringify(ref);
  return version === 1
    ? `{"topic":${topicJson},"event":"${event}","payload":${payload},"ref":${refJson}}`
    : `[${JSON.stringify(joinRef)},${refJson},${topicJson},"${event}",${payload}]`;
}

/** For many receivers: no refs, and bytes instead of a string that each send would encode again. */
export function fanOutFrame(version: Version, topicJson: string, event: string, payload: string): Frame {
  return { data: Buffer.from(textMessage(version, null, null, topicJson, event, payload)), isBinary: false };
}

export interface UserBroadcast {
  readonly event: string;
  readonly encoding: "json" | "binary";
  readonly payload: Uint8Array;
  /** JSON text, or empty. */
  readonly metadata: string;
}

/**
 * The binary frame of kind 4 for version 2; as text when a name is too long to be framed.
 * @returns Null for binary data that cannot be framed.
 */
export function userBroadcastFrame(topic: string, topicJson: string, broadcast: UserBroadcast): Frame | null {
  const { event, encoding, payload, metadata } = broadcast;
  const lengths = [topic, event, metadata].map((text) => Buffer.byteLength(text));
  if (lengths.some((length) => length > MAX_FIELD_BYTES)) {
    const text = userBroadcastText(broadcast);
    return text === null ? null : fanOutFrame(2, topicJson, "broadcast", text);
  }
  const head = 5 + lengths.reduce((sum, length) => sum + length, 0);
  const data = Buffer.allocUnsafe(head + payload.length);
  data[0] = KIND_BROADCAST;
  for (const [index, length] of lengths.entries()) data[1 + index] = length;
  data[4] = encoding === "json" ? 1 : 0;
  let at = 5;
  for (const text of [topic, event, metadata]) at += data.write(text, at, "utf8");
  data.set(payload, at);
  return { data, isBinary: true };
}

/**
 * The payload of event `broadcast` for a receiver that speaks text.
 * @returns Null for binary data, and for what claims to be JSON and is not.
 */
export function userBroadcastText({ event, encoding, payload, metadata }: UserBroadcast): string | null {
  if (encoding === "binary") return null;
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString("utf8");
  if (!isJson(text)) return null;
  const meta = metadata === "" ? "" : `,"meta":${metadata}`;
  return `{"event":${JSON.stringify(event)},"payload":${text},"type":"broadcast"${meta}}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
