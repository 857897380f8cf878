/**
 * What has been typed and not saved, kept on the device by account (IndexedDB): scripts and edits may hold passwords, so
 * they never go to the server by themselves. Written at every keystroke, so nothing is lost to a reload or a crash.
 */
import { clear, createStore, del, entries, get, keys, set } from "idb-keyval";

const stores = new Map<string, ReturnType<typeof createStore>>();

function storeOf(accountId: string): ReturnType<typeof createStore> {
  const known = stores.get(accountId);
  if (known) return known;
  const store = createStore(`supalove-${accountId}`, "drafts");
  stores.set(accountId, store);
  return store;
}

export async function readDraft<Value>(accountId: string, key: string): Promise<Value | undefined> {
  return get<Value>(key, storeOf(accountId));
}

export async function writeDraft(accountId: string, key: string, value: unknown): Promise<void> {
  await set(key, value, storeOf(accountId));
}

export async function removeDraft(accountId: string, key: string): Promise<void> {
  await del(key, storeOf(accountId));
}

/** All whose key begins with `prefix`. */
export async function listDrafts<Value>(accountId: string, prefix: string): Promise<[string, Value][]> {
  const all = await entries<string, Value>(storeOf(accountId));
  return all.filter(([key]) => key.startsWith(prefix));
}

/** Zero where the browser keeps nothing, as in some private windows. */
export async function countDrafts(accountId: string): Promise<number> {
  return keys(storeOf(accountId)).then(
    (found) => found.length,
    () => 0,
  );
}

export async function clearDrafts(accountId: string): Promise<void> {
  await clear(storeOf(accountId));
}
