/**
 * All shortcuts in one place: handlers, tooltips, palette and the sheet of shortcuts read them from here. Letters never
 * act while somebody types, and can be switched off as a whole (WCAG 2.1.4).
 */
import { useEffect, useRef } from "react";
import { tinykeys } from "tinykeys";

export interface Shortcut {
  readonly id: string;
  readonly label: string;
  /** As tinykeys reads it: `$mod+k`, `g h`, `Shift+N`. */
  readonly keys: string;
  /** Where it acts; two of one scope never share their keys. */
  readonly scope: "anywhere" | "project" | "list" | "users" | "tables" | "sql";
}

export const SHORTCUTS = {
  palette: { label: "Search and commands", keys: "$mod+k", scope: "anywhere" },
  help: { label: "Keyboard shortcuts", keys: "$mod+/", scope: "anywhere" },
  goProjects: { label: "Go to projects", keys: "g p", scope: "anywhere" },
  goHome: { label: "Go to the project’s home", keys: "g h", scope: "project" },
  goTables: { label: "Go to tables", keys: "g t", scope: "project" },
  goSql: { label: "Go to SQL", keys: "g s", scope: "project" },
  goDatabase: { label: "Go to database", keys: "g d", scope: "project" },
  goUsers: { label: "Go to users", keys: "g a", scope: "project" },
  goSettings: { label: "Go to settings", keys: "g ,", scope: "project" },
  goMembers: { label: "Go to members", keys: "g m", scope: "project" },
  search: { label: "Search the list", keys: "Shift+F", scope: "list" },
  create: { label: "New", keys: "Shift+N", scope: "list" },
  refresh: { label: "Read again", keys: "Shift+R", scope: "list" },
  clearFilters: { label: "Clear filters", keys: "f c", scope: "list" },
  createUser: { label: "Create user", keys: "i u", scope: "users" },
} as const satisfies Readonly<Record<string, Omit<Shortcut, "id">>>;

export type ShortcutId = keyof typeof SHORTCUTS;

const LETTERS_KEY = "supalove.single-key-shortcuts";
const IS_MAC = /Mac|iPhone|iPad/.test(navigator.platform);

export function areLettersOn(): boolean {
  return localStorage.getItem(LETTERS_KEY) !== "off";
}

export function setLettersOn(on: boolean): void {
  localStorage.setItem(LETTERS_KEY, on ? "on" : "off");
}

/** `⌘K` or `Ctrl K`, `G H`, `⇧N`. */
export function keysLabel(keys: string): string {
  return keys
    .split(" ")
    .map((chord) =>
      chord
        .replace("$mod+", IS_MAC ? "⌘" : "Ctrl ")
        .replace("Shift+", "⇧")
        .replace("Alt+", IS_MAC ? "⌥" : "Alt ")
        .replace(/^[a-z]$/, (letter) => letter.toUpperCase())
        .replace(/k$/, "K"),
    )
    .join(" ");
}

/** Acts while the component is shown. */
export function useShortcuts(handlers: Partial<Record<ShortcutId, () => void>>): void {
  const latest = useRef(handlers);
  latest.current = handlers;
  const ids = Object.keys(handlers).join();
  useEffect(() => {
    const bindings = Object.fromEntries(
      (ids.split(",") as ShortcutId[]).map((id) => [
        SHORTCUTS[id].keys,
        (event: KeyboardEvent) => {
          if (!mayAct(event, SHORTCUTS[id].keys)) return;
          event.preventDefault();
          latest.current[id]?.();
        },
      ]),
    );
    return tinykeys(window, bindings);
  }, [ids]);
}

/** Letters belong to whoever types; nothing acts below an open dialog. */
function mayAct(event: KeyboardEvent, keys: string): boolean {
  const target = event.target as Element | null;
  if (target?.closest("[role=dialog], [role=alertdialog]")) return false;
  if (keys.startsWith("$mod")) return true;
  return (
    areLettersOn() && !target?.closest("input, textarea, select, [contenteditable=true], [role=menu], [role=listbox]")
  );
}
