import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { type Finished, ROOT, run } from "./workspace.ts";

const NAMES = [
  "direct",
  "overhead",
  "retention",
  "http",
  "redis",
  "calls",
  "lost-updates",
  "logout",
  "memory",
  "prune",
  "owners",
  "size",
];

interface Budget {
  readonly name: string;
  readonly most: number;
  readonly found: number;
  readonly missedBy: number;
}

/** What is read here of bench/results/tiny/latest.json. */
interface Results {
  readonly machine: { readonly cpu: string; readonly node: string; readonly packages: Record<string, string> };
  readonly reports: Record<
    string,
    {
      readonly tables: { readonly title: string; readonly columns: string[]; readonly rows: unknown[][] }[];
      readonly budgets?: readonly Budget[];
    }
  >;
}

describe("npm run bench", () => {
  it("measures everything, says on what, and judges each budget", async () => {
    const { code, output } = await bench("--tiny");
    expect(code, output).toBe(0);
    for (const name of NAMES) expect(output).toMatch(new RegExp(`^## ${name}$`, "m"));
    expect(output.match(/^budget: (?:met|missed by \S+) +\S+ of \S+: .+$/gm)?.length).toBeGreaterThan(15);

    const { machine, reports } = latest();
    expect(machine.node).toBe(process.version);
    expect(Object.keys(machine.packages)).toContain("koa-session");
    expect(Object.values(machine.packages)).not.toContain("not found");
    expect(Object.keys(reports)).toEqual(NAMES);
    // A figure that is missing would be no figure that is met.
    for (const { name, most, found, missedBy } of budgetsOf(reports)) {
      expect(found, name).toBeTypeOf("number");
      expect(missedBy === 0, name).toBe(found <= most);
    }

    // What does not depend on how fast anything is.
    const exact = budgetsOf(reports).filter(({ name }) => /^(?:Redis commands|most increments|sessions of)/.test(name));
    expect(exact.map(({ missedBy }) => missedBy)).toEqual([0, 0, 0]);
    const increments = reports["lost-updates"]?.tables[0]?.rows ?? [];
    const plain = increments.find(([name, how]) => how === "assigned" && String(name).startsWith("koa-session"));
    expect(plain?.at(-1)).not.toBe("0 %");
    const revived = reports["logout"]?.tables[0]?.rows.filter((row) => row.includes("logged in")) ?? [];
    expect(revived.length).toBeGreaterThan(0);

    const plot = readFileSync(new URL("bench/results/tiny/memory.svg", ROOT), "utf8");
    expect(plot.match(/<polyline/g)).toHaveLength(4);
    expect(plot).not.toContain("NaN");
  }, 240_000);

  it("finds that a request leaves next to nothing in memory until the next full collection", async () => {
    const { code, output } = await bench("--quick", "--only", "retention");
    expect(code, output).toBe(0);
    const judged = output.match(/^budget: .+$/gm) ?? [];
    expect(judged.length).toBeGreaterThan(3);
    // A request that is kept leaves eight times as much as the budget allows.
    expect(judged.filter((line) => !line.startsWith("budget: met"))).toEqual([]);
  });

  it("runs what is named alone, as JSON when asked", async () => {
    const { code, output } = await bench("--tiny", "--only", "size", "--json");
    expect(code, output).toBe(0);
    expect(Object.keys((JSON.parse(output) as Results).reports)).toEqual(["size"]);
  }, 60_000);

  it("says what there is when it is asked for something else", async () => {
    const { code, output } = await bench("--only", "everything");
    expect(code).toBe(1);
    expect(output).toContain("There is no measurement called everything; write one of:");
    for (const name of NAMES) expect(output).toContain(`\n  ${name} `);
  });
});

function bench(...args: readonly string[]): Promise<Finished> {
  return run(process.execPath, ["--expose-gc", "bench/dist/main.js", ...args], fileURLToPath(ROOT));
}

function latest(): Results {
  return JSON.parse(readFileSync(new URL("bench/results/tiny/latest.json", ROOT), "utf8")) as Results;
}

function budgetsOf(reports: Results["reports"]): Budget[] {
  return Object.values(reports).flatMap(({ budgets = [] }) => budgets);
}
