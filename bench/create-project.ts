/**
 * What a project costs on the stack that `npm start` runs, on an empty folder: the time from the mutation to ACTIVE as
 * a subscriber sees it, one after the other and many at once, and the memory that idle projects add.
 *
 * node bench/create-project.ts [--count 50] [--at-once 100]
 */
import { parseArgs } from "node:util";
import { readServerSentEvents } from "../control-plane/client/sse-reader.ts";
import { processTree, proportionalSetBytes } from "../test/harness/process-memory.ts";
import { startStack } from "./stack.ts";

const { values: options } = parseArgs({
  options: { count: { type: "string", default: "50" }, "at-once": { type: "string", default: "100" } },
});
const count = Number(options.count);
const atOnce = Number(options["at-once"]);

/** Idle pools and threads are closed after 30 s. */
const SETTLE_MS = 45_000;
const SILENCE_MS = 60_000;
const CREATE = "mutation ($input: CreateProjectInput!) { createProject(input: $input) { ref } }";

const stack = await startStack();
try {
  const { client, organizationId } = stack;
  const states = await followStates(organizationId);
  const create = async () => {
    const startedAt = performance.now();
    const input = { organizationId, name: "bench" };
    const { createProject } = await client.request<{ createProject: { ref: string } }>(CREATE, { input });
    await states.untilActive(createProject.ref);
    return performance.now() - startedAt;
  };

  await create(); // the cluster is prepared, connections are open
  const times: number[] = [];
  for (let index = 0; index < count; index++) times.push(await create());
  console.log(
    `${count} projects, one after the other: p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms`,
  );

  await settle();
  const before = memory();
  const startedAt = performance.now();
  const together = await Promise.all(Array.from({ length: atOnce }, create));
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`${atOnce} projects at once: all running after ${seconds} s, p50 ${quantile(together, 0.5)} ms`);

  await settle();
  const after = memory();
  const each = (after.bytes - before.bytes) / atOnce / 1024;
  console.log(
    `${atOnce} idle projects add ${each.toFixed(0)} KiB each and ${after.processes - before.processes} processes ` +
      `(whole stack: ${megabytes(before.bytes)} → ${megabytes(after.bytes)} MB in ${before.processes} → ${after.processes})`,
  );
} finally {
  await stack.stop();
}

/** Follows the states of the organization's projects by the subscription that the dashboard uses. */
async function followStates(organizationId: string) {
  const response = await fetch(`${stack.controlPlaneUrl}/graphql`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "text/event-stream",
      authorization: `Bearer ${stack.ownerToken}`,
    },
    body: JSON.stringify({
      query: "subscription ($organizationId: ID!) { projects(organizationId: $organizationId) { ref state } }",
      variables: { organizationId },
    }),
  });
  if (!response.body) throw new Error("the subscription has no body");
  const settled = new Map<string, string>();
  const waiting = new Map<string, (state: string) => void>();
  const { body } = response;
  const following = (async () => {
    for await (const { data } of readServerSentEvents(body, SILENCE_MS)) {
      const { projects } = (JSON.parse(data) as { data: { projects: { ref: string; state: string }[] } }).data;
      for (const { ref, state } of projects) {
        if (state !== "ACTIVE" && state !== "FAILED") continue;
        settled.set(ref, state);
        waiting.get(ref)?.(state);
      }
    }
    throw new Error("the subscription ended");
  })();
  following.catch(() => {}); // told to whoever waits
  return {
    async untilActive(ref: string): Promise<void> {
      const arrived = new Promise<string>((arrive) => waiting.set(ref, arrive));
      const state = settled.get(ref) ?? (await Promise.race([arrived, following]));
      if (state !== "ACTIVE") throw new Error(`project ${ref} is ${state}`);
    },
  };
}

function memory() {
  const tree = processTree(stack.pid);
  return { bytes: proportionalSetBytes(tree), processes: tree.length };
}

function settle(): Promise<void> {
  return new Promise((settled) => setTimeout(settled, SETTLE_MS));
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

function quantile(values: readonly number[], q: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? 0).toFixed(0);
}
