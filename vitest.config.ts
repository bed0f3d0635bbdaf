import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts"],
    globalSetup: ["packages/symbolon/test/servers.setup.ts"],
    isolate: false,
    // Much of it waits for servers, also where there are only two cores.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default", "./store-counts.reporter.ts", "./closing-line.reporter.ts"],
  },
});
