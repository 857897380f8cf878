import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { createRestWorld, type RestProject, type RestWorld } from "../../test/harness/rest-world.ts";

let world: RestWorld;
let project: RestProject;
beforeAll(async () => {
  world = await createRestWorld(inject("clusterUrl"));
  project = await world.createProject();
});
afterAll(() => world?.close());

test.each([
  ["GET /rpc/books_of?author=1&limit=1", undefined],
  ["POST /rpc/books_of?limit=1&title=not.eq.x", { author: 1 }],
  ["GET /rpc/add_up?a=1", undefined],
])("the rows of a function with arguments can be estimated: %s", async (target, body) => {
  const answer = await project.call(target, { body, prefer: "count=planned" });
  expect(answer.status).toBeLessThan(300);
  expect(answer.headers["content-range"]).toMatch(/^0-0\/\d+$/);
  expect(answer.headers["preference-applied"]).toBe("count=planned");
});

test("the rows of a function are counted by what filters them", async () => {
  const answer = await project.call("GET /rpc/books_of?author=1&id=eq.2&limit=5", { prefer: "count=exact" });
  expect(answer.headers["content-range"]).toBe("0-0/1");
});
