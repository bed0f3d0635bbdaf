/** Interleaved measuring: every round runs every case once, so that a slow moment of the machine meets them all. */
import { setTimeout as wait } from "node:timers/promises";

/** One thing to measure. */
export interface Case {
  readonly name: string;
  /** Runs before every pass, outside the clock. */
  readonly prepare?: () => Promise<void> | void;
  /** One operation; `index` counts from 0 in every pass. */
  readonly run: (index: number) => Promise<unknown> | void;
}

/** How much to measure. */
export interface Effort {
  readonly rounds: number;
  /** Operations of one pass. */
  readonly operations: number;
  /** Passes are repeated until a sample has taken this much CPU time, after a third of it unmeasured. */
  readonly sampleMs: number;
}

/** CPU microseconds per operation by case, one entry a round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/** Measures CPU time (all threads, collection included) of every case in every round. */
export async function measure(cases: readonly Case[], effort: Effort): Promise<Samples> {
  const samples = new Map<string, number[]>(cases.map(({ name }) => [name, []]));
  // The first rounds run code that is not optimised yet; they are not counted.
  const warmUps = Math.min(2, effort.rounds);
  for (let round = 0; round < effort.rounds + warmUps; round++) {
    // Another order each time: none always follows the same neighbour.
    const start = (round * 7) % cases.length;
    for (const entry of [...cases.slice(start), ...cases.slice(0, start)]) {
      const cost = await sample(entry, effort);
      if (round >= warmUps) samples.get(entry.name)?.push(cost);
    }
  }
  return samples;
}

async function sample(entry: Case, { operations, sampleMs }: Effort): Promise<number> {
  // Not a full collection: it throws optimised code away, and the case would pay for making it again.
  globalThis.gc?.({ type: "minor" });
  await wait(2);
  await run(entry, operations, sampleMs / 3);
  return run(entry, operations, sampleMs);
}

/** Runs passes until they took so long; answers the CPU microseconds of one operation. */
async function run(entry: Case, operations: number, leastMs: number): Promise<number> {
  let spent = 0;
  let done = 0;
  while (done === 0 || spent < leastMs * 1000) {
    await entry.prepare?.();
    const before = process.cpuUsage();
    for (let index = 0; index < operations; index++) {
      const pending = entry.run(index);
      if (pending !== undefined) await pending;
    }
    const { user, system } = process.cpuUsage(before);
    spent += user + system;
    done += operations;
  }
  return spent / done;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** The median of the ratios of two cases, each taken inside one round. */
export function medianRatio(samples: Samples, name: string, base: string): number {
  const divisors = samples.get(base) ?? [];
  return median((samples.get(name) ?? []).map((value, round) => value / (divisors[round] ?? Number.NaN)));
}
