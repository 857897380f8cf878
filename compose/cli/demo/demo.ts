/** `supalove demo`: a project of its own, the story on it, and a clean table afterwards. */
import type { GraphqlClient } from "../graphql-client.ts";
import { CommandError, printJson } from "../output.ts";
import { createProject, deleteProject, findOrganizationId, revealCredentials } from "../projects.ts";
import { executeSql } from "../sql.ts";
import { story } from "./story.ts";

interface PlayedStep {
  readonly title: string;
  readonly outcome: string;
  readonly ms: number;
}

/** @throws {CommandError} naming the step whose promise was broken. */
export async function playDemo(api: GraphqlClient, options: { readonly json?: boolean; readonly keep?: boolean }) {
  const played: PlayedStep[] = [];
  const play = async (title: string, run: () => Promise<string>) => {
    const startedAt = performance.now();
    const outcome = await run().catch((cause: unknown) => {
      throw new CommandError(`${title}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    });
    const step = { title, outcome, ms: Math.round(performance.now() - startedAt) };
    played.push(step);
    if (!options.json) console.log(`✓ ${title}  ${dim(`${outcome}  ${step.ms} ms`)}`);
  };

  let ref = "";
  try {
    await play("create a project", async () => {
      const organizationId = await findOrganizationId(api, undefined);
      ({ ref } = await createProject(api, { organizationId, name: "demo" }));
      return ref;
    });
    const credentials = await revealCredentials(api, ref);
    for (const { title, run } of story(credentials, (sql) => executeSql(api, ref, sql).then(() => undefined))) {
      await play(title, run);
    }
  } finally {
    if (ref && !options.keep)
      await play("delete the project", async () => deleteProject(api, ref, false).then(() => "gone"));
  }
  if (options.json) printJson({ ref, kept: options.keep ?? false, steps: played });
}

function dim(text: string): string {
  return process.stdout.isTTY ? `\u001b[2m${text}\u001b[0m` : text;
}
