/**
 * Which of several processes a project belongs to. Its pools, caches, limits and sockets then live in that one process:
 * they are exact, they do not multiply, and all sockets of a project meet in one place.
 *
 * Rendezvous hashing (Thaler and Ravishankar, 1998): each member is weighed against the ref and the heaviest has it, so
 * that everybody who knows the same members comes to the same answer without asking, and a member more or less moves
 * only the refs that it gains or loses.
 */
import type { ProjectRef } from "./config-snapshot.ts";

export class Ownership<Member extends string = string> {
  readonly members: readonly Member[];
  readonly #seeds: readonly number[];

  /**
   * @param members Names that do not change while a process is replaced, such as `worker-0` or an origin; their order
   *   does not matter.
   * @throws {RangeError} when there are none.
   */
  constructor(members: readonly Member[]) {
    if (members.length === 0) throw new RangeError("somebody must be there to own a project");
    this.members = [...new Set(members)].sort();
    this.#seeds = this.members.map(hashText);
  }

  /** The member that a project belongs to. */
  ownerOf(ref: ProjectRef): Member {
    return this.#heaviest(ref, () => true) ?? (this.members[0] as Member);
  }

  /** The one that a project belongs to among those that are `alive`; null when none is. */
  ownerAmong(ref: ProjectRef, alive: (member: Member) => boolean): Member | null {
    return this.#heaviest(ref, alive);
  }

  #heaviest(ref: ProjectRef, isCandidate: (member: Member) => boolean): Member | null {
    const hash = hashText(ref);
    let owner: Member | null = null;
    let heaviest = -1;
    for (let index = 0; index < this.members.length; index++) {
      const member = this.members[index] as Member;
      const weight = scramble(hash ^ (this.#seeds[index] as number));
      if (weight <= heaviest || !isCandidate(member)) continue;
      heaviest = weight;
      owner = member;
    }
    return owner;
  }
}

/** FNV-1a of 32 bits, scrambled: by itself it differs too little between texts that end alike. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return scramble(hash);
}

/** The finalizer of MurmurHash3: every bit of the input changes about half of the output's. */
function scramble(bits: number): number {
  let hash = bits;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
