import { defineConfig } from "vitest/config";

/** Three tiers: pure and fast, with a PostgreSQL cluster of the run's own, and black-box against running processes. */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["{control-plane,gateway,data-plane,compose,sql,bench}/**/*.test.ts"],
          exclude: ["**/*.pg.test.ts", "**/node_modules/**"],
        },
      },
      {
        test: {
          name: "pg",
          include: ["{control-plane,gateway,data-plane,compose,sql,bench}/**/*.pg.test.ts"],
          globalSetup: ["test/harness/cluster.setup.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "blackbox",
          include: ["test/**/*.test.ts"],
          globalSetup: ["test/harness/cluster.setup.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
