/**
 * The PostgreSQL that `npm start` brings along: programs from npm, data in a folder, TCP on loopback, gone when the
 * process that started it is gone.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { createClient } from "../../control-plane/postgres-client.ts";
import { findBinaries, type PostgresBinaries, type UnprivilegedUser } from "./binaries.ts";
import { BoundedLog } from "./bounded-log.ts";
import { clusterPath, ensureCluster, ensureFolder, type Layout, openForPostgres, SUPERUSER } from "./data-directory.ts";
import { ensureExtensionFolder, extensionSettings } from "./extension-folder.ts";
import { lockDirectory } from "./instance-lock.ts";
import { findPortHolder, findProcess, findProcessesIn, kill, type ProcessInfo } from "./processes.ts";
import { RestartBudget } from "./restart-budget.ts";
import { boundedCommand, embeddedSettings, type PostgresSettings, settingArguments } from "./settings.ts";

export interface EmbeddedPostgresOptions {
  /** Made when it is not there; holds the cluster, the superuser's password, the log and the lock. */
  readonly dataDir: string;
  /** On 127.0.0.1; must be free. */
  readonly port: number;
  readonly logger: { info(details: object, message: string): void; error(details: object, message: string): void };
  /** Over those of settings.ts. */
  readonly settings?: PostgresSettings;
  /** PostgreSQL has ended although nobody asked it to, and does not come back: started again too often, or in vain. */
  readonly onGivenUp?: (reason: Error) => void;
}

export interface EmbeddedPostgres {
  /** Of the superuser `supabase_admin`, database `postgres`. A secret. */
  readonly url: string;
  readonly port: number;
  /** The data directory itself, a real path: the working directory of PostgreSQL's processes. */
  readonly directory: string;
  /** Ends all sessions, writes what is to be written, and resolves when the process is gone. */
  stop(): Promise<void>;
}

const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** After a crash it first replays what it had not yet written. */
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 30_000;
/** Of sessions whose postmaster was killed: nothing of theirs can be saved, and everybody waits. */
const IMPATIENT_STOP_MS = 1_000;
/**
 * Waits until its input ends, then asks PostgreSQL to stop until it is gone: a server that is just recovering from a crash
 * may miss one signal. After half a minute at once; the next start replays what was not written.
 */
const WATCHDOG = `
read -r _
tries=0
while kill -0 "$1" 2>/dev/null; do
  if [ "$tries" -lt 30 ]; then kill -INT "$1" 2>/dev/null; else kill -QUIT "$1" 2>/dev/null; fi
  tries=$((tries + 1))
  [ "$tries" -gt 60 ] && exit
  sleep 1
done`;
const POLL_MS = 25;
const LAST_WORDS_MS = 1000;

/** @throws {Error} with a sentence for people: folder in use, port taken, wrong version … */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const folder = resolve(options.dataDir);
  ensureFolder(folder);
  const lock = lockDirectory(folder);
  try {
    const layout: Layout = { folder, user: chooseUser(folder) };
    const binaries = findBinaries(layout.user);
    await stopOrphans(clusterPath(layout), options.logger);
    await checkPort(options.port);
    const password = ensureCluster(layout, binaries);
    const url = `postgresql://${SUPERUSER}:${password}@127.0.0.1:${options.port}/postgres`;
    const supervised = new SupervisedServer({ layout, binaries, url, options });
    await supervised.start();
    return {
      url,
      port: options.port,
      directory: realpathSync(clusterPath(layout)),
      async stop() {
        await supervised.stop();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

interface ServerOptions {
  readonly layout: Layout;
  readonly binaries: PostgresBinaries;
  /** Of the superuser. */
  readonly url: string;
  readonly options: EmbeddedPostgresOptions;
}

/** Starts the server again when it ends by itself, as long as there is sense in it. */
class SupervisedServer {
  readonly #all: ServerOptions;
  readonly #budget = new RestartBudget();
  #server: Server | null = null;
  #restarting: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(all: ServerOptions) {
    this.#all = all;
  }

  /** @throws {Error} with PostgreSQL's last words when it does not start. */
  async start(): Promise<void> {
    const { layout, binaries, url, options } = this.#all;
    this.#server = new Server(layout, binaries, options, (reason) => {
      this.#restarting = this.#restart(reason);
    });
    await this.#server.untilReady(url);
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#server?.stop();
    await this.#restarting;
    await this.#server?.stop(); // one that was started in the meantime
  }

  /** One that dies before it is ready counts as any other. */
  async #restart(reason: Error): Promise<void> {
    const { layout, options } = this.#all;
    for (let why = reason; !this.#isStopping; ) {
      if (!this.#budget.take(performance.now())) {
        const error = new Error(`${why.message}, too often to start it again`);
        options.logger.error({ err: error }, "PostgreSQL is gone for good");
        options.onGivenUp?.(error);
        return;
      }
      try {
        // Of a postmaster that was killed sessions may be left, which keep a new one from starting.
        await stopOrphans(clusterPath(layout), options.logger, IMPATIENT_STOP_MS);
        if (this.#isStopping) return;
        await this.start();
        options.logger.info({ reason: reason.message }, "PostgreSQL was started again");
        return;
      } catch (error) {
        why = error as Error;
      }
    }
  }
}

