/** A verified request of the S3 endpoint: its query and the headers that count. */
import type { ServiceRequest } from "../../service.ts";
import type { StorageContext } from "../context.ts";
import type { Caller } from "../identity.ts";
import type { StorageParts } from "../service.ts";
import { parseQuery, type VerifiedRequest } from "./signature.ts";
import { malformed, parseXml } from "./xml.ts";

const MAX_XML_BYTES = 2 * 1024 * 1024;

export class S3Request {
  readonly parts: StorageParts;
  readonly request: ServiceRequest;
  readonly verified: VerifiedRequest;
  readonly query: ReadonlyMap<string, string>;
  readonly #contextOf: (caller: Caller, operation: string) => StorageContext;

  constructor(
    parts: StorageParts,
    request: ServiceRequest,
    verified: VerifiedRequest,
    contextOf: (caller: Caller, operation: string) => StorageContext,
  ) {
    this.parts = parts;
    this.request = request;
    this.verified = verified;
    this.query = new Map(parseQuery(request.query));
    this.#contextOf = contextOf;
  }

  context(operation: string): StorageContext {
    return this.#contextOf(this.verified.caller, `storage.s3.${operation}`);
  }

  /** S3's own headers count only where the signature covers them; a presigned URL may carry them in its query. */
  amz(name: string): string | undefined {
    if (this.verified.signedHeaders.has(name)) return this.request.headers[name];
    return undefined;
  }

  /** `x-amz-meta-*` as a JSON object. */
  get userMetadata(): Record<string, string> {
    const metadata: Record<string, string> = {};
    for (const [name, value] of Object.entries(this.request.headers)) {
      if (name.startsWith("x-amz-meta-") && this.verified.signedHeaders.has(name)) metadata[name.slice(11)] = value;
    }
    return metadata;
  }

  /** The document in the body, whatever its type is called. @throws {StorageError} MalformedXML */
  async readXml(root: string): Promise<Readonly<Record<string, unknown>>> {
    const text = (await this.request.body?.read(MAX_XML_BYTES))?.toString("utf8") ?? "";
    if (text.trim() === "") throw malformed();
    return parseXml(text, root);
  }

  get hasBody(): boolean {
    return this.request.body !== null;
  }
}
