import { describe, expect, test } from "vitest";
import { mayBegin, PROJECT_STATES, TRANSITIONS } from "./lifecycle.ts";
import { OPERATION_KINDS } from "./operation.ts";

describe("mayBegin", () => {
  test.each(OPERATION_KINDS)("%s does not begin on a deleted project", (kind) => {
    expect(mayBegin(kind, "DELETED", null)).toBe(false);
  });
  test("a failed project repeats what failed, or is deleted, and nothing else", () => {
    const allowed = OPERATION_KINDS.filter((kind) => mayBegin(kind, "FAILED", "create"));
    expect(allowed).toEqual(["create", "delete"]);
  });
  test("only a deletion that has failed may be followed by leaving things behind", () => {
    expect(OPERATION_KINDS.filter((kind) => mayBegin(kind, "FAILED", "delete"))).toEqual(["delete", "abandon"]);
    for (const state of PROJECT_STATES.filter((state) => state !== "FAILED"))
      expect(mayBegin("abandon", state, "delete")).toBe(false);
  });
  test("a paused project is resumed, deleted or migrated", () => {
    expect(OPERATION_KINDS.filter((kind) => mayBegin(kind, "PAUSED", null))).toEqual(["resume", "delete", "migrate"]);
  });
  test("an operation that failed once does not open the way for itself in other states", () => {
    expect(mayBegin("create", "ACTIVE", "create")).toBe(false);
  });
});

test("every passing state is left by some operation, so that no project is stuck in it", () => {
  const passing = PROJECT_STATES.filter((state) => state.endsWith("ING"));
  const entered = new Set(Object.values(TRANSITIONS).map(({ during }) => during));
  expect(passing.filter((state) => !entered.has(state))).toEqual([]);
});
