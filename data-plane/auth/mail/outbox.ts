/**
 * The outbox of each project, a table in its own database: a mail is written there in the transaction that makes its
 * token, and sent from there. Any process goes on with what another has left; a mail is handed to a server at most once
 * successfully, for a link that comes twice is worse than one that has to be asked for again.
 */
import type { Logger } from "pino";
import { Counter, type Registry } from "prom-client";
import type { ProjectRef, ServiceSnapshot } from "../../../control-plane/client/config-snapshot.ts";
import { FairQueue } from "../../../control-plane/client/fair-queue.ts";
import type { ProjectDatabases } from "../../database/database.ts";
import { type AuthDatabase, createAuthDatabase, type Sql, sql } from "../database/sql.ts";
import type { Mail, Mailer } from "./mailer.ts";
import type { Delivery, OutgoingMail } from "./smtp.ts";

export interface OutboxOptions {
  readonly databases: ProjectDatabases;
  readonly send: (project: ServiceSnapshot, mail: OutgoingMail) => Promise<Delivery>;
  readonly logger: Logger;
  readonly registry?: Registry;
  /** Milliseconds until the next attempt, by the number of those made. Default: seconds first, then hours. */
  readonly retryMs?: readonly number[];
}

/** One that waits, as its table has it. */
interface WaitingMail extends OutgoingMail {
  readonly id: string;
  readonly kind: string;
  readonly attempts: number;
}

const RETRY_MS = [10_000, 60_000, 5 * 60_000, 15 * 60_000, 60 * 60_000, 4 * 60 * 60_000];
/** Of all projects. */
const SENT_AT_ONCE = 32;
/** Of one project: a slow server holds up its own mails alone. */
const OF_PROJECT_AT_ONCE = 2;
const KEPT_DAYS = 7;
const CAUGHT_KEPT = 500;
const CLEAN_EVERY_MS = 60 * 60_000;

interface ProjectOutbox {
  project: ServiceSnapshot;
  isWorking: boolean;
  /** It was woken while it worked. */
  isWoken: boolean;
  timer: NodeJS.Timeout | undefined;
  cleanedAtMs: number;
}

