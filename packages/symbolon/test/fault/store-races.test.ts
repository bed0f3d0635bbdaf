/** Two processes on one storage, for every store: what they do at once is as if they had taken turns. */
import { type AdmissionRules, hasOwnerIndex, type StoredRecord } from "symbolon";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeEvery } from "../support/every-variant.ts";
import {
  callNow,
  createAll,
  foundIn,
  newLock,
  newRecords,
  observe,
  type Orders,
  type RaceStage,
  type RecordFields,
  stageRace,
  untilMet,
} from "./race-stage.ts";

const CALLERS = 50;
const KEYS = 8;

/** The same orders for both, with a mark of its own for each. */
function both(orders: Orders): readonly [Orders, Orders] {
  return [
    { ...orders, mark: "a" },
    { ...orders, mark: "b" },
  ];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** Insists that of all that tried the same, just one won; answers who, key by key. */
function onlyWinners(answers: readonly (readonly string[])[][]): string[] {
  const [one = [], other = []] = answers;
  expect(one).toHaveLength(KEYS);
  return one.map((winners, key) => {
    const all = [...winners, ...(other[key] ?? [])];
    expect(all).toHaveLength(1);
    return all[0]!;
  });
}

async function foundOf(store: RaceStage["store"], records: readonly RecordFields[]): Promise<(string | null)[]> {
  return Promise.all(records.map(async (record) => foundIn(store, record)));
}

interface Outlived {
  readonly lastBegunAt: number;
  readonly updates: number;
  readonly endedAt?: number;
  readonly wasLive?: boolean;
}

interface Held {
  readonly fence: number;
  readonly count: number;
  readonly answer: string;
}

/** What became of one turn: how many updates, and the answer to the last try. */
interface Written {
  readonly updated: number;
  readonly last: string;
}

interface Said {
  readonly owner: string;
  readonly lookup: string;
  readonly status: string;
  readonly limit: string | null;
  readonly evicted: readonly string[];
}

interface Played {
  readonly said: readonly Said[];
  readonly mostSeen: number;
  /** Whether the processes met, and were seen doing so. */
  readonly hasMet: boolean;
}

/** Lets both processes admit twenty records of each owner; somebody counts all the while. */
async function playAdmissions(
  { store, play }: RaceStage,
  records: readonly RecordFields[],
  rules: AdmissionRules,
): Promise<Played> {
  if (!hasOwnerIndex(store)) throw new Error("the store cannot count");
  const count = async (): Promise<number[]> =>
    Promise.all(
      records.map(async (record) => store.countByOwner(record as StoredRecord & { owner: string }, callNow())),
    );
  const playing = play<Said[]>(both({ game: "admit", records, callers: 20, rules }));
  const { done, seen } = await observe(count, playing);
  const total = rules.total !== null;
  const most = seen.map((counts) => (total ? sum(counts) : Math.max(...counts)));
  return { said: done.answers.flat(), mostSeen: Math.max(...most), hasMet: done.hasMet && seen.length > 1 };
}

/** Insists on the limit for one user: who was let in, who was not, and who gave way. */
async function checkOwner(
  store: RaceStage["store"],
  owned: RecordFields,
  said: readonly Said[],
  atLimit: string,
): Promise<void> {
  const created = said.filter(({ status }) => status === "created").map(({ lookup }) => lookup);
  expect(created).toHaveLength(atLimit === "created" ? 40 : 3);
  expect(said.filter(({ status }) => status === "created" || status === atLimit)).toHaveLength(40);
  const states = await foundOf(
    store,
    created.map((lookup) => ({ ...owned, lookup })),
  );
  const gone = created.filter((_, index) => states[index] === "ended: evicted");
  expect(states.filter((state) => state === "1: admitted")).toHaveLength(3);
  expect(gone).toHaveLength(created.length - 3);
  expect(said.flatMap(({ evicted }) => evicted).toSorted()).toEqual(gone.toSorted());
}

describeEvery("two processes", "store", (variant) => {
  let stage: RaceStage;

  beforeAll(async () => {
    stage = await stageRace(variant);
  });

  afterAll(async () => stage?.end());

  test("create each record once", async () => {
    await untilMet(async () => {
      const records = newRecords(KEYS);
      const { answers, hasMet } = await stage.play<string[][]>(both({ game: "create", records, callers: CALLERS }));
      const winners = onlyWinners(answers);
      expect(await foundOf(stage.store, records)).toEqual(winners.map((envelope) => `1: ${envelope}`));
      return hasMet;
    });
  });

  test("update each version once", async () => {
    await untilMet(async () => {
      const records = newRecords(KEYS);
      await createAll(stage.store, records);
      const { answers, hasMet } = await stage.play<string[][]>(both({ game: "update", records, callers: CALLERS }));
      const winners = onlyWinners(answers);
      expect(await foundOf(stage.store, records)).toEqual(winners.map((envelope) => `2: ${envelope}`));
      return hasMet;
    });
  });

  test("end each record once, for one reason", async () => {
    await untilMet(async () => {
      const records = newRecords(KEYS);
      await createAll(stage.store, records);
      const { answers, hasMet } = await stage.play<string[][]>(both({ game: "delete", records, callers: CALLERS }));
      const winners = onlyWinners(answers);
      expect(await foundOf(stage.store, records)).toEqual(winners.map((reason) => `ended: ${reason}`));
      return hasMet;
    });
  });

  test("update nothing that the other has ended", async () => {
    await untilMet(async () => {
      const records = newRecords(KEYS);
      await createAll(stage.store, records);
      const { answers } = await stage.play<Outlived[]>([
        { game: "outlive", records, endsAfter: 5 },
        { game: "outlive", records, endsAfter: null },
      ]);
      const [enders, others] = answers;
      for (const [key, { wasLive, endedAt }] of enders.entries()) {
        expect(wasLive).toBe(true);
        expect(others[key]!.lastBegunAt).toBeLessThan(endedAt!);
      }
      expect(new Set(await foundOf(stage.store, records))).toEqual(new Set(["ended: logout"]));
      // Of a record that the other never updated, nothing was learnt.
      return others.filter(({ updates }) => updates > 0).length > 1;
    });
  });

  test("lose none of 200 conditional increments each", async () => {
    await untilMet(async () => {
      const records = newRecords(1);
      await createAll(stage.store, records);
      const { answers } = await stage.play<number>(both({ game: "increment", records, times: 200 }));
      expect(await foundOf(stage.store, records)).toEqual(["401: 400"]);
      return sum(answers) > 0;
    });
  });

  if (variant.abilities.has("admission")) {
    test.each([
      ["reject", "refused"],
      ["reuse", "reused"],
      ["evict-oldest", "created"],
      ["evict-idle", "created"],
    ] as const)("let no more than three of forty in, with %s", async (onLimit, atLimit) => {
      await untilMet(async () => {
        const owners = newRecords(2);
        const rules: AdmissionRules = { perOwner: 3, total: null, onLimit, replacing: null };
        const { said, mostSeen, hasMet } = await playAdmissions(stage, owners, rules);
        expect(mostSeen).toBeLessThanOrEqual(3);
        for (const owned of owners) {
          const own = said.filter(({ owner }) => owner === owned.owner);
          await checkOwner(stage.store, owned, own, atLimit);
        }
        return hasMet;
      });
    });

    test("let no more in than there may be in all", async () => {
      await untilMet(async () => {
        const owners = newRecords(2);
        const rules: AdmissionRules = { perOwner: null, total: 20, onLimit: "reject", replacing: null };
        const { said, mostSeen, hasMet } = await playAdmissions(stage, owners, rules);
        expect(mostSeen).toBeLessThanOrEqual(20);
        expect(said.filter(({ status }) => status === "created")).toHaveLength(20);
        expect(said.filter(({ limit }) => limit === "total")).toHaveLength(80 - 20);
        return hasMet;
      });
    });
  }

  if (variant.abilities.has("lock")) {
    test("hold a lock one at a time, with a greater fence each time", async () => {
      await untilMet(async () => {
        const records = newRecords(1);
        await createAll(stage.store, records);
        const orders = { game: "lock", records, lock: newLock(records[0]!), times: 40 };
        const { answers, hasMet } = await stage.play<Held[]>(both(orders));
        const held = answers.flat().toSorted((a, b) => a.count - b.count);
        expect(held.map(({ answer }) => answer)).toEqual(held.map(() => "updated"));
        expect(held.map(({ count }) => count)).toEqual(Array.from({ length: 80 }, (_, index) => index + 1));
        const fences = held.map(({ fence }) => fence);
        expect(fences).toEqual([...new Set(fences)].toSorted((a, b) => a - b));
        return hasMet;
      });
    });
  }

  if (variant.abilities.has("lock")) {
    test("write nothing under a lock that the other does not find when it takes over", async () => {
      await untilMet(async () => {
        const records = newRecords(1);
        await createAll(stage.store, records);
        const orders = { game: "takeOver", records, lock: newLock(records[0]!), lease: 20, times: 10 };
        const { answers, hasMet } = await stage.play<Written[]>(both(orders));
        const all = answers.flat();
        expect(all.map(({ last }) => last)).toEqual(all.map(() => "lost"));
        const updates = sum(all.map(({ updated }) => updated));
        expect(await foundOf(stage.store, records)).toEqual([expect.stringMatching(`^${updates + 1}: `)]);
        return hasMet && answers.every((one) => one.some(({ updated }) => updated > 0));
      });
    });
  }

  if (variant.abilities.has("prune")) {
    test("prune each record once", async () => {
      await untilMet(async () => {
        const garbage = newRecords(200, 60_000);
        await createAll(stage.store, garbage);
        const orders = { game: "prune", before: Date.now() + 120_000, limit: 7 };
        const { answers, hasMet } = await stage.play<number>(both(orders));
        expect(sum(answers)).toBe(200);
        expect(new Set(await foundOf(stage.store, garbage))).toEqual(new Set([null]));
        return hasMet && Math.min(...answers) > 0;
      });
    });
  }
});
