/**
 * Private channels: what a user may do on a topic is what row-level security lets the user's role do with rows of
 * `realtime.messages`. Each question is a probe in a transaction that is always rolled back.
 */
import { randomUUID } from "node:crypto";
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import {
  ConnectionLost,
  DatabaseError,
  PoolTimeout,
  type ProjectDatabase,
  type Statement,
  type StatementResult,
} from "../database/database.ts";
import { isServiceRoleName } from "../rest/config.ts";
import type { VerifiedToken } from "./tokens/token-verifier.ts";

export type Extension = "broadcast" | "presence";

export interface Asker {
  readonly token: VerifiedToken;
  /** Without the `realtime:` prefix. */
  readonly topic: string;
  /** JSON text of the headers that policies may see. */
  readonly headers: string;
}

export interface ReadRights {
  readonly broadcast: boolean;
  readonly presence: boolean;
}

/** The database could not be asked. The message is a reason as clients know it: `<Code>: <text>`. */
export class AuthorizationUnavailable extends Error {}

export interface AuthorizationLogger {
  warn(details: object, message: string): void;
}

/** Owner of `realtime.messages`: its own policies do not hold it back. */
const OWNER = "supabase_realtime_admin";
const NONE: ReadRights = { broadcast: false, presence: false };
const INSUFFICIENT_PRIVILEGE = "42501";
const CHECK_VIOLATION = "23514";
/** A policy that sleeps costs its own project one connection for so long. */
const STATEMENT_TIMEOUT = "2s";
/** Questions of one project under way or waiting; more are refused. */
const MAX_QUESTIONS = 500;

export class Authorization {
  readonly #projectRef: ProjectRef;
  readonly #database: () => ProjectDatabase;
  readonly #logger: AuthorizationLogger;
  /** Equal questions of one moment are asked once. Nothing is remembered beyond the answer. */
  readonly #underWay = new Map<string, Promise<ReadRights | boolean>>();

  /** @param database Asked each time: a pool may be replaced. */
  constructor(projectRef: ProjectRef, database: () => ProjectDatabase, logger: AuthorizationLogger) {
    this.#projectRef = projectRef;
    this.#database = database;
    this.#logger = logger;
  }

  /** @throws {AuthorizationUnavailable} */
  readRights(asker: Asker, extensions: readonly Extension[]): Promise<ReadRights> {
    return this.#once(`read ${extensions}`, asker, () => this.#askRead(asker, extensions)) as Promise<ReadRights>;
  }

  /** @throws {AuthorizationUnavailable} */
  mayWrite(asker: Asker, extension: Extension): Promise<boolean> {
    return this.#once(`write ${extension}`, asker, () => this.#askWrite(asker, extension)) as Promise<boolean>;
  }

  #once<T extends ReadRights | boolean>(question: string, asker: Asker, ask: () => Promise<T>): Promise<T> {
    const key = JSON.stringify([question, asker.topic, asker.headers, asker.token.claims]);
    const known = this.#underWay.get(key);
    if (known) return known as Promise<T>;
    if (this.#underWay.size >= MAX_QUESTIONS) {
      return Promise.reject(
        new AuthorizationUnavailable("IncreaseConnectionPool: Please increase your connection pool size"),
      );
    }
    const answer = ask().finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, answer);
    return answer;
  }

  async #askRead(asker: Asker, extensions: readonly Extension[]): Promise<ReadRights> {
    if (isServiceRoleName(asker.token.role)) return NONE;
    const ids = extensions.map(() => randomUUID());
    const insert: Statement = {
      text: `/* probeRead */ insert into realtime.messages (id, topic, extension)
        select id, $2, extension from unnest($1::uuid[], $3::text[]) as probe (id, extension)`,
      values: [`{${ids}}`, asker.topic, `{${extensions}}`],
      prepare: true,
    };
    const select: Statement = {
      text: "/* probeRead */ select extension from realtime.messages where id = any ($1::uuid[])",
      values: [`{${ids}}`],
      prepare: true,
      planRole: asker.token.role,
    };
    const results = await this.#probe(asker, [becomeOwner(), insert, becomeUser(asker), select]);
    if (results === null) return NONE;
    const visible = new Set(results.at(-1)?.rows.map(([extension]) => extension));
    return { broadcast: visible.has("broadcast"), presence: visible.has("presence") };
  }

  async #askWrite(asker: Asker, extension: Extension): Promise<boolean> {
    if (isServiceRoleName(asker.token.role)) return false;
    // Without RETURNING: that would need the right to read, too.
    const insert: Statement = {
      text: "/* probeWrite */ insert into realtime.messages (topic, extension) values ($1, $2)",
      values: [asker.topic, extension],
      prepare: true,
      planRole: asker.token.role,
    };
    return (await this.#probe(asker, [becomeUser(asker), insert])) !== null;
  }

  /** @returns Null when the user's rights, or a policy that raises, are in the way. */
  async #probe(
    asker: Asker,
    statements: readonly Statement[],
    isRetry = false,
  ): Promise<readonly StatementResult[] | null> {
    try {
      return await this.#database().pipeline(statements, { commitIf: () => false });
    } catch (error) {
      if (error instanceof DatabaseError && error.code === CHECK_VIOLATION && !isRetry) {
        await this.#makePartitions();
        return this.#probe(asker, statements, true);
      }
      return this.#judge(error, isRetry);
    }
  }

  async #makePartitions(): Promise<void> {
    const text = "/* makePartitions */ select realtime.ensure_partitions()";
    await this.#database()
      .pipeline([becomeOwner(), { text, values: [], prepare: false }])
      .catch(() => {});
  }

  #judge(error: unknown, hasPartitions: boolean): null {
    if (error instanceof DatabaseError) {
      if (hasPartitions && error.code === CHECK_VIOLATION) {
        throw new AuthorizationUnavailable(
          "MissingPartition: Realtime was unable to find the expected messages partition",
        );
      }
      if (error.code.startsWith("53")) {
        throw new AuthorizationUnavailable(
          "DatabaseLackOfConnections: Database can't accept more connections, Realtime won't connect",
        );
      }
      if (error.code !== INSUFFICIENT_PRIVILEGE) {
        const { projectRef, message, code } = { projectRef: this.#projectRef, ...error, message: error.message };
        this.#logger.warn({ projectRef, code, error: message }, "RlsPolicyError: a policy of a private channel raised");
      }
      return null;
    }
    if (error instanceof PoolTimeout) {
      throw new AuthorizationUnavailable("IncreaseConnectionPool: Please increase your connection pool size");
    }
    if (error instanceof ConnectionLost) {
      throw new AuthorizationUnavailable(
        "UnableToConnectToProject: Realtime was unable to connect to the project database",
      );
    }
    throw error;
  }
}

function becomeOwner(): Statement {
  return {
    text: "/* becomeOwner */ select set_config('role', $1, true), set_config('statement_timeout', $2, true)",
    values: [OWNER, STATEMENT_TIMEOUT],
    prepare: true,
  };
}

function becomeUser({ token, topic, headers }: Asker): Statement {
  return {
    text: `/* becomeUser */ select set_config('role', $1, true), set_config('request.jwt.claims', $2, true),
      set_config('request.jwt.claim.sub', $3, true), set_config('request.jwt.claim.role', $1, true),
      set_config('realtime.topic', $4, true), set_config('request.headers', $5, true),
      set_config('statement_timeout', $6, true)`,
    values: [token.role, token.claims, token.subject, topic, headers, STATEMENT_TIMEOUT],
    prepare: true,
  };
}
