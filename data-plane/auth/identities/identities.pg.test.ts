import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { type AuthWorld, createAuthWorld, type TestProject } from "../../../test/harness/auth-world.ts";

let world: AuthWorld;
let project: TestProject;
beforeAll(async () => {
  world = await createAuthWorld(inject("clusterUrl"));
  project = await world.createProject({ manualLinkingEnabled: true });
});
afterAll(() => world.close());

test("without manual linking nothing is linked or unlinked", async () => {
  const closed = await world.createProject();
  const { accessToken: bearer } = await closed.signUp();
  for (const target of ["GET /user/identities/authorize?provider=google", `DELETE /user/identities/${randomUUID()}`]) {
    const { status, body } = await closed.call(target, { bearer });
    expect([status, body]).toEqual([404, { code: "manual_linking_disabled", message: "Manual linking is disabled" }]);
  }
});

test("the last identity stays; of two the other one takes over as the user's address", async () => {
  const user = await project.signUp();
  const bearer = user.accessToken;
  const { body } = await project.call("GET /user", { bearer });
  const own = body.identities[0].identity_id;
  expect((await project.call(`DELETE /user/identities/${own}`, { bearer })).body.code).toBe(
    "single_identity_not_deletable",
  );
  await project.db.query(
    `insert into auth.identities (provider_id, user_id, identity_data, provider, created_at, updated_at)
     values ('g1', $1, '{"email": "g@example.com", "email_verified": true}', 'google', now(), now())`,
    [user.id],
  );
  expect((await project.call(`DELETE /user/identities/${randomUUID()}`, { bearer })).body.code).toBe(
    "identity_not_found",
  );
  expect((await project.call(`DELETE /user/identities/${own}`, { bearer })).body).toEqual({});
  const after = await project.call("GET /user", { bearer });
  expect(after.body).toMatchObject({
    email: "g@example.com",
    app_metadata: { provider: "google", providers: ["google"] },
  });
});
