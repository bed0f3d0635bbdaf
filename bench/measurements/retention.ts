/** What a request leaves in memory until the next full collection. */
import type { Measurement } from "../bench.ts";
import { type Candidate, type Framework, nameOf } from "../candidates/candidate.ts";
import { median } from "../measure.ts";
import { type Budget, budget, type Cell } from "../report.ts";

/** Bytes that a request of ours may leave more than one of the bare framework. */
const MOST = 1024;

export const retention: Measurement = {
  name: "retention",
  what: "bytes that a request leaves in memory until the next full collection",

  async run(bench) {
    const { rounds, requests, warmUps } = bench.pick({
      full: { rounds: 9, requests: 1600, warmUps: 10_000 },
      quick: { rounds: 3, requests: 640, warmUps: 1600 },
      tiny: { rounds: 1, requests: 16, warmUps: 16 },
    });
    // The quick run takes those that a budget is about.
    const candidates = bench.candidates.filter(
      ({ library, place }) =>
        library === "bare" || (place === "memory" && (library === "Symbolon" || bench.size !== "quick")),
    );
    const left = new Map<Candidate, number>();
    for (const candidate of candidates) {
      const process = await bench.processOf(candidate);
      await process.ask("warmUp", "/read", 64, warmUps, 1000);
      const found: number[] = [];
      for (let round = 0; round < rounds; round++) found.push(await process.ask("retained", "/read", requests));
      left.set(candidate, median(found));
    }
    const overBare = (candidate: Candidate): number =>
      (left.get(candidate) ?? Number.NaN) - (left.get(bareOf(candidates, candidate.framework)) ?? Number.NaN);
    return {
      about:
        "Bytes that are still held, by requests, after the young generation was collected and nothing is under way: what a " +
        `full collection has to find. Medians of ${rounds} rounds of ${requests} reads each. Express keeps its requests by itself, ` +
        "and with them whatever is on them: no budget is about that.",
      tables: [
        {
          title: "A read",
          columns: ["candidate", "bytes", "over bare"],
          rows: candidates.map((candidate): Cell[] => [
            nameOf(candidate),
            Math.round(left.get(candidate) ?? Number.NaN),
            Math.round(overBare(candidate)),
          ]),
        },
      ],
      budgets: candidates
        .filter(({ library, framework }) => library === "Symbolon" && framework !== "Express")
        .map((own): Budget => budget(`bytes that a read of ${nameOf(own)} leaves, over bare`, MOST, overBare(own))),
    };
  },
};

function bareOf(candidates: readonly Candidate[], framework: Framework): Candidate {
  const bare = candidates.find((one) => one.library === "bare" && one.framework === framework);
  if (bare === undefined) throw new Error(`There is no bare ${framework}.`);
  return bare;
}
