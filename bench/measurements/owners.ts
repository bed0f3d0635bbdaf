/** What it costs to list and count the sessions of one user, by how many there are. */
import { createSessionManager, generateKey } from "symbolon";
import type { Bench, Measurement } from "../bench.ts";
import { type Case, type Effort, measure, medianOf, medianRatio, type Samples, wallCost } from "../measure.ts";
import { budget, type Cell, type Curve } from "../report.ts";
import { openStore, STORES, type StoreName } from "../stores.ts";
import { times } from "../times.ts";

const DEEDS = ["list", "count"] as const;
/** Of a page, by default. */
const PAGE = 50;

export const owners: Measurement = {
  name: "owners",
  what: "time to list the first page and to count, by sessions of the user",

  async run(bench) {
    const sizes = bench.pick({ full: [1, 10, 100, 1000, 10_000], quick: [1, 10, 100, 1000], tiny: [1, 20] });
    const effort = bench.pick<Effort>({
      full: { rounds: 15, operations: 10, sampleMs: 20 },
      quick: { rounds: 3, operations: 5, sampleMs: 5 },
      tiny: { rounds: 1, warmUps: 0, operations: 1, sampleMs: 0 },
    });
    const rows: Cell[][] = [];
    const curves = new Map<string, Curve[]>(DEEDS.map((deed) => [deed, []]));
    const budgets = [];
    for (const store of STORES) {
      const samples = await measureStore(store, sizes, effort, bench);
      for (const deed of DEEDS) {
        const [least = 0] = sizes;
        const base = nameOf(deed, least);
        const ratio = (size: number): number => medianRatio(samples, nameOf(deed, size), base);
        rows.push([store, deed, medianOf(samples, base), ...sizes.map(ratio)]);
        curves.get(deed)?.push({ name: store, points: sizes.map((size) => [size, ratio(size)]) });
      }
      // A page is a page: what is behind it has no part in it.
      const [full, most] = [sizes.find((size) => size >= PAGE), sizes.at(-1)];
      if (full !== undefined && most !== undefined && most > full) {
        const name = `the first page of ${most} sessions, by that of ${full}, ${store}`;
        budgets.push(budget(name, 2, medianRatio(samples, nameOf("list", most), nameOf("list", full))));
      }
    }
    return {
      about:
        `Time to the answer, waiting included, as a ratio to the time with ${sizes[0]}; medians of ${effort.rounds} interleaved rounds. ` +
        `A page is ${PAGE} sessions, and each has to be opened to be shown; counting opens none.`,
      tables: [
        {
          title: "By sessions of one user",
          columns: ["store", "what", `us with ${sizes[0]}`, ...sizes.map(String)],
          rows,
        },
      ],
      budgets,
      plots: DEEDS.map((deed) => ({
        name: `owners-${deed}`,
        title: `${deed === "list" ? "Listing the first page" : "Counting"}, by sessions of the user`,
        x: "sessions of the user",
        y: "times as long as with one",
        curves: curves.get(deed) ?? [],
      })),
    };
  },
};

async function measureStore(name: StoreName, sizes: readonly number[], effort: Effort, bench: Bench): Promise<Samples> {
  const { store, close } = await openStore(name, bench);
  const sessions = createSessionManager({ store, keys: [generateKey()], pruneEvery: false });
  const cases: Case[] = [];
  for (const size of sizes) {
    const userId = `user-with-${size}`;
    await times(8, size, () => sessions.create({ userId }));
    const deeds = { list: () => sessions.list({ userId }), count: () => sessions.count({ userId }) };
    for (const deed of DEEDS)
      cases.push({ name: nameOf(deed, size), sample: () => wallCost({ run: deeds[deed] }, effort) });
  }
  const samples = await measure(cases, effort);
  await close();
  return samples;
}

function nameOf(deed: string, size: number): string {
  return `${deed} ${size}`;
}
