/**
 * How long a revoked API key still works, while the gateway is under load: from the mutation's request, and from its
 * answer, to the first refusal. Every key is asked with without a pause around its revocation; after the first refusal
 * it must never work again.
 *
 * node bench/key-revocation.ts [--keys 100] [--connections 16]
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { runLoad } from "./rest/load.ts";
import { startStack } from "./stack.ts";

const { values: options } = parseArgs({
  options: { keys: { type: "string", default: "100" }, connections: { type: "string", default: "16" } },
});
const count = Number(options.keys);

interface Revocation {
  readonly sinceRequestMs: number;
  readonly sinceAnswerMs: number;
}

const stack = await startStack();
try {
  const { client } = stack;
  const { projects } = await client.request<{ projects: { edges: { node: { ref: string; url: string } }[] } }>(
    "query ($organizationId: ID!) { projects(organizationId: $organizationId, first: 1) { edges { node { ref url } } } }",
    { organizationId: stack.organizationId },
  );
  const project = projects.edges[0]?.node;
  if (!project) throw new Error("there is no first project");
  const url = `${project.url}/auth/v1/health`;
  await client.request(
    "mutation ($ref: ID!) { updateLimits(ref: $ref, settings: { requestsPerSecond: 100000, requestBurst: 100000 }) { ref } }",
    { ref: project.ref },
  );
  const loadKey = (await createKey(project.ref)).key;
  const loadSeconds = 5 + count / 4;
  const target = new URL(url);
  const head = Buffer.from(`GET ${target.pathname} HTTP/1.1\r\nHost: ${target.host}\r\napikey: ${loadKey}\r\n\r\n`);
  const load = runLoad({
    port: Number(target.port),
    connections: Number(options.connections),
    seconds: loadSeconds,
    request: () => head,
    expectedStatus: 200,
  });
  const revocations: Revocation[] = [];
  for (let index = 0; index < count; index += 1) revocations.push(await revokeOne(project.ref, url));
  const { perSecond } = await load;
  const text = (pick: (revocation: Revocation) => number) => {
    const sorted = revocations.map(pick).toSorted((left, right) => left - right);
    const at = (share: number) =>
      (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
    return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms`;
  };
  console.log(`${count} keys revoked beside ${perSecond.toFixed(0)} requests a second through the same gateway`);
  console.log(`  from the mutation's request to the first refusal: ${text(({ sinceRequestMs }) => sinceRequestMs)}`);
  console.log(`  from the mutation's answer to the first refusal: ${text(({ sinceAnswerMs }) => sinceAnswerMs)}`);
} finally {
  await stack.stop();
}

async function createKey(ref: string): Promise<{ id: string; key: string }> {
  const { createApiKey } = await stack.client.request<{ createApiKey: { apiKey: { id: string }; key: string } }>(
    'mutation ($ref: ID!) { createApiKey(ref: $ref, kind: SECRET, name: "bench") { apiKey { id } key } }',
    { ref },
  );
  return { id: createApiKey.apiKey.id, key: createApiKey.key };
}

/** @throws When the key works again after it was refused. */
async function revokeOne(ref: string, url: string): Promise<Revocation> {
  const { id, key } = await createKey(ref);
  const status = async () => {
    const response = await fetch(url, { headers: { apikey: key } });
    await response.arrayBuffer();
    return response.status;
  };
  while ((await status()) !== 200) await delay(1); // the gateway learns of a new key as it does of a revoked one
  let answeredAt = Number.POSITIVE_INFINITY;
  const requestedAt = performance.now();
  const revoked = stack.client
    .request("mutation ($ref: ID!, $id: ID!) { revokeApiKey(ref: $ref, id: $id) { id } }", { ref, id })
    .then(() => {
      answeredAt = performance.now();
    });
  while ((await status()) === 200);
  const refusedAt = performance.now();
  await revoked;
  for (let again = 0; again < 5; again += 1)
    if ((await status()) !== 401) throw new Error("a revoked key worked again");
  return { sinceRequestMs: refusedAt - requestedAt, sinceAnswerMs: Math.max(0, refusedAt - answeredAt) };
}
