/** The cache of a gateway against control planes that really listen: what arrives, how soon, and what outlives them. */
import { afterAll, afterEach, beforeAll, expect, inject, test } from "vitest";
import { ensureServiceToken } from "../accounts/service-tokens.ts";
import { hashKey } from "../api-keys/key-format.ts";
import { type ConfigCache, createConfigCache } from "../client/config-cache.ts";
import type { Audience, GatewaySnapshot } from "../client/config-snapshot.ts";
import type { GraphqlClient } from "../testing/graphql-client.ts";
import { createTestControlPlane, insertTestAccount, type TestControlPlane } from "../testing/test-control-plane.ts";
import { insertTestProject } from "../testing/test-project.ts";
import { touchProject } from "./touch.ts";

let plane: TestControlPlane;
let owner: GraphqlClient;
let ownerToken: string;
const caches: ConfigCache<Audience>[] = [];

beforeAll(async () => {
  plane = await createTestControlPlane(inject("clusterUrl"));
  ownerToken = (await insertTestAccount(plane.database, "owner")).token;
  owner = plane.client(ownerToken);
});
afterEach(() => {
  for (const cache of caches.splice(0)) cache.close();
});
afterAll(() => plane[Symbol.asyncDispose]());

const project = async () => (await insertTestProject(plane.database, plane.controlPlane.services.vault)).ref;

async function connect<A extends Audience>(audience: A, url = plane.url, name = "feed test") {
  const token = await ensureServiceToken(plane.database, audience, `${name} ${caches.length}`);
  const cache = createConfigCache({ controlPlaneUrl: url, token, audience, maxEntries: 1000 });
  caches.push(cache as unknown as ConfigCache<Audience>);
  await cache.ready;
  return cache;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resume) => setTimeout(resume, 1));
}

/** As a gateway decides: the key's hash is listed and not revoked. */
function isAccepted(snapshot: GatewaySnapshot | null | undefined, key: string): boolean {
  const hash = hashKey(key).toString("hex");
  return snapshot?.apiKeys.some((entry) => entry.hash === hash && !entry.revoked) ?? false;
}

async function createKey(ref: string): Promise<{ id: string; key: string }> {
  const { createApiKey } = await owner.data(
    `mutation { createApiKey(ref: "${ref}", name: "x", kind: SECRET) { key apiKey { id } } }`,
  );
  return { id: createApiKey.apiKey.id, key: createApiKey.key };
}

const revoke = (client: GraphqlClient, ref: string, id: string) =>
  client.data(`mutation { revokeApiKey(ref: "${ref}", id: "${id}") { id } }`);

test("a new key is accepted and a revoked one refused by every gateway, whichever instance was asked", async () => {
  const ref = await project();
  const second = await plane.startAnother();
  const gateways = [await connect("gateway"), await connect("gateway", second.url)];
  for (const gateway of gateways) await gateway.get(ref);
  const { id, key } = await createKey(ref);
  await until(() => gateways.every((gateway) => isAccepted(gateway.peek(ref), key)));
  await revoke(owner, ref, id);
  await until(() => gateways.every((gateway) => !isAccepted(gateway.peek(ref), key)));
  await second.controlPlane.close();
});

test("each audience is sent its own kind of snapshot", async () => {
  const ref = await project();
  const [gateway, service] = [await connect("gateway"), await connect("service")];
  await Promise.all([gateway.get(ref), service.get(ref)]);
  await owner.data(`mutation { updateRestSettings(ref: "${ref}", settings: {maxRows: 7}) { ref } }`);
  await until(() => service.peek(ref)?.rest.maxRows === 7);
  await until(() => gateway.peek(ref)?.version === service.peek(ref)?.version);
  expect(Object.keys(gateway.peek(ref) ?? {})).not.toContain("database");
});

test("a killed control plane leaves its gateways with what they know; after its return they get what they missed", async () => {
  const ref = await project();
  const first = await plane.startAnother();
  const { port } = new URL(first.url);
  const gateway = await connect("gateway", first.url);
  const { id, key } = await createKey(ref);
  expect(isAccepted(await gateway.get(ref), key)).toBe(true);
  await first.controlPlane.close();
  await until(() => !gateway.status().connected);
  await revoke(owner, ref, id); // by another instance
  expect(isAccepted(gateway.peek(ref), key)).toBe(true);
  await expect(gateway.get(await project())).rejects.toThrow("does not answer");
  const returned = await plane.startAnother({}, Number(port));
  await until(() => !isAccepted(gateway.peek(ref), key));
  await returned.controlPlane.close();
});

test("a deleted project is gone at once", async () => {
  const ref = await project();
  const gateway = await connect("gateway");
  await gateway.get(ref);
  await plane.database.transaction(async (tx) => {
    await tx.query("update projects set state = 'DELETED', deleted_at = now() where ref = $1", [ref]);
    await touchProject(tx, ref);
  });
  await until(() => gateway.peek(ref) === null);
});

test("a service token that was replaced gets nothing more", async () => {
  const ref = await project();
  const gateway = await connect("gateway", plane.url, "replaced");
  await ensureServiceToken(plane.database, "gateway", "replaced 0"); // another text under that name
  await owner.data(`mutation { updateRestSettings(ref: "${ref}", settings: {maxRows: 8}) { ref } }`);
  await until(() => !gateway.status().connected);
  await expect(gateway.get(ref)).rejects.toThrow("wrong, expired or revoked");
});

test("people's tokens read no snapshots, and a service token nothing else", async () => {
  const wrong = createConfigCache({ controlPlaneUrl: plane.url, token: ownerToken, audience: "gateway" });
  await expect(wrong.get(await project())).rejects.toThrow("config snapshots are for service tokens");
  wrong.close();
});
