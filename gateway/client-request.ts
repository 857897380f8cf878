/** One request copied out of uWebSockets' HttpRequest, which lives only as long as the handler's first turn. */
import type { HttpRequest } from "../data-plane/http/uws.ts";
import { encodeNonAscii } from "./admission/route.ts";
import type { GatewayErrorCode } from "./errors.ts";
import { connectionOptions, isReserved, REQUEST_HEADERS } from "./headers.ts";

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** The one header with an underscore that a service reads: where auth's links lead, as in GoTrue. */
const REDIRECT_HEADER = "redirect_to";

/** Below what the server library takes of a whole head: its own refusal has no CORS headers, no browser can read it. */
const MAX_TARGET_CHARACTERS = 48 * 1024;

/** An empty string stands for a header that was not sent. */
export class ClientRequest {
  readonly method: string;
  /** As sent: percent-encoded, not normalised. */
  readonly path: string;
  /** Without `?`. */
  readonly query: string;
  host = "";
  apikey = "";
  authorization = "";
  origin = "";
  cookie = "";
  /** A browser asks for the script of a service worker: only it can send this header. */
  isServiceWorkerScript = false;
  requestId = "";
  preflightMethod = "";
  preflightHeaders = "";
  forwardedFor = "";
  forwardedProto = "";
  forwardedHost = "";
  /** Undefined when there is no Content-Length. */
  contentLength: number | undefined;
  chunked = false;
  /** Headers that are passed on as they came: names (lower-case) and values in turn. */
  passed: string[] = [];
  /** Why the request is refused before anything is done with it. */
  fault: GatewayErrorCode | null = null;

  /** Headers seen that may come only once, names with a comma behind each. */
  #singles = "";

  constructor(native: HttpRequest) {
    this.method = native.getCaseSensitiveMethod();
    this.path = native.getUrl();
    // Undefined, against the package's types, when the target has no question mark.
    const query = (native.getQuery() as string | undefined) ?? "";
    const encoded = encodeNonAscii(query);
    this.query = encoded ?? "";
    let connection = "";
    native.forEach((name, value) => {
      if (name === "connection") connection = connection === "" ? value : `${connection},${value}`;
      else this.#accept(name, value);
    });
    if (this.path.length + query.length > MAX_TARGET_CHARACTERS) this.fault = "request_target_too_long";
    if (encoded === null) this.fault = "invalid_request_target";
    if (!METHODS.has(this.method)) this.fault = "method_not_allowed";
    if (this.chunked && this.contentLength !== undefined) this.fault = "invalid_header";
    this.#dropListed(connectionOptions(connection));
  }

  get hasBody(): boolean {
    return this.chunked || (this.contentLength !== undefined && this.contentLength > 0);
  }

  get isPreflight(): boolean {
    return this.method === "OPTIONS" && this.origin !== "" && this.preflightMethod !== "";
  }

  #accept(name: string, value: string): void {
    const treatment = REQUEST_HEADERS.get(name);
    if (treatment === undefined) {
      // In some servers an underscore becomes the same variable as a dash: two names for one header. So it is left out.
      if ((!name.includes("_") || name === REDIRECT_HEADER) && !isReserved(name)) this.passed.push(name, value);
    } else if (treatment === "single") {
      if (this.#singles.includes(`${name},`)) this.fault = "invalid_header";
      this.#singles += `${name},`;
      this.#read(name, value);
    } else if (treatment === "read") {
      this.#read(name, value);
    }
  }

  #read(name: string, value: string): void {
    switch (name) {
      case "host":
        this.host = value;
        break;
      case "apikey":
        this.apikey = value;
        break;
      case "authorization":
        this.authorization = value;
        break;
      case "origin":
        this.origin = value;
        break;
      case "content-length":
        if (/^\d{1,15}$/.test(value)) this.contentLength = Number(value);
        else this.fault = "invalid_header";
        break;
      case "transfer-encoding":
        // The server library takes any value that ends in `chunked` for chunked; a service may see it otherwise.
        if (value.toLowerCase() === "chunked") this.chunked = true;
        else this.fault = "invalid_header";
        break;
      case "cookie":
        this.cookie = this.cookie === "" ? value : `${this.cookie}; ${value}`;
        break;
      case "service-worker":
        this.isServiceWorkerScript = true;
        break;
      case "content-type":
        this.passed.push(name, value);
        break;
      case "x-request-id":
        this.requestId = value;
        break;
      case "access-control-request-method":
        this.preflightMethod = value;
        break;
      case "access-control-request-headers":
        this.preflightHeaders = value;
        break;
      case "x-forwarded-for":
        this.forwardedFor = this.forwardedFor === "" ? value : `${this.forwardedFor},${value}`;
        break;
      case "x-forwarded-proto":
        this.forwardedProto = this.forwardedProto === "" ? value : `${this.forwardedProto},${value}`;
        break;
      case "x-forwarded-host":
        this.forwardedHost = this.forwardedHost === "" ? value : `${this.forwardedHost},${value}`;
        break;
    }
  }

  /** A header named in Connection is meant for this hop alone. */
  #dropListed(options: readonly string[]): void {
    if (options.length === 0) return;
    const kept: string[] = [];
    for (let index = 0; index < this.passed.length; index += 2) {
      const name = this.passed[index] as string;
      if (!options.includes(name)) kept.push(name, this.passed[index + 1] as string);
    }
    this.passed = kept;
  }
}
