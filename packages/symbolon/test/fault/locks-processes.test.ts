/** Four processes and one lock, on every kind of store that locks: one inside at a time, and nobody waits for nothing. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeEvery, type NamedVariant } from "../support/every-variant.ts";
import { type Answer, countingFolder, type Crew, lockVariants, startCrew, wereTold } from "./lock-crew.ts";

const PROCESSES = 4;
/** Of each process, at the same time. */
const WAITERS = 50;
const COUNTS = 15;
/** Longer than a test: who is not told of a release would wait for the end of a lease in vain. */
const LEASE = "5m";

/** The numbers, if each is greater than those before. */
function rising(numbers: readonly number[]): readonly number[] {
  return [...new Set(numbers)].toSorted((one, other) => one - other);
}

function sum(numbers: readonly (number | undefined)[]): number {
  return numbers.reduce<number>((total, one) => total + (one ?? Number.NaN), 0);
}

describeEvery("four processes with one lock", "lock", register, lockVariants);

function register(variant: NamedVariant): void {
  let crew: Crew;

  beforeAll(async () => {
    crew = await startCrew(variant, PROCESSES);
  });

  afterAll(() => crew?.end());

  test("let one in at a time of two hundred, each with a greater fence, and all after all", async () => {
    const { holders } = crew;
    const folder = countingFolder();
    for (const { order } of holders) {
      order("enter", { name: "crowd", times: WAITERS, lease: LEASE, wait: LEASE, folder: folder.path });
    }
    const answers = await Promise.all(holders.map(({ answer }) => answer()));
    expect(answers.map(({ code }) => code)).toEqual(Array(PROCESSES).fill(undefined));
    expect(folder.count()).toBe(PROCESSES * WAITERS);
    expect(folder.fences()).toEqual(rising(folder.fences()));
    // With every release one of each process asks, and the one whose turn it is where it was released may ask before it is
    // told, and then again. In between nobody asks; at first each looks twice.
    const most = (PROCESSES + 1) * PROCESSES * WAITERS + PROCESSES * 2;
    if (wereTold(variant, answers)) expect(sum(answers.map(({ asked }) => asked))).toBeLessThanOrEqual(most);
  }, 120_000);

  test("lose no count of a session, each under the session's lock", async () => {
    const { holders, sessions } = crew;
    const { token } = await sessions.create({ userId: "user-1", data: { n: 0 } });
    for (const { order } of holders) order("countAll", { token, times: COUNTS, lease: LEASE, wait: LEASE });
    expect(await Promise.all(holders.map(({ answer }) => answer()))).toEqual(holders.map(() => ({})));
    expect((await sessions.validate(token))?.data["n"]).toBe(PROCESSES * COUNTS);
  }, 120_000);

  test("hand it on by the release, and ask for it no more often than that while somebody has it", async () => {
    const [first, ...others] = crew.holders;
    const taken = await first?.ask("hold", { name: "a", lease: LEASE });
    for (const { order, says } of others) {
      order("hold", { name: "a", lease: LEASE, wait: LEASE });
      await says("waiting");
    }
    // Meanwhile somebody who looks every now and then has looked.
    await new Promise((resolve) => setTimeout(resolve, 300));
    await first?.ask("release");
    const answers: Answer[] = [];
    const handOn = others.map(async ({ answer, ask }) => {
      answers.push(await answer());
      expect(await ask("release")).toEqual({});
    });
    await Promise.all(handOn);
    const fences = [taken, ...answers].map((one) => one?.fence ?? 0);
    expect(fences).toEqual(rising(fences));
    // It looks twice, once it listens, and then with every release.
    const most = 2 + others.length;
    if (wereTold(variant, answers)) for (const { asked } of answers) expect(asked).toBeLessThanOrEqual(most);
  }, 120_000);
}
