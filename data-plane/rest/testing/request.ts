/** What tests send to the service: requests as plain values, and tokens. */
import { createHmac } from "node:crypto";
import type { ServiceRequest } from "../../service.ts";

/** @param body A string or bytes go as they are; anything else as JSON; undefined is no body. */
export function toServiceRequest(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
  body?: unknown,
): ServiceRequest {
  const question = target.indexOf("?");
  const bytes = body === undefined ? null : bytesOf(body);
  return {
    method,
    path: question < 0 ? target : target.slice(0, question),
    query: question < 0 ? "" : target.slice(question + 1),
    headers: Object.assign(Object.create(null), headers),
    body: bytes && {
      declaredBytes: bytes.length,
      read: async () => bytes,
      async *stream() {
        yield bytes;
      },
    },
    publicUrl: "http://localhost",
    publicPath: "",
    clientAddress: "127.0.0.1",
    requestId: "test",
    signal: new AbortController().signal,
  };
}

function bytesOf(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}

/** HS256, whatever the header says. */
export function signToken(
  claims: Readonly<Record<string, unknown>>,
  secret: string,
  header: Readonly<Record<string, unknown>> = { alg: "HS256" },
): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
