/**
 * Gateways that share a port on one machine, each with the services of its own process. A project belongs to one of them:
 * its pools, schema cache, sign-in limits and sockets are there, and whoever else gets a request for it hands it over.
 */
import type { ProjectRef, ServiceName } from "../control-plane/client/config-snapshot.ts";
import type { Tenant } from "./admission/tenants.ts";
import type { Upstream } from "./upstreams/upstream.ts";

export interface Peer {
  /** Where its services take requests (http-host.ts); null while the process is being replaced. */
  readonly origin: string | null;
  /** Resolves with its origin as soon as it is there, or with null after a while. */
  untilThere(): Promise<string | null>;
}

export interface Peers {
  /** How many there are, this process included. */
  readonly count: number;
  /** Null: this process. */
  ownerOf(ref: ProjectRef): Peer | null;
  /** The metrics of the others, as Prometheus text; those that cannot be had in time are left out. */
  metrics(): Promise<readonly string[]>;
}

/**
 * From so many requests a second on a project's REST is served where they come in: handing one over costs twice as much
 * as serving it, and REST keeps nothing that must be in one place. Below that, a thousand quiet projects have a pool and a
 * schema cache each, and not one in every process.
 */
const BUSY_PER_SECOND = 100;

/** Null: this process serves the request. */
export function peerFor(peers: Peers, { snapshot, usage }: Tenant, service: ServiceName, nowMs: number): Peer | null {
  const owner = peers.ownerOf(snapshot.projectRef);
  if (owner === null || service !== "rest") return owner;
  return usage.spreadable.count(nowMs) > BUSY_PER_SECOND ? null : owner;
}

/** A process is replaced within a second or two: a request for it waits instead of failing. */
export function handOverTo(peer: Peer, remote: (origin: string) => Upstream): Upstream {
  if (peer.origin !== null) return remote(peer.origin);
  return {
    send(admitted) {
      const { exchange } = admitted;
      void peer.untilThere().then((origin) => {
        if (exchange.settled) return;
        if (origin !== null) remote(origin).send(admitted);
        else exchange.reject("upstream_unavailable", ["retry-after", "1"]);
      });
    },
  };
}

/** Prometheus texts of several processes as one: a metric's lines must stand together under one head. */
export function mergeMetrics(texts: readonly string[]): string {
  const families = new Map<string, string[]>();
  for (const text of texts)
    for (const family of text.trim().split(/\n{2,}/)) {
      const lines = family.split("\n");
      const head = lines.filter((line) => line.startsWith("#")).join("\n");
      const samples = families.get(head) ?? [];
      if (samples.length === 0) families.set(head, samples);
      samples.push(...lines.filter((line) => !line.startsWith("#")));
    }
  return [...families]
    .map(([head, samples]) => [head, ...samples].join("\n"))
    .join("\n\n")
    .concat("\n");
}
