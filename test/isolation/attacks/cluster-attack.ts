/** What a hostile project can do to a cluster with nothing but its own logins. Each attack goes on until it is stopped. */
import type pg from "pg";

/** A new session of the hostile project; `authenticator` is his as well, he can set its password. */
export type HostileLogin = (login?: "user" | "authenticator") => Promise<pg.Client>;

export interface RunningAttack {
  /** Resolves with the first error that PostgreSQL gives to one of the attack's sessions, if it does. */
  readonly ended: Promise<Error>;
  stop(): Promise<void>;
}

export interface Attack {
  /** Continues "a hostile project that …". */
  readonly name: string;
  /** Every new session of the cluster waits, a superuser's too. */
  readonly hangsLogins?: boolean;
  /** Resolves when the attack is in effect, as far as PostgreSQL lets it. */
  run(login: HostileLogin): Promise<RunningAttack>;
}

/** Sessions of an attack: what they run is not waited for, and their errors are only noted. */
export class AttackSessions {
  readonly #login: HostileLogin;
  readonly #clients: pg.Client[] = [];
  readonly #end = Promise.withResolvers<Error>();

  constructor(login: HostileLogin) {
    this.#login = login;
  }

  /** Opens a session without any timeout and runs statements up to the last, which goes on in the background. */
  async begin(statements: readonly string[], login: "user" | "authenticator" = "user"): Promise<void> {
    const client = await this.#login(login);
    client.on("error", (error) => this.#end.resolve(error));
    this.#clients.push(client);
    await client.query("set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; set lock_timeout = 0");
    for (const statement of statements.slice(0, -1)) await client.query(statement);
    client.query(statements.at(-1) ?? "select").catch((error: Error) => this.#end.resolve(error));
  }

  running(): RunningAttack {
    return {
      ended: this.#end.promise,
      stop: async () => {
        for (const client of this.#clients)
          (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
        await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)));
      },
    };
  }
}

/** Until PostgreSQL has seen what was sent: a statement in the background takes its lock a moment later. */
export function moment(ms = 300): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms));
}
