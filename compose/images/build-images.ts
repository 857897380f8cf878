/**
 * `supalove images build`: the base image, the one of our processes and the one of PostgreSQL, from Debian's packages
 * and the installed npm packages. No registry is needed; where one answers, the base comes from it.
 */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ensureDashboardBuild } from "../../control-plane/dashboard/build.ts";
import { embeddedSettings, MAX_PROCESS_BYTES } from "../postgres/settings.ts";
import { VERSION } from "../version.ts";
import { DockerError, docker, run } from "./docker-cli.ts";
import { stageServices } from "./staging.ts";

export const POSTGRES_MAJOR = 17;
export const BASE_IMAGE = "supalove/base:trixie";
export const SERVICES_IMAGE = `supalove/services:${VERSION}`;
export const HAPROXY_IMAGE = "supalove/haproxy:3";
export const POSTGRES_IMAGE = `supalove/postgres:${POSTGRES_MAJOR}`;

export interface BuiltImage {
  readonly name: string;
  /** `sha256:…`; images built here have no digest of a registry. */
  readonly id: string;
  readonly bytes: number;
  readonly seconds: number;
}

const root = resolve(import.meta.dirname, "../..");
const here = import.meta.dirname;

/**
 * @param options.refreshBase makes the base anew, for Debian's security fixes, instead of taking the one that is there.
 * @throws {DockerError}
 */
export async function buildImages(options: { readonly refreshBase: boolean }): Promise<BuiltImage[]> {
  if (process.platform !== "linux") {
    throw new DockerError("Images are built on Linux: the installed npm packages hold programs for this machine.");
  }
  await docker(["version", "--format", "{{.Server.APIVersion}}"]);
  const built: BuiltImage[] = [];
  const step = async (name: string, make: () => Promise<unknown>) => {
    const startedAt = performance.now();
    await make();
    const seconds = (performance.now() - startedAt) / 1000;
    const [id = "", bytes = "0"] = (await docker(["image", "inspect", "--format", "{{.Id}} {{.Size}}", name])).split(
      " ",
    );
    built.push({ name, id, bytes: Number(bytes), seconds });
  };
  await step(BASE_IMAGE, async () => {
    if (options.refreshBase || !(await exists(BASE_IMAGE))) await run(join(here, "base.sh"), [BASE_IMAGE]);
  });
  await step(POSTGRES_IMAGE, () =>
    buildFrom(POSTGRES_IMAGE, ["supalove.image=postgres", `supalove.postgres.major=${POSTGRES_MAJOR}`], stagePostgres),
  );
  await step(HAPROXY_IMAGE, () =>
    buildFrom(HAPROXY_IMAGE, ["supalove.image=haproxy"], (folder) =>
      cpSync(join(here, "haproxy"), folder, { recursive: true }),
    ),
  );
  const dashboardBuild = await ensureDashboardBuild();
  await step(SERVICES_IMAGE, () =>
    buildFrom(SERVICES_IMAGE, ["supalove.image=services"], (folder) => {
      cpSync(join(here, "services/Dockerfile"), join(folder, "Dockerfile"));
      cpSync(join(here, "http-ok"), join(folder, "http-ok"));
      stageServices(root, folder, dashboardBuild);
    }),
  );
  return built;
}

function stagePostgres(folder: string): void {
  cpSync(join(here, "postgres"), folder, { recursive: true });
  const { port, ...settings } = embeddedSettings(5432, POSTGRES_MAJOR);
  const inContainer = { ...settings, port, listen_addresses: "*", unix_socket_directories: "/tmp" };
  const lines = Object.entries(inContainer).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(join(folder, "settings"), lines.join(""));
  writeFileSync(join(folder, "max-process-kilobytes"), `${MAX_PROCESS_BYTES / 1024}\n`);
}

/** From a folder of its own: nothing that happens to lie in the work tree gets into an image. */
async function buildFrom(name: string, labels: readonly string[], stage: (folder: string) => void): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "supalove-image-"));
  try {
    stage(folder);
    const allLabels = [...labels, `supalove.version=${VERSION}`].flatMap((label) => ["--label", label]);
    // The host's network, so that packages can be had where the engine has no bridge.
    await docker([
      "build",
      "--network",
      "host",
      "--build-arg",
      `BASE=${BASE_IMAGE}`,
      ...allLabels,
      "--tag",
      name,
      folder,
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function exists(name: string): Promise<boolean> {
  return (await docker(["images", "--quiet", name])) !== "";
}