/** The running server and who watches over it. */
class Server {
  readonly #child: ChildProcess;
  #watchdog: ChildProcess | null = null;
  readonly #log: BoundedLog;
  /** Resolves when the process is gone; its log may still have lines to come. */
  readonly #exited: Promise<void>;
  readonly #logged: Promise<void>;
  #hasExited = false;
  #isStopping = false;
  #isReady = false;

  /** @param onUnexpectedExit It was ready, has ended, and nobody asked it to. */
  constructor(
    layout: Layout,
    binaries: PostgresBinaries,
    options: EmbeddedPostgresOptions,
    onUnexpectedExit: (reason: Error) => void,
  ) {
    this.#log = new BoundedLog(join(layout.folder, "postgres.log"), MAX_LOG_BYTES);
    const directory = openForPostgres(clusterPath(layout), layout.user);
    const extensions = openForPostgres(ensureExtensionFolder(layout.folder, binaries), layout.user, 4);
    const settings = {
      ...embeddedSettings(options.port, binaries.major),
      ...extensionSettings(extensions.path, binaries.major),
      ...options.settings,
    };
    // A session of its own: Ctrl-C in a terminal reaches us alone, and we stop it when all others are done with it.
    const common = { ...directory.identity, cwd: "/", env: { LC_ALL: "C" }, detached: true } as const;
    const [command, args] = boundedCommand(binaries.postgres, ["-D", directory.path, ...settingArguments(settings)]);
    this.#child = spawn(command, args, {
      ...common,
      stdio: ["ignore", "ignore", "pipe", ...directory.descriptors, ...extensions.descriptors],
    });
    directory.close();
    extensions.close();
    this.#child.stderr?.on("data", (chunk: Buffer) => this.#log.write(chunk));
    const startWatchdog = () => {
      // Our end of its pipe closes whenever and however we end.
      const watchdog = spawn("/bin/sh", ["-c", WATCHDOG, "supalove-watchdog", String(this.#child.pid)], {
        ...common,
        stdio: ["pipe", "ignore", "ignore"],
      });
      watchdog.on("error", (err) => options.logger.error({ err }, "PostgreSQL runs without its watchdog"));
      watchdog.once("exit", () => {
        if (!this.#hasExited && !this.#isStopping) startWatchdog();
      });
      watchdog.stdin?.on("error", () => {});
      watchdog.unref();
      this.#watchdog = watchdog;
    };
    startWatchdog();
    this.#exited = new Promise((resolveExit) => {
      this.#child.once("exit", (code, signal) => {
        this.#onExit(signal ?? `exit code ${code}`, options, onUnexpectedExit);
        resolveExit();
      });
      this.#child.once("error", (error) => {
        this.#log.write(Buffer.from(error.message));
        this.#onExit(error.message, options, onUnexpectedExit);
        resolveExit();
      });
    });
    this.#logged = new Promise((resolveLog) => {
      this.#child.once("close", () => {
        this.#log.close();
        resolveLog();
      });
    });
  }

  #onExit(how: string, options: EmbeddedPostgresOptions, onUnexpectedExit: (reason: Error) => void): void {
    if (this.#hasExited) return;
    this.#hasExited = true;
    this.#watchdog?.kill("SIGKILL");
    if (!this.#isReady || this.#isStopping) return;
    const reason = new Error(`PostgreSQL ended unexpectedly (${how})`);
    options.logger.error({ err: reason, log: this.#log.tail }, "PostgreSQL ended unexpectedly");
    onUnexpectedExit(reason);
  }

  /** @throws {Error} with PostgreSQL's last words when it ends instead. */
  async untilReady(url: string): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      if (this.#hasExited) {
        await Promise.race([this.#logged, pause(LAST_WORDS_MS)]);
        throw new Error(`PostgreSQL did not start: ${this.#log.tail}`);
      }
      const problem = await tryConnect(url);
      if (!problem) break;
      if (Date.now() > deadline || problem.code === "28P01") {
        await this.stop();
        throw new Error(`PostgreSQL started, but cannot be used: ${problem.message}`);
      }
      await Promise.race([this.#exited, pause(POLL_MS)]);
    }
    this.#isReady = true;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#hasExited) return;
    this.#child.kill("SIGINT"); // fast shutdown: sessions are ended, a checkpoint is written
    const timer = setTimeout(() => this.#child.kill("SIGQUIT"), STOP_TIMEOUT_MS); // at once; replayed at the next start
    await this.#exited;
    clearTimeout(timer);
  }
}

async function tryConnect(url: string): Promise<(Error & { code?: string }) | null> {
  const client = createClient({ connectionString: url, connectionTimeoutMillis: 2000 });
  try {
    await client.connect();
    return null;
  } catch (error) {
    return error as Error;
  } finally {
    await client.end().catch(() => {});
  }
}

/**
 * PostgreSQL refuses to run as root: then it runs as whoever owns the cluster already, else as `postgres`, else as
 * `nobody`. Null: as ourselves.
 */
function chooseUser(folder: string): UnprivilegedUser | null {
  if (process.getuid?.() !== 0) return null;
  if (process.platform !== "linux")
    throw new Error("PostgreSQL refuses to run as root. Start Supalove as an ordinary user.");
  const cluster = join(folder, "data");
  const owner = existsSync(cluster) ? statSync(cluster) : null;
  if (owner && owner.uid !== 0) return { name: `id ${owner.uid}`, uid: owner.uid, gid: owner.gid };
  for (const name of ["postgres", "nobody"]) {
    const uid = findId("-u", name);
    const gid = findId("-g", name);
    if (uid && gid !== null) return { name, uid, gid };
  }
  throw new Error(
    "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as. Start Supalove as an ordinary user.",
  );
}

function findId(flag: "-u" | "-g", name: string): number | null {
  try {
    return Number(execFileSync("id", [flag, name], { encoding: "utf8", stdio: "pipe" }));
  } catch {
    return null;
  }
}

/**
 * Ends what a killed Supalove left running in the data directory. Only processes that certainly belong to it are
 * signalled: PostgreSQL's own, with the data directory as their working directory.
 */
async function stopOrphans(
  cluster: string,
  logger: EmbeddedPostgresOptions["logger"],
  politelyMs = STOP_TIMEOUT_MS,
): Promise<void> {
  if (!existsSync(cluster)) return;
  const directory = realpathSync(cluster);
  const orphans = () =>
    process.platform === "linux" ? findProcessesIn(directory, "postgres") : findByPidFile(directory);
  const found = orphans();
  if (found.length > 0)
    logger.info({ pids: found.map(({ pid }) => pid) }, "stopping a PostgreSQL that was left running");
  // Politely, then at once. A backend whose postmaster is gone ends by other signals: SIGINT only cancels its query.
  for (const [toPostmaster, toBackend, timeoutMs] of [
    ["SIGINT", "SIGTERM", politelyMs],
    ["SIGQUIT", "SIGKILL", 10_000],
  ] as const) {
    const remaining = orphans();
    const pids = new Set(remaining.map(({ pid }) => pid));
    for (const { pid, parentPid, command } of remaining)
      if (!pids.has(parentPid)) kill(pid, command.startsWith("postgres:") ? toBackend : toPostmaster);
    const deadline = Date.now() + timeoutMs;
    while (orphans().length > 0 && Date.now() < deadline) await pause(POLL_MS);
  }
  const [left] = orphans();
  if (left) throw new Error(`a PostgreSQL that was left running in ${directory} (pid ${left.pid}) does not stop.`);
  // Its pid may belong to somebody else by now, and PostgreSQL would take that process for a running server.
  rmSync(join(directory, "postmaster.pid"), { force: true });
}

/** Without /proc: the process of the pid file, if its command line names our directory. */
function findByPidFile(directory: string): ProcessInfo[] {
  const path = join(directory, "postmaster.pid");
  const pid = existsSync(path) ? Number.parseInt(readFileSync(path, "utf8"), 10) : 0;
  const found = pid > 0 ? findProcess(pid) : null;
  return found?.command.includes(`-D ${directory} `) ? [found] : [];
}

async function checkPort(port: number): Promise<void> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    const holder = findPortHolder(port);
    const who = holder ? ` by ${JSON.stringify(holder.command)} (pid ${holder.pid})` : "";
    throw new Error(`port ${port} on 127.0.0.1 is taken${who}. Stop it, or choose another port with POSTGRES_PORT.`);
  } finally {
    if (server.listening) await new Promise((closed) => server.close(closed));
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms));
}
