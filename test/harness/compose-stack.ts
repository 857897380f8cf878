/** The shared stack of docker-compose.yml on the engine of DOCKER_HOST, and the command line against it. */
import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { supalove } from "./standalone.ts";

const folder = resolve(import.meta.dirname, "../../compose");

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Never rejects: what failed tells its exit code. */
export function docker(args: readonly string[]): Promise<Finished> {
  return new Promise((done) => {
    execFile("docker", args, { cwd: folder, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      done({ code: error ? ((error as { code?: number }).code ?? 1) : 0, stdout, stderr });
    });
  });
}

/** @returns Standard output. @throws {Error} with all that was printed. */
export async function dockerOk(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await docker(args);
  if (code !== 0) throw new Error(`docker ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return stdout.trim();
}

/** @param files Override files of the compose folder. */
export function compose(args: readonly string[], files: readonly string[] = []): Promise<string> {
  const all = ["docker-compose.yml", ...files].flatMap((file) => ["-f", join(folder, file)]);
  return dockerOk(["compose", ...all, ...args]);
}

export interface ComposeOwner {
  readonly email: string;
  readonly password: string;
  readonly accessToken: string;
}

/** As an operator gets them: in the control plane's container. */
export async function firstRun(): Promise<ComposeOwner> {
  return JSON.parse(await compose(["exec", "-T", "control-plane", "supalove", "first-run", "--token", "--json"]));
}

/** `npx supalove …` on the machine, against the published port of the control plane. @throws {Error} */
export async function cli(owner: ComposeOwner, args: readonly string[]): Promise<string> {
  const extra = { SUPALOVE_URL: "http://localhost:8000", SUPALOVE_TOKEN: owner.accessToken };
  const { code, stdout, stderr } = await supalove("/nonexistent", args, extra);
  if (code !== 0) throw new Error(`supalove ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}
