import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ROOT, run } from "./workspace.ts";

const script = fileURLToPath(new URL("packages/symbolon/test/harness/dist/prove.js", ROOT));

describe("npm run prove", () => {
  it("plays so many histories on each store, and says that every promise was kept", async () => {
    const stores = ["sqliteStore over libsql", "fileStore"];
    const args = [script, ...stores.flatMap((store) => ["--store", store]), "--seeds", "3"];
    const { code, output } = await run(process.execPath, args, fileURLToPath(ROOT));
    expect(code, output).toBe(0);
    for (const store of stores)
      expect(output).toMatch(new RegExp(`^\\| ${store} \\| 3 \\| \\d+ \\| \\d+ \\| 0 \\|$`, "m"));
  }, 120_000);

  it("says which stores there are when it is asked for another", async () => {
    const { code, output } = await run(process.execPath, [script, "--store", "noStore"], fileURLToPath(ROOT));
    expect(code).toBe(1);
    expect(output).toContain("There is no store called noStore; write one of: ");
  });
});
