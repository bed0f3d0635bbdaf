import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts"],
    globalSetup: ["packages/symbolon/test/servers.setup.ts"],
    isolate: false,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default", "./store-counts.reporter.ts", "./closing-line.reporter.ts"],
  },
});
