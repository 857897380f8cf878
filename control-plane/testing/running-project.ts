/** For tests: a project that really runs, made through the API by the owner of the installation. */
import { vi } from "vitest";
import type { GraphqlClient } from "./graphql-client.ts";
import { insertTestAccount, type TestControlPlane } from "./test-control-plane.ts";

export interface RunningProject {
  readonly ref: string;
  readonly organizationId: string;
  /** The owner of the project's organization. */
  readonly client: GraphqlClient;
  readonly ownerEmail: string;
  /** Deletes the project: its roles and its database are the cluster's and would outlive the test. */
  remove(): Promise<void>;
}

export async function createRunningProject(plane: TestControlPlane): Promise<RunningProject> {
  const owner = await insertTestAccount(plane.database, "owner");
  const client = plane.client(owner.token);
  const { createOrganization } = await client.data('mutation { createOrganization(name: "Test") { id } }');
  const organizationId: string = createOrganization.id;
  const { createProject } = await client.data(
    `mutation { createProject(input: {organizationId: "${organizationId}", name: "test"}) { ref } }`,
  );
  const ref: string = createProject.ref;
  await untilState(client, ref, "ACTIVE");
  return {
    ref,
    organizationId,
    client,
    ownerEmail: owner.email,
    async remove() {
      await client.data(`mutation { deleteProject(ref: "${ref}") { ref } }`);
      await untilState(client, ref, "NOT_FOUND");
    },
  };
}

/** @param state a state, or NOT_FOUND. */
export async function untilState(client: GraphqlClient, ref: string, state: string): Promise<void> {
  await vi.waitFor(
    async () => {
      const { data, errors } = await client.request(`{ project(ref: "${ref}") { state } }`);
      const present = errors[0]?.extensions?.code ?? data.project.state;
      if (present !== state) throw new Error(`project is ${present} instead of ${state}`);
    },
    { timeout: 25_000, interval: 20 },
  );
}
