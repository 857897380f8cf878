import { describe, expect, test } from "vitest";
import type { ProjectRef } from "./config-snapshot.ts";
import { Ownership } from "./ownership.ts";

const REFS = Array.from({ length: 6_000 }, (_, index) => {
  const letters = index.toString(26).replace(/\d/g, (digit) => String.fromCharCode(112 + Number(digit)));
  return letters.padStart(20, "a") as ProjectRef;
});

describe("a project's process", () => {
  test("is the same for everybody who knows the same members, in whatever order", () => {
    const one = new Ownership(["a", "b", "c"]);
    const other = new Ownership(["c", "a", "b", "b"]);
    for (const ref of REFS) expect(other.ownerOf(ref)).toBe(one.ownerOf(ref));
  });

  test.each([2, 3, 8])("is each of %i about as often", (count) => {
    const ownership = new Ownership(Array.from({ length: count }, (_, index) => `worker-${index}`));
    const shares = new Map<string, number>();
    for (const ref of REFS) shares.set(ownership.ownerOf(ref), (shares.get(ownership.ownerOf(ref)) ?? 0) + 1);
    expect(shares.size).toBe(count);
    for (const share of shares.values()) expect(Math.abs(share - REFS.length / count)).toBeLessThan(REFS.length / 20);
  });

  test("changes only where a new member takes it, or its own is gone", () => {
    const before = new Ownership(["a", "b", "c"]);
    const after = new Ownership(["a", "b", "c", "d"]);
    const moved = REFS.filter((ref) => before.ownerOf(ref) !== after.ownerOf(ref));
    expect(moved.length / REFS.length).toBeCloseTo(1 / 4, 1);
    for (const ref of moved) expect(after.ownerOf(ref)).toBe("d");
    for (const ref of REFS) expect(after.ownerAmong(ref, (member) => member !== "d")).toBe(before.ownerOf(ref));
    expect(after.ownerAmong(REFS[0] as ProjectRef, () => false)).toBeNull();
  });
});
