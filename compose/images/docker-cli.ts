/** The Docker command line, as builds use it. */
import { spawn } from "node:child_process";

export class DockerError extends Error {}

export interface DockerOptions {
  /** Its output goes to ours instead of being kept. */
  readonly isShown?: boolean;
}

/** @returns Standard output. @throws {DockerError} */
export function docker(args: readonly string[], options: DockerOptions = {}): Promise<string> {
  return run("docker", args, options);
}

/** @throws {DockerError} with the end of what the program said. */
export function run(
  program: string,
  args: readonly string[],
  { isShown = false }: DockerOptions = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    // The classic builder is everywhere and needs no plugin; it is the one that the Dockerfiles are tried with.
    const env = { DOCKER_BUILDKIT: "0", ...process.env };
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (isShown) process.stderr.write(text);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors = (errors + text).slice(-4_000);
      if (isShown) process.stderr.write(text);
    });
    child.once("error", (cause) => reject(new DockerError(`${program} cannot be run: ${cause.message}`, { cause })));
    child.once("close", (code) => {
      if (code === 0) return resolve(output.trim());
      const said = (errors.trim() || output.trim()).split("\n").slice(-12).join("\n");
      reject(new DockerError(`${program} ${args[0]} failed (exit code ${code}):\n${said}`));
    });
  });
}
