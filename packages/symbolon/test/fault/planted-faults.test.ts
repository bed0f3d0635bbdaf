/** What `histories.test.ts` trusts finds what a store does wrong: each fault is planted in a copy of a store, and found. */
import { describe, expect, test } from "vitest";
import type { Promised } from "../harness/promises.ts";
import type { Disproof, Prover } from "../harness/prover.ts";
import { describeDisproof, planted, PLANTED, startProver } from "../support/built-harness.ts";
import { needsServer, serverUrls } from "../support/servers.ts";
import type { Variant } from "../support/targets.ts";

const BREAKS: Readonly<Record<string, Promised>> = {
  "upsert instead of update": "no update is lost",
  "successor minted twice": "a token has one successor",
  "touch after delete": "an ended session stays ended",
  "non-atomic release": "a lock has one holder",
};

/** Of each fault one history in six or so breaks the promise: so many without say that nothing is found. */
const MOST_SEEDS = 100;

async function withProver(
  variant: Variant,
  url: string | null,
  work: (prover: Prover) => Promise<void>,
): Promise<void> {
  const where = await planted.prepare(variant, url);
  const prover = await startProver(PLANTED, where);
  try {
    await work(prover);
  } finally {
    await prover.end();
    await planted.drop(where);
  }
}

/** The first history that breaks the promise. */
async function firstThatBreaks(prover: Prover, promised: Promised): Promise<Disproof> {
  for (let seed = 0; seed < MOST_SEEDS; seed++) {
    const disproof = await prover.prove(seed);
    const faults = disproof?.faults.filter((fault) => fault.promised === promised) ?? [];
    if (disproof !== null && faults.length > 0) return { ...disproof, faults };
  }
  throw new Error(`${MOST_SEEDS} histories keep the promise that ${promised}.`);
}

describe.each(planted.variants)("a copy of a store with $name", (variant) => {
  const register = (url: string | null): void => {
    test(`breaks the promise that ${BREAKS[variant.name]}`, async () => {
      await withProver(variant, url, async (prover) => {
        const { faults } = await firstThatBreaks(prover, BREAKS[variant.name]!);
        expect(faults.length).toBeGreaterThan(0);
      });
    }, 300_000);
  };
  if (variant.server === null) register(null);
  else needsServer(variant.server as keyof typeof serverUrls, register);
});

// How small it gets is up to the races: `harness/smallest.test.ts` says what is tried.
test("a history that breaks a promise is made smaller, and told so that it can be read and played again", async () => {
  const variant = planted.variants.find(({ name }) => name === "touch after delete")!;
  await withProver(variant, null, async (prover) => {
    const found = await firstThatBreaks(prover, "an ended session stays ended");
    const reduced = await prover.reduce(found);
    expect(sizeOf(reduced)).toBeLessThan(sizeOf(found));
    expect(reduced.faults.map(({ promised }) => promised)).toContain("an ended session stays ended");
    const text = describeDisproof("someStore", reduced);
    expect(text).toContain("an ended session stays ended: ");
    expect(text).toContain(`Again: npm run prove -- --store "someStore" --seed ${reduced.seed}`);
    // Who logged in, who was revived, and nothing that a client could use.
    expect(text).toMatch(/^! .* process \d .* → .*$/m);
    expect(text).not.toMatch(/s1_/);
  });
}, 300_000);

function sizeOf({ history }: Disproof): number {
  return history.plan.rounds.flatMap(({ lanes }) => lanes.flat()).length;
}
