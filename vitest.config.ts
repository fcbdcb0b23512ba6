import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts"],
    exclude: ["**/node_modules/**", ".data/**", ".tools/**"],
    globalSetup: "tests/global-setup.ts",
    // Processes, so that a test file that hangs or crashes takes no other with it.
    pool: "forks",
    maxWorkers: 2,
    // Bounds for a busy machine; none of the tests waits for time to pass.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
