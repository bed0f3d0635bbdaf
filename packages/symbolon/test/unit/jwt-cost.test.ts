/** What refusals cost: no hostile token may be dearer than the genuine ones it came with. */
import { describe, expect, it } from "vitest";
import { HOSTILE_CASES, isFor, type Stage } from "../support/jwt-cases/index.ts";
import { managerDoor, SIGNING, verifierDoor } from "../support/jwt-doors.ts";

const ROUNDS = 41;
/** How often the genuine token is in a round: what all others are held against has to be known best. */
const GENUINE = 20;

interface Named {
  readonly name: string;
  readonly token: unknown;
}

type Judge = (token: unknown) => Promise<unknown>;

/** The median time by name, in rounds that look at each token once, in another order each: all have the same weather. */
async function timed(judge: Judge, tokens: readonly Named[]): Promise<Map<string, number>> {
  const times = new Map(tokens.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name, token } of shuffled(tokens)) {
      const start = process.hrtime.bigint();
      await judge(token);
      times.get(name)?.push(Number(process.hrtime.bigint() - start));
    }
  }
  return new Map([...times].map(([name, all]) => [name, median(all)]));
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, at: Math.random() }))
    .toSorted((one, other) => one.at - other.at)
    .map(({ value }) => value);
}

function median(times: readonly number[]): number {
  return times.toSorted((one, other) => one - other)[times.length >> 1] as number;
}

/** By how much each case is dearer than a genuine token, the dearest first. */
async function ratiosOf(judge: Judge, stage: Stage): Promise<(readonly [name: string, ratio: number])[]> {
  const hostile = HOSTILE_CASES.filter((one) => isFor(one, stage.key.alg));
  const tokens = hostile.map((one) => ({ name: `${one.rule}: ${one.name}`, token: one.build(stage) }));
  const genuine = Array.from({ length: GENUINE }, () => ({ name: "genuine", token: stage.token }));
  const medians = await timed(judge, [...tokens, ...genuine]);
  const base = medians.get("genuine") as number;
  medians.delete("genuine");
  return [...medians].map(([name, time]) => [name, time / base] as const).toSorted(([, a], [, b]) => b - a);
}

/** The name of the dearest says which, should it be too dear. */
function report(door: string, ratios: readonly (readonly [string, number])[]): void {
  const [name, ratio] = ratios[0] as readonly [string, number];
  console.log(`${door}: the dearest refusal costs ${ratio.toFixed(2)} of a verification (${name})`);
}

describe("refusing any hostile token takes no more than three times what a genuine one takes", () => {
  it.each(SIGNING)("%s, by a manager", async (alg) => {
    const { jwts, stage } = await managerDoor(alg, "offline", 0);
    const ratios = await ratiosOf((token) => jwts.userOf(token as string), stage);
    report(alg, ratios);
    expect(ratios.filter(([, ratio]) => ratio > 3)).toEqual([]);
  });

  // A verifier judges as a manager does: two algorithms of its own are enough.
  it.each(["ES384", "RS256"] as const)("%s, by a verifier", async (alg) => {
    const { verifier, stage } = verifierDoor(alg, 0);
    const ratios = await ratiosOf((token) => verifier.verify(token as string), stage);
    report(`a verifier of ${alg}`, ratios);
    expect(ratios.filter(([, ratio]) => ratio > 3)).toEqual([]);
  });
});
