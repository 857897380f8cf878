import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject({ settings: { txEnd: "rollback-allow-override" } });
});
afterAll(() => world?.close());

test.each([
  ["no row", []],
  ["nothing", {}],
  ["no key", { note: "x" }],
  ["another key", { id: 2 }],
])("a PUT whose body has %s does not match its URL", async (_, body) => {
  const answer = await project.call("PUT /codes?id=eq.1", { body });
  expect(answer.status).toBe(400);
  expect(answer.body.code).toBe("PGRST115");
});
