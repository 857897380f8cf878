import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** graphql has two builds; tests must load the one that Node loads for its other users, or types of one are strange to the other. */
const resolve = { alias: { graphql: fileURLToPath(import.meta.resolve("graphql")) } };

/** With a Docker engine that compose/docker-tests.sh has started; nowhere else is there one to use. */
const docker = {
  resolve,
  test: {
    name: "docker",
    include: ["test/docker/**/*.test.ts"],
    fileParallelism: false, // one engine, and fixed names and ports
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
};

/** Three tiers: pure and fast, with a PostgreSQL cluster of the run's own, and black-box against running processes. */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      ...(process.env.SUPALOVE_DOCKER_TESTS === "1" ? [docker] : []),
      {
        resolve,
        test: {
          name: "unit",
          include: ["{control-plane,gateway,data-plane,dashboard,compose,sql,bench}/**/*.test.ts"],
          exclude: ["**/*.pg.test.ts", "**/node_modules/**"],
          globalSetup: ["test/harness/temporary-folder.setup.ts"],
          testTimeout: 30_000, // property tests, on a machine that is busy with the other tiers
        },
      },
      {
        resolve,
        test: {
          name: "pg",
          include: ["{control-plane,gateway,data-plane,compose,sql,bench}/**/*.pg.test.ts"],
          globalSetup: ["test/harness/temporary-folder.setup.ts", "test/harness/cluster.setup.ts"],
          isolate: false, // no file leaves anything in a module; loading the services anew for each took longer than many files run
          testTimeout: 60_000,
          hookTimeout: 60_000,
          expect: { poll: { timeout: 20_000 } }, // a schema is loaded again when its project has paused long enough
        },
      },
      {
        resolve,
        test: {
          name: "blackbox",
          include: ["test/**/*.test.ts"],
          exclude: ["test/docker/**"],
          globalSetup: ["test/harness/temporary-folder.setup.ts", "test/harness/cluster.setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
