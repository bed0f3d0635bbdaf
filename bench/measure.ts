/** Interleaved measuring: every round runs every case once, so that a slow moment of the machine meets them all. */

/** One thing to measure. */
export interface Case {
  readonly name: string;
  /** Runs before the clock, in every round. */
  readonly prepare?: () => Promise<void> | void;
  /** One operation; `index` counts from 0 in every round. */
  readonly run: (index: number) => Promise<unknown> | void;
}

/** CPU microseconds per operation by case, one entry a round. */
export type Samples = ReadonlyMap<string, readonly number[]>;

/** Measures CPU time (all threads, collection included) of every case in every round. */
export async function measure(cases: readonly Case[], rounds: number, operations: number): Promise<Samples> {
  const samples = new Map<string, number[]>(cases.map(({ name }) => [name, []]));
  // The first rounds run cold code; they are not counted.
  const warmUp = Math.min(2, rounds);
  for (let round = -warmUp; round < rounds; round++) {
    // Another order each time: none always follows the same neighbour.
    const offset = (round + warmUp) % cases.length;
    for (const entry of [...cases.slice(offset), ...cases.slice(0, offset)]) {
      await entry.prepare?.();
      globalThis.gc?.();
      const cost = await cpuPerOperation(entry.run, operations);
      if (round >= 0) samples.get(entry.name)?.push(cost);
    }
  }
  return samples;
}

async function cpuPerOperation(run: Case["run"], operations: number): Promise<number> {
  const before = process.cpuUsage();
  for (let index = 0; index < operations; index++) {
    const pending = run(index);
    if (pending !== undefined) await pending;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / operations;
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
