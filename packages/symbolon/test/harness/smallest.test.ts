import { describe, expect, it } from "vitest";
import type { History } from "./history.ts";
import { operationsOf, type Plan, planFrom, presentsToken } from "./plan.ts";
import { smallest } from "./smallest.ts";

/** A history of a plan that was never played. */
function unplayed(plan: Plan): History {
  return { plan, entries: [] };
}

/** Whether a plan has all of these operations. */
function has(plan: Plan, numbers: readonly number[]): boolean {
  const all = new Set(operationsOf(plan).map(({ number }) => number));
  return numbers.every((number) => all.has(number));
}

function numbersOf({ plan }: History): number[] {
  return operationsOf(plan).map(({ number }) => number);
}

describe("a plan", () => {
  it("is the same for the same seed, and another for another", () => {
    expect(planFrom(17)).toEqual(planFrom(17));
    expect(planFrom(17).rounds).not.toEqual(planFrom(18).rounds);
  });

  it("has some 20 to 60 operations on four processes, and every kind in one of a hundred", () => {
    const plans = Array.from({ length: 100 }, (_, seed) => planFrom(seed));
    const sizes = plans.map((plan) => operationsOf(plan).length).toSorted((a, b) => a - b);
    expect(sizes[50]).toBeGreaterThan(20);
    expect(sizes[50]).toBeLessThan(60);
    const all = plans.flatMap(operationsOf);
    expect(new Set(all.map(({ process }) => process))).toEqual(new Set([0, 1, 2, 3]));
    expect(new Set(all.map(({ does }) => does)).size).toBe(15);
    expect(new Set(all.map(({ number }) => number)).size).toBeLessThan(all.length);
  });

  it("asks for a new token only as the first thing that a lane does", () => {
    const lanes = Array.from({ length: 100 }, (_, seed) =>
      planFrom(seed).rounds.flatMap((round) => round.lanes),
    ).flat();
    const later = lanes.flatMap((lane) => lane.slice(1));
    expect(later.filter(presentsToken).length).toBeGreaterThan(100);
    expect(later.filter(({ does }) => does === "refresh")).toEqual([]);
  });
});

describe("the smallest history", () => {
  const plan = planFrom(3);
  const needed = [1, 7, 12];

  it("has nothing but what it takes to break the promise", async () => {
    const found = await smallest(unplayed(plan), async (tried) => (has(tried, needed) ? unplayed(tried) : null));
    expect(numbersOf(found)).toEqual(needed);
  });

  it("is found, too, where the promise is broken only now and then", async () => {
    let plays = 0;
    const found = await smallest(unplayed(plan), async (tried) =>
      has(tried, needed) && ++plays % 4 === 0 ? unplayed(tried) : null,
    );
    expect(numbersOf(found)).toEqual(needed);
  });

  it("is the whole one where nothing less breaks it", async () => {
    const found = await smallest(unplayed(plan), async () => null);
    expect(found.plan).toEqual(plan);
  });
});
