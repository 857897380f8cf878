/** What a serving process knows of the others: which of them a project belongs to, and where they are. */
import type { ProjectRef } from "../../control-plane/client/config-snapshot.ts";
import { Ownership } from "../../control-plane/client/ownership.ts";
import type { Peer, Peers } from "../../gateway/peers.ts";
import type { PeerOrigins } from "./messages.ts";

/** Long enough for a process to be replaced on a busy machine; */
const WAIT_MS = 5_000;
/** so many requests may wait for that at once, and no project's may fill the memory. */
const MAX_WAITING = 500;
const METRICS_MS = 2_000;

export class ServingPeers implements Peers {
  readonly count: number;
  readonly #own: string;
  readonly #ownership: Ownership;
  readonly #peers: ReadonlyMap<string, ServingPeer>;

  /** @param slots Names of all places, the own one included. */
  constructor(own: string, slots: readonly string[]) {
    this.#own = own;
    this.count = slots.length;
    // Over the places, not over who is alive: a project never is in two processes at once, and one that brings its
    // process down takes nobody else's with it.
    this.#ownership = new Ownership(slots);
    this.#peers = new Map(slots.filter((slot) => slot !== own).map((slot) => [slot, new ServingPeer()]));
  }

  ownerOf(ref: ProjectRef): Peer | null {
    const slot = this.#ownership.ownerOf(ref);
    return slot === this.#own ? null : (this.#peers.get(slot) ?? null);
  }

  update(origins: PeerOrigins): void {
    for (const [slot, peer] of this.#peers) peer.moved(origins[slot] ?? null);
  }

  async metrics(): Promise<readonly string[]> {
    const texts = await Promise.all(
      [...this.#peers.values()]
        .map(async ({ origin }) => {
          if (origin === null) return null;
          const response = await fetch(`${origin}/metrics`, { signal: AbortSignal.timeout(METRICS_MS) });
          return response.ok ? response.text() : null;
        })
        .map((text) => text.catch(() => null)),
    );
    return texts.filter((text) => text !== null);
  }
}

class ServingPeer implements Peer {
  origin: string | null = null;
  readonly #waiting = new Set<(origin: string | null) => void>();

  moved(origin: string | null): void {
    this.origin = origin;
    if (origin === null) return;
    for (const go of this.#waiting) go(origin);
    this.#waiting.clear();
  }

  untilThere(): Promise<string | null> {
    if (this.origin !== null || this.#waiting.size >= MAX_WAITING) return Promise.resolve(this.origin);
    return new Promise((resolve) => {
      const go = (origin: string | null) => {
        clearTimeout(timer);
        this.#waiting.delete(go);
        resolve(origin);
      };
      const timer = setTimeout(go, WAIT_MS, null);
      this.#waiting.add(go);
    });
  }
}
