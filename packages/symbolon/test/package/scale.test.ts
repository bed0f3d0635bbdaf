import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ROOT, run } from "./workspace.ts";

describe("the scale run", () => {
  it("plays every scene on a few sessions, and finds that everything agrees", async () => {
    const stores = ["redisStore over ioredis", "sqliteStore over libsql"];
    const args = stores.flatMap((store) => ["--store", store]).concat("--sessions", "2000", "--seconds", "2");
    const script = fileURLToPath(new URL("bench/dist/scale/main.js", ROOT));
    const { code, output } = await run(process.execPath, [script, ...args], fileURLToPath(ROOT));
    expect(code, output).toBe(0);
    expect(output.match(/^## .+$/gm)).toEqual(stores.map((store) => `## ${store}`));
    expect(output.match(/^\| pruning 200 expired sessions \|/gm)).toHaveLength(2);
    expect(output.match(/^\| what does not agree with that \| nothing \|$/gm)).toHaveLength(2);
  }, 120_000);

  it("says which stores there are when it is asked for another", async () => {
    const script = fileURLToPath(new URL("bench/dist/scale/main.js", ROOT));
    const { code, output } = await run(process.execPath, [script, "--store", "noStore"], fileURLToPath(ROOT));
    expect(code).toBe(1);
    expect(output).toContain("There is no store called noStore; write one of: ");
  });
});
