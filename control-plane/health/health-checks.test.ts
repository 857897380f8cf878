import { expect, test } from "vitest";
import { TooManyRequests } from "../errors.ts";
import type { ProjectRow } from "../projects/project-row.ts";
import { createHealthChecks } from "./health-checks.ts";

const project = (organizationId: string, index: number) =>
  ({
    ref: `${organizationId} ${index}`,
    organizationId,
    state: "ACTIVE",
    clusterId: "c",
    configVersion: 1,
  }) as unknown as ProjectRow;

test("an organization that asks for the health of too much is refused, and another's check begins at once", async () => {
  const begun: string[] = [];
  const parts = {
    vault: {
      get(_db: unknown, ref: string) {
        begun.push(ref);
        return new Promise(() => {}); // a database that does not answer
      },
    },
    clusters: { address: async () => ({}) },
    now: Date.now,
  } as unknown as Parameters<typeof createHealthChecks>[0];
  const { health } = createHealthChecks(parts);
  const asked = Array.from({ length: 404 }, (_, index) => health(project("busy", index)));
  for (const check of asked) check.catch(() => {});
  await expect(health(project("busy", 404))).rejects.toThrow(TooManyRequests);
  void health(project("calm", 0));
  await new Promise(setImmediate);
  expect(begun).toEqual(["busy 0", "busy 1", "busy 2", "busy 3", "calm 0"]);
});
