/**
 * How many connections this process may hold, and which project gives one back when another has none. A project that
 * waits takes the longest idle connection of another; when none is idle, the project that has most hands one over as
 * soon as what runs on it has ended.
 */

/** A project's pool as the budget sees it. */
export interface BudgetMember {
  /** Connections it holds or is opening. */
  readonly size: number;
  /** When its longest idle connection became idle, or undefined when all are busy. */
  readonly idleSince: number | undefined;
  /** Closes that idle connection; its place is given to somebody else at once. */
  closeLongestIdle(): void;
  /**
   * Lets one connection finish and then close, if one was opened before `openedBefore`. False when there is none, or
   * one is finishing already.
   */
  yieldOne(openedBefore: number): boolean;
  /** A place it had waited for is now its own; one not needed is given back by {@link ConnectionBudget.release}. */
  onGranted(): void;
}

/** A project that only wants more leaves a connection that was used so lately to its owner. */
const SETTLED_IDLE_MS = 1000;
/** With more busy projects than connections, each keeps one at least so long. */
const QUANTUM_MS = 50;

export class ConnectionBudget {
  readonly max: number;
  readonly #now: () => number;
  /** Those that hold or want connections; who was given one most recently stands last. */
  readonly #members = new Set<BudgetMember>();
  readonly #waiting = new Set<BudgetMember>();
  readonly #maxListeners: number;
  #taken = 0;
  #listeners = 0;

  constructor(max: number, now: () => number) {
    this.max = max;
    this.#maxListeners = Math.max(1, Math.floor(max / 2));
    this.#now = now;
  }

  /** Connections open or being opened, listeners among them. */
  get size(): number {
    return this.#taken;
  }

  get isFull(): boolean {
    return this.#taken >= this.max;
  }

  get isAwaited(): boolean {
    return this.#waiting.size > 0;
  }

  /** True while a project has no connection at all: whoever has one to spare gives it up. */
  get isStarving(): boolean {
    for (const member of this.#waiting) if (member.size === 0) return true;
    return false;
  }

  /** True: the member may open a connection now. False: it is told by `onGranted` when it may. */
  request(member: BudgetMember): boolean {
    this.#members.add(member);
    if (this.#waiting.has(member)) return false;
    if (this.#tryTake(member, member.size === 0 ? this.#now() : this.#now() - SETTLED_IDLE_MS)) return true;
    this.#waiting.add(member);
    this.rebalance();
    return false;
  }

  /** The member has no more use for a place it waits for. */
  withdraw(member: BudgetMember): void {
    this.#waiting.delete(member);
  }

  /** A connection of the member is closed, or could not be opened. */
  release(member: BudgetMember): void {
    this.#taken--;
    if (member.size === 0 && !this.#waiting.has(member)) this.#members.delete(member);
    this.#grant();
  }

  /** A listener's connection counts too, but is never taken away; listeners get at most half of the budget. */
  takeForListener(): boolean {
    if (this.#listeners >= this.#maxListeners || !this.#tryTake(null, this.#now())) return false;
    this.#listeners++;
    return true;
  }

  releaseListener(): void {
    this.#listeners--;
    this.#taken--;
    this.#grant();
  }

  /** Called now and then while somebody waits: makes those who hold most yield. */
  rebalance(): void {
    const now = this.#now();
    for (const needy of this.#waiting) {
      let richest: BudgetMember | null = null;
      for (const member of this.#members) if (member !== needy && member.size > (richest?.size ?? 0)) richest = member;
      if (!richest) return;
      if (richest.size > needy.size + 1) richest.yieldOne(Number.POSITIVE_INFINITY);
      else if (needy.size === 0) this.#yieldLongestHeld(now - QUANTUM_MS, needy);
    }
  }

  #yieldLongestHeld(openedBefore: number, needy: BudgetMember): void {
    for (const member of this.#members) if (member !== needy && member.yieldOne(openedBefore)) return;
  }

  #tryTake(member: BudgetMember | null, idleBefore: number): boolean {
    if (this.#taken < this.max) {
      this.#taken++;
      return true;
    }
    let victim: BudgetMember | null = null;
    let oldest = idleBefore;
    for (const candidate of this.#members) {
      const since = candidate === member ? undefined : candidate.idleSince;
      if (since === undefined || since > oldest) continue;
      oldest = since;
      victim = candidate;
    }
    if (!victim) return false;
    this.#taken++; // the victim's own release follows
    victim.closeLongestIdle();
    return true;
  }

  #grant(): void {
    if (this.#taken >= this.max) return;
    let next: BudgetMember | undefined;
    for (const member of this.#waiting) if (!next || member.size < next.size) next = member; // those without any go first
    if (!next) return;
    this.#waiting.delete(next);
    this.#members.delete(next); // to the end of the line of those who may have to yield
    this.#members.add(next);
    this.#taken++;
    next.onGranted();
  }
}
