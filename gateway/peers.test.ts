import { expect, test } from "vitest";
import { Tenants } from "./admission/tenants.ts";
import { mergeMetrics, type Peer, type Peers, peerFor } from "./peers.ts";
import { snapshot } from "./snapshot.fixture.ts";

test("a project's requests go to its process; its REST is served where it comes in as long as it is busy", () => {
  const owner: Peer = { origin: "http://127.0.0.1:1", untilThere: async () => null };
  const peers: Peers = { count: 2, ownerOf: () => owner, metrics: async () => [] };
  const tenant = new Tenants(10).of(snapshot());
  expect(peerFor(peers, tenant, "rest", 0)).toBe(owner);
  for (let turn = 0; turn < 100; turn++) peerFor(peers, tenant, "rest", 1_000);
  expect(peerFor(peers, tenant, "rest", 1_500)).toBeNull();
  expect(peerFor(peers, tenant, "auth", 1_500)).toBe(owner);
  expect(peerFor(peers, tenant, "realtime", 1_500)).toBe(owner);
  expect(peerFor(peers, tenant, "rest", 9_000)).toBe(owner);
});

test("a project of this process is never handed over", () => {
  const peers: Peers = { count: 2, ownerOf: () => null, metrics: async () => [] };
  expect(peerFor(peers, new Tenants(10).of(snapshot()), "rest", 0)).toBeNull();
});

test("metrics of several processes stand together, each family under one head", () => {
  const of = (worker: string) =>
    `# HELP a Counts a.\n# TYPE a counter\na{worker="${worker}"} 1\n\n# HELP b Counts b.\n# TYPE b gauge\nb{worker="${worker}"} 2\n`;
  expect(mergeMetrics([of("0"), of("1")])).toBe(
    '# HELP a Counts a.\n# TYPE a counter\na{worker="0"} 1\na{worker="1"} 1\n\n' +
      '# HELP b Counts b.\n# TYPE b gauge\nb{worker="0"} 2\nb{worker="1"} 2\n',
  );
});
