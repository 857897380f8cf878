/** `supalove images build`. */
import { buildImages } from "../images/build-images.ts";
import { DockerError } from "../images/docker-cli.ts";
import { CommandError, formatTable, printJson } from "./output.ts";

/** @throws {CommandError} with what Docker has said. */
export async function printBuiltImages(options: { readonly refreshBase: boolean; readonly isJson: boolean }) {
  const built = await buildImages(options).catch((error: Error) => {
    throw error instanceof DockerError ? new CommandError(error.message, { cause: error }) : error;
  });
  if (options.isJson) return printJson(built);
  const rows = built.map(({ name, id, bytes, seconds }) => [
    name,
    id.replace("sha256:", "").slice(0, 12),
    `${Math.round(bytes / 1e6)} MB`,
    `${seconds.toFixed(1)} s`,
  ]);
  console.log(formatTable(["Image", "Id", "Size", "Built in"], rows));
}
