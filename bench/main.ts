/**
 * Everything that docs/performance.md tells, measured here and now.
 *
 *   npm run bench -- [--quick] [--only overhead]... [--json]
 *
 * Starts what it needs. Prints tables and budgets, writes bench/results/latest.json and a plot of each curve beside it.
 * Ends with 0 also when a budget is missed, and with 1 when something could not be measured.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Bench, type Measurement, type Size } from "./bench.ts";
import { describeMachine } from "./machine.ts";
import { MEASUREMENTS, ON_DEMAND } from "./measurements/index.ts";
import { svgOf } from "./plot.ts";
import { textOfMachine, textOfReport } from "./print.ts";
import type { Report } from "./report.ts";

const ABOUT_SIZE: Readonly<Record<Size, string>> = {
  full: "",
  quick: "--quick: few rounds and small counts. Good to see that all is well, not to quote from.",
  tiny: "--tiny: only to see that it runs. The figures say nothing.",
};

const { values: asked } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    tiny: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    json: { type: "boolean", default: false },
  },
});

const size: Size = asked.tiny ? "tiny" : asked.quick ? "quick" : "full";
/** Seen from bench/dist. The tests' own run leaves alone what was measured in earnest. */
const results = new URL(size === "tiny" ? "../results/tiny/" : "../results/", import.meta.url);
const measurements = choose(asked.only);
if (measurements === null) process.exitCode = 1;
else await run(measurements);

/** Those that were named, or all; null when there is none of that name. */
function choose(names: readonly string[]): readonly Measurement[] | null {
  const all = [...MEASUREMENTS, ...ON_DEMAND];
  const unknown = names.find((name) => all.every((measurement) => measurement.name !== name));
  if (unknown === undefined) return names.length === 0 ? MEASUREMENTS : all.filter(({ name }) => names.includes(name));
  console.error(`There is no measurement called ${unknown}; write one of:`);
  for (const { name, what } of all) console.error(`  ${name.padEnd(14)}${what}`);
  return null;
}

async function run(chosen: readonly Measurement[]): Promise<void> {
  const machine = describeMachine();
  tell([textOfMachine(machine), ABOUT_SIZE[size]].join("\n"));
  const bench = await Bench.open(size);
  const reports: Record<string, Report & { readonly seconds: number }> = {};
  try {
    for (const measurement of chosen) {
      const started = performance.now();
      const report = await reportOf(measurement, bench);
      if (report === null) continue;
      const seconds = Math.round((performance.now() - started) / 100) / 10;
      reports[measurement.name] = { ...report, seconds };
      tell(`${textOfReport(measurement.name, report)}\n\n(${measurement.name}: ${seconds} s)\n`);
    }
  } finally {
    await bench.close();
  }
  const found = { machine, size, reports };
  save(found);
  if (asked.json) console.log(JSON.stringify(found, null, 2));
  else console.log(summaryOf(Object.values(reports)));
}

async function reportOf(measurement: Measurement, bench: Bench): Promise<Report | null> {
  try {
    return await measurement.run(bench);
  } catch (error) {
    console.error(`${measurement.name} could not be measured:`, error);
    process.exitCode = 1;
    return null;
  }
}

function save(found: { readonly reports: Readonly<Record<string, Report>> }): void {
  mkdirSync(results, { recursive: true });
  // What was measured in part leaves alone what was measured as a whole.
  const name = ["latest", ...asked.only].join("-");
  writeFileSync(new URL(`${name}.json`, results), `${JSON.stringify(found, null, 2)}\n`);
  const plots = Object.values(found.reports).flatMap((report) => report.plots ?? []);
  for (const plot of plots) writeFileSync(new URL(`${plot.name}.svg`, results), svgOf(plot));
}

function summaryOf(reports: readonly Report[]): string {
  const budgets = reports.flatMap((report) => report.budgets ?? []);
  const missed = budgets.filter(({ missedBy }) => missedBy > 0);
  return `${budgets.length - missed.length} of ${budgets.length} budgets met; all figures are in ${relative(process.cwd(), fileURLToPath(results))}.`;
}

/** Tables are for people: a program gets the JSON alone. */
function tell(text: string): void {
  if (!asked.json) console.log(text);
}
