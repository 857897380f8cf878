/** The real standalone stack in a process of its own, with free ports and a data folder that the test owns. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const node = join(root, "node_modules/.bin/node");
const main = join(root, "compose/main.ts");

export interface Stack {
  readonly dataDir: string;
  readonly process: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
  /** Ends as Ctrl-C does; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export function temporaryDataDir(): string {
  return mkdtempSync(join(tmpdir(), "supalove-test-stack-"));
}

export function removeDataDir(dataDir: string): void {
  rmSync(dataDir, { recursive: true, force: true });
}

function environmentFor(dataDir: string, extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    ...process.env,
    SUPALOVE_DATA_DIR: dataDir,
    CONTROL_PLANE_PORT: "0",
    GATEWAY_PORT: "0",
    POSTGRES_PORT: "0",
    ...extra,
  };
}

/** @param command `npm start` as well. Resolves when the stack has said that it is ready. @throws {Error} with its output when it exits before. */
export async function startStack(
  dataDir: string,
  extra: NodeJS.ProcessEnv = {},
  command: readonly [string, ...string[]] = [node, main, "start"],
): Promise<Stack> {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd: root,
    env: environmentFor(dataDir, extra),
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a process group of its own, so that a test can kill -9 the whole tree
  });
  let output = "";
  const exited = new Promise<number | null>((onExit) => child.once("exit", onExit));
  const ready = new Promise<void>((isReady) => {
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes("Supalove is ready")) isReady();
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
  });
  const code = await Promise.race([ready.then(() => "ready" as const), exited]);
  if (code !== "ready") throw new Error(`the stack ended with code ${code}:\n${output}`);
  return {
    dataDir,
    process: child,
    output: () => output,
    async stop() {
      child.kill("SIGINT");
      return exited;
    },
  };
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `supalove <arguments>` against the stack of a data folder. */
export function supalove(
  dataDir: string,
  args: readonly string[],
  extra: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  return new Promise((done) => {
    execFile(
      node,
      [main, ...args],
      { env: environmentFor(dataDir, extra), maxBuffer: 1 << 24 },
      (error, stdout, stderr) => {
        done({ code: error ? ((error as { code?: number }).code ?? 1) : 0, stdout, stderr });
      },
    );
  });
}

export interface CreatedProject {
  readonly ref: string;
  readonly url: string;
  readonly anonKey: string;
  readonly serviceRoleKey: string;
  readonly publishableKey: string;
  readonly secretKey: string;
  readonly jwtSecret: string;
  readonly databaseUrl: string;
}

/** @throws {Error} with what the command printed. */
export async function createProject(dataDir: string, name: string): Promise<CreatedProject> {
  const result = await supalove(dataDir, ["project", "create", "--name", name, "--json"]);
  if (result.code !== 0) throw new Error(`project create failed: ${result.stderr}${result.stdout}`);
  return JSON.parse(result.stdout) as CreatedProject;
}
