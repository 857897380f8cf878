/** Answers of the S3 endpoint. */
import type { ServiceRequest, ServiceResponse } from "../../service.ts";
import type { StorageError } from "../errors.ts";
import type { Headers } from "../http/responses.ts";
import { type XmlElements, xmlDocument } from "./xml.ts";

const XML_TYPE = ["content-type", "application/xml"] as const;

export function xml(root: string, elements: XmlElements, headers: Headers = []): ServiceResponse {
  return { status: 200, headers: [XML_TYPE, ...headers], body: xmlDocument(root, elements) };
}

export function empty(status: number, headers: Headers = []): ServiceResponse {
  return { status, headers, body: status === 204 ? null : "" };
}

/** The true status, and no namespace: clients look for bare names. */
export function s3Error(error: StorageError, request: ServiceRequest): ServiceResponse {
  const status = error.statusCode;
  const headers: Headers = [XML_TYPE, ...error.headers];
  if (request.method === "HEAD") return { status, headers, body: null };
  const elements = { Resource: request.path, Code: error.code, Message: error.message, RequestId: request.requestId };
  return { status, headers, body: xmlDocument("Error", elements, false) };
}

/** For XML: `2009-10-12T17:50:30.000Z`. */
export function isoOf(text: string): string {
  const at = Date.parse(text);
  return new Date(Number.isNaN(at) ? 0 : at).toISOString();
}
