/** The promise of durable operations: whenever the control plane dies, what was begun is finished and nothing is left over. */
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createInstallation, type Installation } from "./support.ts";

let installation: Installation;

beforeAll(async () => {
  installation = await createInstallation(inject("clusterUrl"));
});
afterAll(() => installation[Symbol.asyncDispose]());

const moments = (...steps: string[]) => steps.flatMap((step) => [`${step}/before`, `${step}/after`]);

describe("killed during create", () => {
  test.each(moments("place", "secrets", "roles", "database", "contents"))(
    "at %s: after a restart the project is ACTIVE, and its deletion leaves nothing",
    async (moment) => {
      const dying = await installation.startControlPlane(`create/${moment}`);
      // It may die before it has answered; what it was asked for is in the database then.
      const ref = await dying.createProject(moment).catch(() => installation.refOf(moment));
      expect(await dying.exited).toBe("SIGKILL");

      await using restarted = await installation.startControlPlane();
      expect(await restarted.untilState(ref, "ACTIVE", "FAILED")).toBe("ACTIVE");
      await restarted.operate("deleteProject", ref);
      expect(await restarted.untilState(ref, "DELETED", "FAILED")).toBe("DELETED");
      expect(await installation.leftovers(ref)).toEqual([]);
    },
  );
});

describe("killed during delete", () => {
  test.each(moments("database", "roles", "records"))("at %s: after a restart nothing is left over", async (moment) => {
    const dying = await installation.startControlPlane(`delete/${moment}`);
    const ref = await dying.createProject();
    await dying.untilState(ref, "ACTIVE");
    await dying.operate("deleteProject", ref).catch(() => undefined); // it may die before it has answered
    expect(await dying.exited).toBe("SIGKILL");

    await using restarted = await installation.startControlPlane();
    expect(await restarted.untilState(ref, "DELETED", "FAILED")).toBe("DELETED");
    expect(await installation.leftovers(ref)).toEqual([]);
  });
});
