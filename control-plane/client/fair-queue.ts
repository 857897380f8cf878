/**
 * A bounded queue that several share: they take turns, one item each, so that one who floods it waits for himself.
 * When it is full, whoever has most in it gives way to whoever has less.
 */
export interface FairQueueLimits {
  readonly maxOfOne: number;
  readonly maxOfAll: number;
}

export interface Refused<Item> {
  readonly item: Item;
  /** What is too much: the holder's own, or all together. */
  readonly because: "own" | "all";
}

export class FairQueue<Item> {
  readonly #limits: FairQueueLimits;
  /** None is empty; in the order of their turns. */
  readonly #queues = new Map<string, Item[]>();
  #size = 0;

  constructor(limits: FairQueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns the item that has no place (any more): this one, or the newest of who has most. Null when all have one. */
  push(holder: string, item: Item): Refused<Item> | null {
    const own = this.#queues.get(holder) ?? [];
    if (own.length >= this.#limits.maxOfOne) return { item, because: "own" };
    let displaced: Refused<Item> | null = null;
    if (this.#size >= this.#limits.maxOfAll) {
      displaced = this.#displace(own.length + 1);
      if (!displaced) return { item, because: "all" };
    }
    own.push(item);
    this.#queues.set(holder, own);
    this.#size += 1;
    return displaced;
  }

  /**
   * The first item of the holder whose turn it is; the holder then goes to the end of the line.
   * @param mayGo False passes a holder over; he keeps his turn.
   */
  shift(mayGo: (holder: string) => boolean = () => true): Item | undefined {
    for (const [holder, items] of this.#queues) {
      if (!mayGo(holder)) continue;
      const item = items.shift();
      this.#queues.delete(holder);
      if (items.length > 0) this.#queues.set(holder, items);
      this.#size -= 1;
      return item;
    }
    return undefined;
  }

  /** For an item that is not wanted any more. @returns False when it is not in the queue. */
  remove(holder: string, item: Item): boolean {
    const items = this.#queues.get(holder);
    const index = items?.indexOf(item) ?? -1;
    if (!items || index === -1) return false;
    items.splice(index, 1);
    if (items.length === 0) this.#queues.delete(holder);
    this.#size -= 1;
    return true;
  }

  /** Empties the queue. */
  drain(): Item[] {
    const all = [...this.#queues.values()].flat();
    this.#queues.clear();
    this.#size = 0;
    return all;
  }

  /** Takes the newest item of who has most, when that is more than `length`. */
  #displace(length: number): Refused<Item> | null {
    let longest: Item[] = [];
    for (const items of this.#queues.values()) if (items.length > longest.length) longest = items;
    if (longest.length <= length) return null;
    this.#size -= 1;
    return { item: longest.pop() as Item, because: "own" };
  }
}
