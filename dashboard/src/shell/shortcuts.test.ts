import { expect, test, vi } from "vitest";

vi.stubGlobal("navigator", { platform: "Linux" });
const { SHORTCUTS, keysLabel } = await import("./shortcuts.ts");

test("two shortcuts of one scope never share their keys, nor does one hide another of anywhere", () => {
  const all = Object.values(SHORTCUTS);
  const anywhere = all.filter(({ scope }) => scope === "anywhere").map(({ keys }) => keys);
  for (const scope of new Set(all.map((shortcut) => shortcut.scope))) {
    const own = all.filter((shortcut) => shortcut.scope === scope).map(({ keys }) => keys as string);
    const keys = scope === "anywhere" ? own : [...own, ...anywhere];
    expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
  }
});

test.each([
  ["$mod+k", "Ctrl K"],
  ["g h", "G H"],
  ["Shift+N", "⇧N"],
])("%s is shown as %s", (keys, label) => {
  expect(keysLabel(keys)).toBe(label);
});
