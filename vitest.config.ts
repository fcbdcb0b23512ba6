import { configDefaults, defineConfig } from "vitest/config";

/** What looks at files only, so that `make check` needs no servers. */
const STATIC = [
  "tests/architecture.test.ts",
  "tests/documents.test.ts",
  "tests/event-contracts.test.ts",
  "tests/lockfile.test.ts",
  "tests/metrics-docs.test.ts",
  "tests/private-fields.test.ts",
  "tests/workflows.test.ts",
];

export default defineConfig({
  test: {
    // Processes, so that a test file that hangs or crashes takes no other with it.
    pool: "forks",
    maxWorkers: 2,
    // Bounds for a busy machine; none of the tests waits for time to pass.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    expect: { poll: { timeout: 20_000 } },
    projects: [
      { extends: true, test: { name: "static", include: STATIC } },
      {
        extends: true,
        test: {
          name: "servers",
          include: ["**/*.test.ts"],
          exclude: [...configDefaults.exclude, ".data/**", ".tools/**", ...STATIC],
          globalSetup: "tests/global-setup.ts",
          setupFiles: "mesh/testing/use-data-plane.ts",
        },
      },
    ],
  },
});
