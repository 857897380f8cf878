/** Answers of the storage service. */
import type { ServiceResponse } from "../../service.ts";
import type { StorageError } from "../errors.ts";

export type Headers = readonly (readonly [name: string, value: string])[];

const JSON_TYPE = ["content-type", "application/json; charset=utf-8"] as const;

export function json(value: unknown, status = 200, headers: Headers = []): ServiceResponse {
  return { status, headers: [JSON_TYPE, ...headers], body: JSON.stringify(value) };
}

/** JSON that PostgreSQL has already written. */
export function jsonText(text: string | Buffer, headers: Headers = []): ServiceResponse {
  return { status: 200, headers: [JSON_TYPE, ...headers], body: text };
}

/** @param method A HEAD of what failed has no body. */
export function errorResponse(error: StorageError, method: string): ServiceResponse {
  const { statusCode, error: name, message, code, httpStatus } = error;
  const headers: [string, string][] = error.headers.map(([header, value]) => [header, value]);
  if (error.kind === "bytesMissing") headers.push(["cache-control", "no-store"]);
  if (httpStatus === 429 || httpStatus === 507) headers.push(["retry-after", "1"]);
  if (method === "HEAD") return { status: httpStatus, headers, body: null };
  return json({ statusCode: String(statusCode), error: name, message, code }, httpStatus, headers);
}

export function routeNotFound(method: string, path: string): ServiceResponse {
  const message = `Route ${method}:${path} not found`;
  const isKnownRoot = /^\/(?:bucket|object|render|cdn|vector)(?:\/|$)/.test(path);
  const body = isKnownRoot
    ? { statusCode: "404", error: "Not Found", message, code: "InvalidRequest" }
    : { message, error: "Not Found", statusCode: 404 };
  return { status: 404, headers: [JSON_TYPE], body: method === "HEAD" ? null : JSON.stringify(body) };
}

/** A path with a malformed escape; the number in `statusCode` is the original's. */
export function badUrl(path: string): ServiceResponse {
  return json(
    {
      error: "Bad Request",
      code: "FST_ERR_BAD_URL",
      message: `'${path}' is not a valid url component`,
      statusCode: 400,
    },
    400,
  );
}
