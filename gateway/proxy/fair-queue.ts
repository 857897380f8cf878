/** A bounded queue that serves its keys in turn: whoever fills it waits behind himself. */
export class FairQueue<T> {
  readonly #byKey = new Map<string, T[]>();
  readonly #maxItems: number;
  readonly #maxItemsPerKey: number;
  size = 0;

  constructor(maxItems: number, maxItemsPerKey: number) {
    this.#maxItems = maxItems;
    this.#maxItemsPerKey = maxItemsPerKey;
  }

  /** @returns False when the queue is full. */
  push(key: string, item: T): boolean {
    const items = this.#byKey.get(key);
    if (this.size >= this.#maxItems || (items?.length ?? 0) >= this.#maxItemsPerKey) return false;
    if (items) items.push(item);
    else this.#byKey.set(key, [item]);
    this.size += 1;
    return true;
  }

  /** The oldest item of the first key in turn that `mayTake`; that key is then the last in turn. */
  shift(mayTake: (key: string) => boolean): T | undefined {
    for (const [key, items] of this.#byKey) {
      if (!mayTake(key)) continue;
      this.#byKey.delete(key);
      const item = items.shift();
      if (items.length > 0) this.#byKey.set(key, items);
      this.size -= 1;
      return item;
    }
    return undefined;
  }

  remove(key: string, item: T): void {
    const items = this.#byKey.get(key);
    const index = items?.indexOf(item) ?? -1;
    if (!items || index === -1) return;
    items.splice(index, 1);
    if (items.length === 0) this.#byKey.delete(key);
    this.size -= 1;
  }

  /** Takes out every item that matches, wherever it stands. */
  takeAll(matches: (item: T) => boolean): readonly T[] {
    if (this.size === 0) return [];
    const taken: T[] = [];
    for (const [key, items] of this.#byKey) {
      const matching = items.filter(matches);
      for (const item of matching) this.remove(key, item);
      taken.push(...matching);
    }
    return taken;
  }
}
