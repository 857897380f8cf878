/**
 * Who is present in a room. Each channel holds at most one meta under its presence key; several may share a key. What
 * changes within a moment becomes one diff, so that a thousand joins do not cost a million messages.
 */
import { randomBytes } from "node:crypto";

interface Meta {
  readonly ref: string;
  /** As the client gave it: the JSON text of an object. */
  readonly payload: string;
  /** JSON text with `phx_ref` in it. */
  readonly json: string;
}

interface Entry {
  readonly key: string;
  readonly meta: Meta;
}

/** Begins anew with each process: refs are unique for ever within a room. */
const REF_PREFIX = randomBytes(6).toString("base64url");
let lastRef = 0;

export class Presence<Holder> {
  readonly #byHolder = new Map<Holder, Entry>();
  readonly #byKey = new Map<string, Map<Holder, Meta>>();
  #joins: Entry[] = [];
  #leaves: Entry[] = [];

  get size(): number {
    return this.#byHolder.size;
  }

  /** Bytes of the payload that the holder keeps here. */
  bytesOf(holder: Holder): number {
    return this.#byHolder.get(holder)?.meta.payload.length ?? 0;
  }

  /** @param payload JSON text of an object. @returns False when nothing has changed. */
  track(holder: Holder, key: string, payload: string): boolean {
    const before = this.#byHolder.get(holder);
    if (before?.meta.payload === payload) return false;
    const meta = makeMeta(payload, before?.meta.ref);
    if (before) this.#forget(holder, before);
    this.#byHolder.set(holder, { key, meta });
    let metas = this.#byKey.get(key);
    if (!metas) {
      metas = new Map();
      this.#byKey.set(key, metas);
    }
    metas.set(holder, meta);
    this.#joins.push({ key, meta });
    return true;
  }

  /** @returns False when the holder was not there. */
  untrack(holder: Holder): boolean {
    const before = this.#byHolder.get(holder);
    if (!before) return false;
    this.#byHolder.delete(holder);
    this.#forget(holder, before);
    return true;
  }

  /** The payload of `presence_state`. Announce what is pending first: the state holds it already. */
  state(): string {
    const keys = [...this.#byKey].map(([key, metas]) => [key, [...metas.values()]] as const);
    return metasByKey(keys);
  }

  /** The payload of `presence_diff` for what has changed since the last call; null when nothing has. */
  takeDiff(): string | null {
    if (this.#joins.length === 0 && this.#leaves.length === 0) return null;
    const diff = `{"joins":${metasByKey(grouped(this.#joins))},"leaves":${metasByKey(grouped(this.#leaves))}}`;
    this.#joins = [];
    this.#leaves = [];
    return diff;
  }

  #forget(holder: Holder, entry: Entry): void {
    const metas = this.#byKey.get(entry.key);
    metas?.delete(holder);
    if (metas?.size === 0) this.#byKey.delete(entry.key);
    // What nobody was told of need not be taken back.
    const unannounced = this.#joins.findIndex(({ meta }) => meta === entry.meta);
    if (unannounced >= 0) this.#joins.splice(unannounced, 1);
    else this.#leaves.push(entry);
  }
}

function makeMeta(payload: string, previous: string | undefined): Meta {
  lastRef += 1;
  const ref = `${REF_PREFIX}${lastRef.toString(36)}`;
  const refs = `"phx_ref":"${ref}"${previous === undefined ? "" : `,"phx_ref_prev":"${previous}"`}}`;
  // Ours come last, and the last of two equal names counts.
  const json = payload === "{}" ? `{${refs}` : `${payload.slice(0, -1)},${refs}`;
  return { ref, payload, json };
}

function grouped(entries: readonly Entry[]): Iterable<readonly [string, Meta[]]> {
  const byKey = new Map<string, Meta[]>();
  for (const { key, meta } of entries) {
    const metas = byKey.get(key);
    if (metas) metas.push(meta);
    else byKey.set(key, [meta]);
  }
  return byKey;
}

function metasByKey(keys: Iterable<readonly [string, readonly Meta[]]>): string {
  const members: string[] = [];
  for (const [key, metas] of keys) {
    members.push(`${JSON.stringify(key)}:{"metas":[${metas.map(({ json }) => json).join(",")}]}`);
  }
  return `{${members.join(",")}}`;
}
