/**
 * Four processes on one storage, for every store that has locks: whatever they do at once, and whoever is faster, every
 * promise is kept. `npm run prove` does the same a thousand times over; docs/concurrency.md says what is checked.
 */
import { randomInt } from "node:crypto";
import { afterAll, beforeAll, test } from "vitest";
import type { Prover } from "../harness/prover.ts";
import { describeDisproof, startProver } from "../support/built-harness.ts";
import { describeEvery, type NamedVariant, onePerServer } from "../support/every-variant.ts";
import type { Where } from "../support/targets.ts";

const FIXED = Array.from({ length: 25 }, (_, seed) => seed);
const FRESH = Array.from({ length: 5 }, () => randomInt(2 ** 31));

// The master of a Sentinel is a Redis like any other.
const variants = onePerServer.filter(({ variant }) => variant.server !== "sentinel");

describeEvery("four processes", "lock", registerHistories, variants);

function registerHistories({ kind, target, variant, url }: NamedVariant): void {
  let where: Where;
  let prover: Prover | undefined;

  beforeAll(async () => {
    where = await target.prepare(variant, url);
    prover = await startProver(new URL(`../targets/${kind}.mjs`, import.meta.url).href, where);
  });

  afterAll(async () => {
    await prover?.end();
    await target.drop(where);
  });

  async function proveAll(seeds: readonly number[]): Promise<void> {
    for (const seed of seeds) {
      const disproof = await prover!.prove(seed);
      if (disproof !== null) throw new Error(describeDisproof(variant.name, await prover!.reduce(disproof)));
    }
  }

  test("keep every promise in 25 histories", async () => proveAll(FIXED), 300_000);

  test("keep every promise in 5 histories that nobody has seen before", async () => proveAll(FRESH), 300_000);
}
