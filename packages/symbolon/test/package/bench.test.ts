import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ROOT, run, runTool } from "./workspace.ts";

describe("the overhead benchmark", () => {
  it("runs, and reports every path with its budget", async () => {
    const root = fileURLToPath(ROOT);
    const built = await runTool("typescript", "tsc", ["-b", "bench"], root);
    expect(built).toEqual({ code: 0, output: "" });
    const args = ["bench/dist/overhead.js", "--rounds", "1", "--sessions", "20", "--sample", "1"];
    const { code, output } = await run(process.execPath, args, root);
    expect(code, output).toBe(0);
    expect(output.match(/ {2}budget: (?:met|missed by \d+\.\d\d)$/gm)).toHaveLength(16);
    expect(output.match(/ us {2}/g)).toHaveLength(21);
  }, 60_000);

  it("refuses what it cannot run with one line", async () => {
    const { code, output } = await run(
      process.execPath,
      ["bench/dist/overhead.js", "--rounds", "0"],
      fileURLToPath(ROOT),
    );
    expect({ code, output }).toEqual({ code: 1, output: "--rounds: write a whole number from 1 to 4000.\n" });
  });
});
