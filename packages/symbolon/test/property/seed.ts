/** The seed of a run of property tests: printed, so that a failure can be run again. */

let seed: number | undefined;

/**
 * The fast-check parameters every property test takes.
 *
 * `FC_SEED` repeats a run, `FC_RUNS` takes the place of each property's own number of runs; spread these last.
 */
export function propertyOptions(): { seed: number; numRuns?: number } {
  seed ??= announce(wholeNumber("FC_SEED") ?? Math.floor(Math.random() * 0x7fff_ffff));
  const numRuns = wholeNumber("FC_RUNS");
  return numRuns === undefined ? { seed } : { seed, numRuns };
}

function announce(chosen: number): number {
  console.log(`property seed: ${chosen}`);
  return chosen;
}

function wholeNumber(variable: string): number | undefined {
  const text = process.env[variable];
  if (text === undefined || text === "") return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number)) throw new Error(`${variable} must be a whole number.`);
  return number;
}
