/** What sessions add to a request of the bare framework. */
import type { Bench, Measurement } from "../bench.ts";
import { type Candidate, type Framework, nameOf, type Path, type Place } from "../candidates/candidate.ts";
import { type Case, type Effort, measure, medianOf, medianOverhead, medianRatio, type Samples } from "../measure.ts";
import { type Budget, budget, type Cell, type Table } from "../report.ts";
import { times } from "../times.ts";

export const overhead: Measurement = {
  name: "overhead",
  what: "CPU time that each library adds to a request of its framework, read and write",

  async run(bench) {
    const effort = bench.pick<Effort>({
      full: { rounds: 15, warmUps: 0, operations: 64, sampleMs: 100 },
      quick: { rounds: 5, warmUps: 0, operations: 64, sampleMs: 40 },
      tiny: { rounds: 1, warmUps: 0, operations: 16, sampleMs: 1 },
    });
    // The quick run takes those that a budget is about, and the floors, and has its time for reads alone.
    const isQuick = bench.size === "quick";
    const candidates = bench.candidates.filter(
      ({ library, place, framework, variant }) =>
        !isQuick ||
        (library !== "bare again" && variant !== "encrypted" && (place !== "cookie" || framework === "node:http")),
    );
    const reads = await sample(bench, candidates, "/read", effort);
    const sampled: Sampled[] = [{ what: "read", samples: reads }];
    if (!isQuick) sampled.push({ what: "write", samples: await sample(bench, candidates, "/write", effort) });
    return {
      about:
        "Each candidate in a process of its own; whole requests through the framework, on Node's request and response " +
        "without a network. CPU time of that process, all threads and collection included, a server's excluded. 64 sessions " +
        `of 300 bytes in turn, medians of ${effort.rounds} interleaved rounds. "over bare" is what is added to the bare ` +
        'framework; "x ours" is that of a library by that of Symbolon in the same framework and place, each taken ' +
        'inside one round. "bare again" is the same application in a second process: what it differs by is noise.',
      tables: frameworksOf(candidates).map((framework) => tableOf(framework, candidates, sampled)),
      budgets: RIVALS.flatMap((rival) => judge(rival, candidates, reads)),
    };
  },
};

async function sample(bench: Bench, candidates: readonly Candidate[], path: Path, effort: Effort): Promise<Samples> {
  const requests = bench.pick({ full: 20_000, quick: 16_000, tiny: 4 });
  const milliseconds = bench.pick({ full: 3000, quick: 1000, tiny: 1000 });
  const cases: Case[] = [];
  // Two at once: nothing is measured yet.
  await times(2, candidates.length, async (index) => {
    const candidate = candidates[index];
    if (candidate === undefined) return;
    const process = await bench.processOf(candidate);
    await process.ask("warmUp", path, effort.operations, requests, milliseconds);
    cases.push({ name: nameOf(candidate), sample: () => process.ask("sample", path, effort) });
  });
  return measure(cases, effort);
}

function frameworksOf(candidates: readonly Candidate[]): Framework[] {
  return [...new Set(candidates.map(({ framework }) => framework))];
}

/** What was done, and what it cost. */
interface Sampled {
  readonly what: string;
  readonly samples: Samples;
}

function tableOf(framework: Framework, candidates: readonly Candidate[], sampled: readonly Sampled[]): Table {
  const rows = candidates
    .filter((candidate) => candidate.framework === framework)
    .map((candidate): Cell[] => [nameOf(candidate), ...sampled.flatMap(({ samples }) => figures(candidate, samples))]);
  const columns = sampled.flatMap(({ what }) => FIGURES.map((figure) => `${what} ${figure}`));
  return { title: framework, columns: ["candidate", ...columns], rows };
}

const FIGURES = ["us", "by bare", "us over bare", "x ours"];

function figures(candidate: Candidate, samples: Samples): Cell[] {
  const [name, bare] = [nameOf(candidate), bareOf(candidate.framework)];
  if (name === bare) return [medianOf(samples, name), 1, 0, null];
  const added = medianOverhead(samples, name, bare);
  const ours = ownOf(candidate.framework, candidate.place);
  const factor = candidate.place === "nowhere" ? null : 1 / medianShare(samples, ours, name, bare);
  return [medianOf(samples, name), medianRatio(samples, name, bare), added, factor];
}

/** What one adds to the bare framework by what another adds, each taken inside one round. */
function medianShare(samples: Samples, name: string, other: string, bare: string): number {
  const over = (of: string): readonly number[] => {
    const bares = samples.get(bare) ?? [];
    return (samples.get(of) ?? []).map((cost, round) => cost - (bares[round] ?? Number.NaN));
  };
  return medianRatio(new Map([name, other].map((of) => [of, over(of)])), name, other);
}

/** Whom we have to be below, and by how much. */
interface Rival {
  readonly library: string;
  readonly framework: Framework;
  readonly place: Place;
  /** Where ours keeps its sessions, if not in the same place. */
  readonly ours?: Place;
  readonly most: number;
}

const RIVALS: readonly Rival[] = [
  { library: "express-session", framework: "Express", place: "memory", most: 1 },
  { library: "express-session", framework: "Express", place: "Redis", most: 1 },
  { library: "@fastify/session", framework: "Fastify", place: "memory", most: 1 },
  { library: "@fastify/session", framework: "Fastify", place: "Redis", most: 1 },
  { library: "koa-session", framework: "Koa", place: "memory", most: 1 },
  { library: "koa-session", framework: "Koa", place: "Redis", most: 1 },
  { library: "hono-sessions", framework: "Hono", place: "memory", most: 1 },
  { library: "hono-sessions", framework: "Hono", place: "Redis", most: 1 },
  { library: "iron-session", framework: "node:http", place: "cookie", ours: "memory", most: 0.2 },
];

/** Every variant of the rival's library is one to be below. */
function judge(rival: Rival, candidates: readonly Candidate[], reads: Samples): Budget[] {
  const ours = ownOf(rival.framework, rival.ours ?? rival.place);
  return candidates
    .filter(
      ({ library, framework, place }) =>
        library === rival.library && framework === rival.framework && place === rival.place,
    )
    .map((candidate) => {
      const share = medianShare(reads, ours, nameOf(candidate), bareOf(rival.framework));
      return budget(`a read of ${ours} over bare, by that of ${nameOf(candidate)}`, rival.most, share);
    });
}

function bareOf(framework: Framework): string {
  return nameOf({ library: "bare", framework, place: "nowhere" });
}

function ownOf(framework: Framework, place: Place): string {
  return nameOf({ library: "Symbolon", framework, place });
}
