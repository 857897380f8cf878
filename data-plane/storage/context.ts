/** One request as storage's handlers see it: whose it is, what it does, and the database of its project. */
import type { ServiceSnapshot } from "../../control-plane/client/config-snapshot.ts";
import type { ParameterValue, ProjectDatabase, Statement, StatementResult } from "../database/database.ts";
import { clientHeaders, type ServiceRequest } from "../service.ts";
import { databaseFailure, type StorageErrorName } from "./errors.ts";
import { type Caller, SERVICE } from "./identity.ts";

const STATEMENT_TIMEOUT_MS = "30000";
const LOCK_TIMEOUT_MS = "5000";
const SEARCH_PATH = "storage, public, extensions";

/** Settings of a request in the order in which {@link SCOPE} sets them. The role comes last: it must not be in the way. */
const SETTINGS = [
  "request.jwt.claim.role",
  "request.jwt",
  "request.jwt.claim.sub",
  "request.jwt.claims",
  "request.headers",
  "request.method",
  "request.path",
  "storage.operation",
  "storage.allow_delete_query",
  "supalove.storage_trash_seconds",
  "statement_timeout",
  "lock_timeout",
  "search_path",
  "role",
] as const;
const SCOPE = `/* storage scope */ select ${SETTINGS.map((name, index) => `set_config('${name}', $${index + 1}, true)`).join(", ")}`;

/** Headers that SQL has no use for, or that are secrets of another kind than the caller's own token. */
const HIDDEN_HEADERS: ReadonlySet<string> = new Set(["cookie", "apikey"]);

export class StorageContext {
  readonly request: ServiceRequest;
  readonly project: ServiceSnapshot;
  readonly caller: Caller;
  /** As policies see it, such as `storage.object.upload`. */
  readonly operation: string;
  readonly #databaseOf: () => ProjectDatabase;
  #headers: string | null = null;

  constructor(
    request: ServiceRequest,
    project: ServiceSnapshot,
    databaseOf: () => ProjectDatabase,
    caller: Caller,
    operation: string,
  ) {
    this.request = request;
    this.project = project;
    this.#databaseOf = databaseOf;
    this.caller = caller;
    this.operation = operation;
  }

  /** The same request, done by or as something else. */
  with(changes: { readonly caller?: Caller; readonly operation?: string }): StorageContext {
    const { caller = this.caller, operation = this.operation } = changes;
    return new StorageContext(this.request, this.project, this.#databaseOf, caller, operation);
  }

  /** Makes the statements behind it the caller's. All settings end with the transaction. */
  asCaller(): Statement {
    return this.#scope(this.caller);
  }

  /** Makes the statements behind it the service's own: no policy applies. */
  asService(): Statement {
    return this.#scope(SERVICE);
  }

  /** A statement under row-level security: planned for the role that the caller has. */
  ofCaller(text: string, values: readonly ParameterValue[]): Statement {
    return { text, values, prepare: true, planRole: this.caller.role };
  }

  ofService(text: string, values: readonly ParameterValue[]): Statement {
    return { text, values, prepare: true, planRole: SERVICE.role };
  }

  /**
   * One round trip and one transaction.
   * @param taken What a unique violation means to the caller.
   * @throws {StorageError}
   */
  async run(statements: readonly Statement[], taken?: StorageErrorName): Promise<readonly StatementResult[]> {
    try {
      return await this.#databaseOf().pipeline(statements);
    } catch (error) {
      throw databaseFailure(error, taken);
    }
  }

  #scope({ role, claims, token, subject }: Caller): Statement {
    const { request } = this;
    const values = [
      role,
      token === request.roleToken ? "" : token,
      subject ?? "",
      claims,
      this.#headersText(),
      request.method,
      shownPath(request),
      this.operation,
      "true",
      String(this.project.storage.trashSeconds),
      STATEMENT_TIMEOUT_MS,
      LOCK_TIMEOUT_MS,
      SEARCH_PATH,
      role,
    ];
    return { text: SCOPE, values, prepare: true };
  }

  #headersText(): string {
    if (this.#headers === null) {
      const shown: Record<string, string> = {};
      for (const [name, value] of Object.entries(clientHeaders(this.request))) {
        if (!HIDDEN_HEADERS.has(name)) shown[name] = value.includes("\0") ? "" : value;
      }
      this.#headers = JSON.stringify(shown);
    }
    return this.#headers;
  }
}

function shownPath({ path, query, roleToken }: ServiceRequest): string {
  if (query === "") return path;
  if (roleToken === undefined || !query.includes(roleToken)) return `${path}?${query}`;
  return `${path}?${query
    .split("&")
    .filter((pair) => !pair.includes(roleToken))
    .join("&")}`;
}

/** For what the service does by itself, without anybody's request. */
export function systemContext(project: ServiceSnapshot, databaseOf: () => ProjectDatabase): StorageContext {
  return new StorageContext(NO_REQUEST, project, databaseOf, SERVICE, "storage.upkeep");
}

const NO_REQUEST: ServiceRequest = {
  ...{ method: "GET", path: "/", query: "", headers: {}, body: null },
  ...{ publicUrl: "", publicPath: "", clientAddress: "", requestId: "" },
  signal: new AbortController().signal,
};
