/** Interleaved measuring: every round takes every case once, so that a slow moment of the machine meets them all. */
import { setTimeout as wait } from "node:timers/promises";

/** One thing to measure. */
export interface Case {
  readonly name: string;
  /** What it costs, in one round. */
  readonly sample: (effort: Effort) => Promise<number>;
}

/** Something that is done again and again. */
export interface Work {
  /** Runs before every pass, outside the clock. */
  readonly prepare?: () => Promise<void> | void;
  /** One operation; `index` counts from 0 in every pass. */
  readonly run: (index: number) => Promise<unknown> | void;
}

/** How much to measure. */
export interface Effort {
  readonly rounds: number;
  /** Rounds before those, whose code is not optimised yet; two unless told. */
  readonly warmUps?: number;
  /** Operations of one pass. */
  readonly operations: number;
  /** Passes are repeated until a sample has taken this much time, after a third of it unmeasured. */
  readonly sampleMs: number;
}

/** What each case cost, one entry a round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/** Measures every case in every round. */
export async function measure(cases: readonly Case[], effort: Effort): Promise<Samples> {
  const named = cases.map((entry) => [entry.name, entry] as const);
  return interleave(named, effort.rounds, effort.warmUps ?? 2, (entry) => entry.sample(effort));
}

/** Takes one result of each in every round, after so many rounds that are not counted. */
export async function interleave<Entry, Result>(
  entries: readonly (readonly [name: string, entry: Entry])[],
  rounds: number,
  warmUps: number,
  take: (entry: Entry) => Promise<Result>,
): Promise<Map<string, Result[]>> {
  const results = new Map<string, Result[]>(entries.map(([name]) => [name, []]));
  for (let round = 0; round < rounds + warmUps; round++) {
    // Another order each time: none always follows the same neighbour.
    const start = (round * 7) % entries.length;
    for (const [name, entry] of [...entries.slice(start), ...entries.slice(0, start)]) {
      const result = await take(entry);
      if (round >= warmUps) results.get(name)?.push(result);
    }
  }
  return results;
}

/** A case of this process: CPU microseconds of one operation, all threads and collection included. */
export function cpuCase(name: string, work: Work): Case {
  return { name, sample: (effort) => cpuCost(work, effort) };
}

/** CPU microseconds of one operation. */
export async function cpuCost(work: Work, { operations, sampleMs }: Effort): Promise<number> {
  // Not a full collection: it throws optimised code away, and the case would pay for making it again.
  globalThis.gc?.({ type: "minor" });
  await wait(2);
  await pass(work, operations, sampleMs / 3, cpuClock);
  return pass(work, operations, sampleMs, cpuClock);
}

/** Microseconds that one operation takes, waiting included. */
export async function wallCost(work: Work, { operations, sampleMs }: Effort): Promise<number> {
  return pass(work, operations, sampleMs, wallClock);
}

/** Runs passes until they took so long; answers the microseconds of one operation. */
async function pass(work: Work, operations: number, leastMs: number, clock: () => number): Promise<number> {
  let spent = 0;
  let done = 0;
  while (done === 0 || spent < leastMs * 1000) {
    await work.prepare?.();
    const before = clock();
    for (let index = 0; index < operations; index++) {
      const pending = work.run(index);
      if (pending !== undefined) await pending;
    }
    spent += clock() - before;
    done += operations;
  }
  return spent / done;
}

function cpuClock(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function wallClock(): number {
  return performance.now() * 1000;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** The median cost of a case. */
export function medianOf(samples: Samples, name: string): number {
  return median(samples.get(name) ?? []);
}

/** The median of the ratios of two cases, each taken inside one round. */
export function medianRatio(samples: Samples, name: string, base: string): number {
  return medianOfRounds((cost, of) => cost / of, samples, name, base);
}

/** The median of what a case costs more than another, each taken inside one round. */
export function medianOverhead(samples: Samples, name: string, base: string): number {
  return medianOfRounds((cost, of) => cost - of, samples, name, base);
}

function medianOfRounds(
  compare: (cost: number, base: number) => number,
  samples: Samples,
  name: string,
  base: string,
): number {
  const bases = samples.get(base) ?? [];
  return median((samples.get(name) ?? []).map((cost, round) => compare(cost, bases[round] ?? Number.NaN)));
}
