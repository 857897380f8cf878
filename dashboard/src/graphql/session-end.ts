/** Whether the API has said that the session is over: the page stays as it is, and asks to sign in above it. */
import { useSyncExternalStore } from "react";

let hasEnded = false;
const listeners = new Set<() => void>();

export function setSessionEnded(value: boolean): void {
  if (hasEnded === value) return;
  hasEnded = value;
  for (const listener of listeners) listener();
}

export function useSessionEnded(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => hasEnded,
  );
}
