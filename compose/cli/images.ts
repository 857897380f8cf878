/** `supalove images build` and `images list`. */
import {
  DEDICATED_SERVICES,
  defaultImages,
  environmentNames,
  IMAGE_SETS,
  withOverrides,
} from "../../control-plane/provisioning/dedicated/images.ts";
import type { Environment } from "../environment.ts";
import { buildImages } from "../images/build-images.ts";
import { DockerError } from "../images/docker-cli.ts";
import { VERSION } from "../version.ts";
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

export function printImageTable({ images }: Environment, isJson: boolean) {
  const table = withOverrides(defaultImages(VERSION), images);
  const entries = IMAGE_SETS.flatMap((set) =>
    DEDICATED_SERVICES.map((service) => ({
      set,
      service,
      ...table[set][service],
      environment: environmentNames(set, service),
    })),
  );
  if (isJson) return printJson(entries);
  const rows = entries.map(({ set, service, image, port }) => [set, service, String(port), image]);
  console.log(formatTable(["Set", "Service", "Port", "Image"], rows));
  console.log("\nThe set supabase is untried: its images come from a registry.");
}
