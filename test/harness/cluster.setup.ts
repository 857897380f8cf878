/** Vitest global set-up: one cluster for all files of a run; each file makes databases of its own in it. */
import type {} from "vitest";
import type { TestProject } from "vitest/node";
import { startTestCluster } from "./cluster.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** Superuser URL of the run's cluster: `inject("clusterUrl")`. */
    clusterUrl: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cluster = await startTestCluster();
  project.provide("clusterUrl", cluster.url);
  return () => cluster.stop();
}
