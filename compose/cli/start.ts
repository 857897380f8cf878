/** `supalove start`: the stack in this process until Ctrl-C, and what a newcomer reads when it is up. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { stopAtSignal } from "../../control-plane/client/process.ts";
import type { Environment } from "../environment.ts";
import { removeFirstRun } from "../local-instance.ts";
import { type Standalone, StartError, startStandalone } from "../standalone.ts";
import { createGraphqlClient } from "./graphql-client.ts";
import { CommandError, formatFields, printJson } from "./output.ts";
import {
  createProject,
  findOrganizationId,
  listProjects,
  type ProjectCredentials,
  revealCredentials,
} from "./projects.ts";
import { supabaseSnippet } from "./snippet.ts";

/** After the start nobody waits for anything, and connections that it needed are about to close. */
const SETTLED_MS = 5_000;

/** Resolves when the stack has stopped. */
export async function start(environment: Environment, options: { readonly json?: boolean }): Promise<void> {
  const startedAt = performance.now();
  const stack = await startStandalone(environment).catch((error: unknown) => {
    throw error instanceof StartError ? new CommandError(error.message, { cause: error }) : error;
  });
  const stopped = stopOnSignal(stack.stop);
  try {
    const firstProject = stack.owner ? await ensureFirstProject(stack, stack.owner.accessToken) : null;
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    if (options.json) {
      const { controlPlaneUrl, gatewayUrl, owner } = stack;
      printJson({ controlPlaneUrl, gatewayUrl, owner, firstProject });
    } else {
      console.log(describe(stack, environment, firstProject, seconds));
    }
    removeFirstRun(environment.dataDir);
    if (firstProject) setTimeout(collectGarbage, SETTLED_MS).unref();
  } catch (error) {
    await stack.stop();
    throw error;
  }
  await Promise.race([stopped, stack.broken]).catch(async (error: Error) => {
    await stack.stop();
    throw new CommandError(`The stack has stopped: ${error.message}`, { cause: error });
  });
}

async function ensureFirstProject(stack: Standalone, token: string): Promise<ProjectCredentials> {
  const api = createGraphqlClient(stack.controlPlaneUrl, token);
  const organizationId = await findOrganizationId(api, undefined);
  const [known] = await listProjects(api, organizationId); // of a first start that came no further
  const { ref } = known ?? (await createProject(api, { organizationId, name: "First project" }));
  return revealCredentials(api, ref);
}

function describe(
  stack: Standalone,
  environment: Environment,
  project: ProjectCredentials | null,
  seconds: string,
): string {
  const parts = [
    `Supalove is ready (${seconds} s). Ctrl-C stops it.`,
    formatFields([
      ["Dashboard", stack.controlPlaneUrl],
      ["GraphQL API", `${stack.controlPlaneUrl}/graphql`],
      ["Gateway", stack.gatewayUrl],
      ["PostgreSQL", stack.postgresAddress],
      ["Data", environment.dataDir],
    ]),
  ];
  if (stack.owner) {
    parts.push(
      "Shown only this once:",
      formatFields([
        ["Owner's e-mail", stack.owner.email],
        ["Owner's password", stack.owner.password],
        ["Access token", stack.owner.accessToken],
      ]),
    );
  }
  if (project) {
    parts.push(
      "Your first project:",
      formatFields([
        ["URL", project.url],
        ["anon key", project.anonKey],
        ["Database", project.databaseUrl],
      ]),
      supabaseSnippet(project),
    );
  } else {
    parts.push("Projects: npx supalove project list");
  }
  return `\n${parts.join("\n\n")}\n`;
}

function stopOnSignal(stop: () => Promise<void>): Promise<void> {
  return new Promise((stopped, failed) => {
    stopAtSignal({ info: () => {}, error: (details, message) => console.error(message, details) }, () => {
      const stopping = stop();
      stopping.then(stopped, failed);
      return stopping;
    });
  });
}

/** What only the first start needs (hashing, migrations, the first project) would otherwise stay until memory is short. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}