export class MailOutbox implements Mailer {
  readonly #options: OutboxOptions;
  readonly #retryMs: readonly number[];
  readonly #projects = new Map<ProjectRef, ProjectOutbox>();
  readonly #places = new FairQueue<() => void>({ maxOfOne: 1_000, maxOfAll: 100_000 });
  readonly #counter: Counter<"outcome"> | null;
  #sending = 0;
  #isClosed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#retryMs = options.retryMs ?? RETRY_MS;
    this.#counter = options.registry
      ? new Counter({
          name: "supalove_auth_mails_total",
          help: "Mails by what became of them; deferred ones are tried again.",
          labelNames: ["outcome"],
          registers: [options.registry],
        })
      : null;
  }

  queue({ auth }: ServiceSnapshot, mails: readonly Mail[]): readonly Sql<never>[] {
    const state = auth.smtpHost ? "waiting" : "caught";
    if (state === "caught") this.#counter?.inc({ outcome: state }, mails.length);
    return mails.map(({ kind, to, subject, html, expiresAt }) =>
      sql(
        `/* queueMail */ insert into supalove.mails (kind, recipient, subject, html, state, expires_at, finished_at)
         values ($1, $2, $3, $4, $5, $6, case when $5 = 'caught' then now() end)`,
        [kind, to, subject, html, state, expiresAt],
      ),
    );
  }

  committed(project: ServiceSnapshot, mails: readonly Mail[]): void {
    if (mails.length > 0) this.wake(project);
  }

  /** Sends what is due; also what another process has left. */
  wake(project: ServiceSnapshot): void {
    if (this.#isClosed) return;
    const known = this.#projects.get(project.projectRef);
    const outbox = known ?? { project, isWorking: false, isWoken: false, timer: undefined, cleanedAtMs: 0 };
    outbox.project = project;
    if (!known) this.#projects.set(project.projectRef, outbox);
    if (outbox.isWorking) outbox.isWoken = true;
    else void this.#work(outbox);
  }

  /** Whether the project's outbox was looked at since the process began. */
  knows(ref: ProjectRef): boolean {
    return this.#projects.has(ref);
  }

  /** The project has changed: mails that were deferred may be taken now. */
  configChanged(ref: ProjectRef, project: ServiceSnapshot | null): void {
    const outbox = this.#projects.get(ref);
    if (!outbox) return;
    if (project?.state === "active") this.wake(project);
    else {
      clearTimeout(outbox.timer);
      this.#projects.delete(ref);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const { timer } of this.#projects.values()) clearTimeout(timer);
    this.#projects.clear();
  }

  async #work(outbox: ProjectOutbox): Promise<void> {
    outbox.isWorking = true;
    clearTimeout(outbox.timer);
    const { projectRef } = outbox.project;
    let nextMs: number | null = null;
    try {
      const database = this.#databaseOf(outbox.project);
      if (Date.now() - outbox.cleanedAtMs > CLEAN_EVERY_MS) {
        outbox.cleanedAtMs = Date.now();
        await database.batch([giveUpInterrupted(), removeOld(), removeCaught()]);
      }
      do {
        outbox.isWoken = false;
        for (;;) {
          const mails = outbox.project.auth.smtpHost ? await database.run(takeDue(OF_PROJECT_AT_ONCE)) : [];
          if (mails.length === 0 || this.#isClosed) break;
          await Promise.all(mails.map((mail) => this.#deliver(outbox.project, database, mail)));
        }
      } while (outbox.isWoken && !this.#isClosed);
      [nextMs = null] = await database.run(untilNext());
    } catch (error) {
      const { name, code } = error as Error & { code?: string };
      this.#options.logger.warn({ projectRef, reason: code ?? name }, "mails could not be looked at");
      nextMs = 60_000;
    } finally {
      outbox.isWorking = false;
    }
    if (nextMs === null || this.#isClosed || this.#projects.get(projectRef) !== outbox) return;
    outbox.timer = setTimeout(() => this.wake(outbox.project), Math.max(1_000, nextMs));
    outbox.timer.unref();
  }

  async #deliver(project: ServiceSnapshot, database: AuthDatabase, mail: WaitingMail): Promise<void> {
    const delivery = await this.#inTurn(project.projectRef, () => this.#options.send(project, mail));
    const pauseMs = this.#retryMs[mail.attempts - 1];
    const outcome = delivery.kind === "deferred" && pauseMs === undefined ? "refused" : delivery.kind;
    this.#counter?.inc({ outcome });
    // Neither address nor text: what is mailed is the project's own affair.
    const { kind, id } = mail;
    this.#options.logger.info({ projectRef: project.projectRef, mail: id, kind, outcome }, "mail handed over");
    await database.run(recordDelivery(id, outcome, delivery.answer, pauseMs ?? 0));
  }

  /** At most so many at once, projects by turns. */
  async #inTurn<T>(ref: ProjectRef, work: () => Promise<T>): Promise<T> {
    if (this.#sending >= SENT_AT_ONCE) await new Promise<void>((resume) => this.#places.push(ref, resume));
    this.#sending += 1;
    try {
      return await work();
    } finally {
      this.#sending -= 1;
      this.#places.shift()?.();
    }
  }

  #databaseOf({ projectRef, database }: ServiceSnapshot): AuthDatabase {
    return createAuthDatabase(this.#options.databases.get(projectRef, database));
  }
}

/** Theirs is a process that has ended: whether the mail arrived is not known, so it is not sent again. */
function giveUpInterrupted(): Sql<never> {
  return sql(
    `/* giveUpInterruptedMails */ update supalove.mails set state = 'failed', html = null, finished_at = now(),
       answer = 'interrupted while it was sent; whether it has arrived is not known'
     where state = 'sending' and due_at < now()`,
  );
}

function removeOld(): Sql<never> {
  return sql(
    `/* removeOldMails */ delete from supalove.mails where id in (
       select id from supalove.mails where created_at < now() - make_interval(days => $1) and state not in ('waiting', 'sending')
       order by created_at limit 1000)`,
    [KEPT_DAYS],
  );
}

function removeCaught(): Sql<never> {
  return sql(
    `/* removeCaughtMails */ delete from supalove.mails where state = 'caught' and created_at < (
       select created_at from supalove.mails where state = 'caught' order by created_at desc offset $1 limit 1)`,
    [CAUGHT_KEPT],
  );
}

/** They are the caller's for five minutes. What has expired meanwhile is given up. */
function takeDue(limit: number): Sql<WaitingMail> {
  return sql<WaitingMail>(
    `/* takeDueMails */ with expired as (
       update supalove.mails set state = 'failed', html = null, finished_at = now(),
         answer = coalesce(answer || '; ', '') || 'its link has expired meanwhile'
       where state = 'waiting' and expires_at < now()
     ), due as (
       select id from supalove.mails where state = 'waiting' and due_at <= now() and expires_at >= now()
       order by due_at limit $1 for update skip locked
     )
     update supalove.mails m set state = 'sending', attempts = attempts + 1, due_at = now() + interval '5 minutes'
     from due where m.id = due.id
     returning json_build_object('id', m.id, 'kind', kind, 'recipient', recipient, 'subject', subject, 'html', html,
       'attempts', attempts)`,
    [limit],
  );
}

function recordDelivery(id: string, outcome: Delivery["kind"], answer: string, pauseMs: number): Sql<never> {
  return sql(
    `/* recordMailDelivery */ update supalove.mails set answer = $3,
       state = case $2 when 'accepted' then 'sent' when 'refused' then 'failed' else 'waiting' end,
       html = case when $2 = 'deferred' then html end,
       finished_at = case when $2 = 'deferred' then null else now() end,
       due_at = now() + make_interval(secs => $4::float8 / 1000)
     where id = $1 and state = 'sending'`,
    [id, outcome, answer, pauseMs],
  );
}

/** Milliseconds until the next mail is due; null when none waits. */
function untilNext(): Sql<number | null> {
  return sql<number | null>(
    `/* untilNextMail */ select to_json(ceil(extract(epoch from min(due_at) - now()) * 1000))
     from supalove.mails where state = 'waiting'`,
  );
}
