/** Several control planes on one database. */
import { expect, inject, test } from "vitest";
import { createInstallation } from "./support.ts";

test("two control planes share 20 creations: each runs once, and both see all of them", async () => {
  await using installation = await createInstallation(inject("clusterUrl"));
  const [one, two] = await Promise.all([installation.startControlPlane(), installation.startControlPlane()]);
  const refs = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 ? one : two).createProject()));
  for (const ref of refs) expect(await one.untilState(ref, "ACTIVE", "FAILED")).toBe("ACTIVE");
  const runs = await installation.database.query<{ state: string; steps: number; repeated: number }>(
    `select state, count(*) as operations, min(cardinality(completed_steps)) as steps,
       count(*) filter (where attempts > 1) as repeated
     from operations group by state`,
  );
  expect(runs).toEqual([{ state: "succeeded", operations: 20, steps: 5, repeated: 0 }]);

  await Promise.all(refs.map((ref) => two.operate("deleteProject", ref)));
  for (const ref of refs) expect(await two.untilState(ref, "DELETED", "FAILED")).toBe("DELETED");
  for (const ref of refs) expect(await installation.leftovers(ref)).toEqual([]);
});

test("when one dies in the middle, the other takes its operation over and finishes it", async () => {
  await using installation = await createInstallation(inject("clusterUrl"));
  const dying = await installation.startControlPlane("create/database/after");
  const ref = await dying.createProject();
  await dying.exited;
  await using other = await installation.startControlPlane();
  expect(await other.untilState(ref, "ACTIVE", "FAILED")).toBe("ACTIVE");
  const [operation] = await installation.database.query("select state, completed_steps from operations");
  expect(operation).toEqual({
    state: "succeeded",
    completed_steps: ["place", "secrets", "roles", "database", "contents"],
  });
  await other.operate("deleteProject", ref);
  await other.untilState(ref, "DELETED");
});

test("while an operation is under way every other one is refused", async () => {
  await using installation = await createInstallation(inject("clusterUrl"), 3_600_000);
  const dying = await installation.startControlPlane("create/roles/before");
  const ref = await dying.createProject();
  await dying.exited; // the lease is long: the creation is under way, and nobody works on it
  await using other = await installation.startControlPlane();
  for (const mutation of ["pauseProject", "restartProject", "deleteProject"])
    await expect(other.operate(mutation, ref)).rejects.toThrow("PROJECT_BUSY");
  await expect(other.operate("retryProject", ref)).rejects.toThrow("CONFLICT");
  expect(await other.state(ref)).toBe("CREATING");
  await installation.database.query("update operations set lease_expires_at = now()");
  await other.untilState(ref, "ACTIVE");
  await other.operate("deleteProject", ref);
  await other.untilState(ref, "DELETED");
});

test("killed with many operations at different steps, a control plane finishes them all after a restart", async () => {
  await using installation = await createInstallation(inject("clusterUrl"));
  const first = await installation.startControlPlane();
  const refs = await Promise.all(Array.from({ length: 8 }, () => first.createProject()));
  await Promise.race(refs.map((ref) => first.untilState(ref, "ACTIVE")));
  first.process.kill("SIGKILL");
  await first.exited;

  const second = await installation.startControlPlane();
  for (const ref of refs) expect(await second.untilState(ref, "ACTIVE", "FAILED")).toBe("ACTIVE");
  await Promise.all(refs.map((ref) => second.operate("deleteProject", ref)));
  await Promise.race(refs.map((ref) => second.untilState(ref, "DELETED")));
  second.process.kill("SIGKILL");
  await second.exited;

  await using third = await installation.startControlPlane();
  for (const ref of refs) expect(await third.untilState(ref, "DELETED", "FAILED")).toBe("DELETED");
  for (const ref of refs) expect(await installation.leftovers(ref)).toEqual([]);
});
