/** The stack of `npm start` on a folder of its own, with the owner signed in. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createGraphqlClient, type GraphqlClient } from "../compose/cli/graphql-client.ts";
import { findLocalInstance, findOwnerToken } from "../compose/local-instance.ts";

export interface BenchmarkStack {
  /** Of `npm start`; everything else is below it. */
  readonly pid: number;
  readonly controlPlaneUrl: string;
  readonly ownerToken: string;
  readonly client: GraphqlClient;
  /** The owner's organization. */
  readonly organizationId: string;
  /** Also removes the folder. */
  stop(): Promise<void>;
}

/** Starts on free ports; resolves when the stack says that it is ready. @param environment Besides folder and ports. */
export async function startStack(environment: NodeJS.ProcessEnv = {}): Promise<BenchmarkStack> {
  const dataDir = mkdtempSync(join(tmpdir(), "supalove-bench-"));
  const child = spawn("npm", ["start"], {
    cwd: resolve(import.meta.dirname, ".."),
    env: {
      ...process.env,
      SUPALOVE_DATA_DIR: dataDir,
      CONTROL_PLANE_PORT: "0",
      GATEWAY_PORT: "0",
      POSTGRES_PORT: "0",
      ...environment,
    },
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const { pid } = child;
  if (!pid) throw new Error("npm did not start");
  const exited = new Promise<void>((done) => child.once("exit", () => done()));
  const stop = async () => {
    process.kill(-pid, "SIGINT");
    await exited;
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    await new Promise<void>((ready, failed) => {
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes("Supalove is ready")) ready();
      });
      void exited.then(() => failed(new Error(`npm start ended:\n${output}`)));
    });
    const controlPlaneUrl = findLocalInstance(dataDir)?.controlPlaneUrl;
    const ownerToken = findOwnerToken(dataDir);
    if (!controlPlaneUrl || !ownerToken) throw new Error("the stack has left no address and token");
    const client = createGraphqlClient(controlPlaneUrl, ownerToken);
    return { pid, controlPlaneUrl, ownerToken, client, organizationId: await findOrganization(client), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function findOrganization(client: GraphqlClient): Promise<string> {
  const { organizations } = await client.request<{ organizations: { edges: { node: { id: string } }[] } }>(
    "{ organizations(first: 1) { edges { node { id } } } }",
  );
  const id = organizations.edges[0]?.node.id;
  if (!id) throw new Error("the owner has no organization");
  return id;
}
