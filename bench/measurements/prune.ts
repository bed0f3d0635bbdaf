/** What pruning costs, by how many sessions live and by how many have expired. */
import { createSessionManager, generateKey, type SessionManager } from "symbolon";
import { type ManualClock, manualClock } from "symbolon/testing";
import type { Bench, Measurement } from "../bench.ts";
import { type Case, type Effort, measure, medianOf, medianRatio, type Samples, wallCost } from "../measure.ts";
import { type Budget, budget, type Cell, type Curve } from "../report.ts";
import { openStore, type StoreName } from "../stores.ts";
import { times } from "../times.ts";

/** Redis forgets by itself. */
const STORES: readonly StoreName[] = ["memory", "PostgreSQL"];

/** One storage with so many that live, out of which so many that have expired are pruned each time. */
interface Load {
  readonly live: number;
  readonly expired: number;
}

export const prune: Measurement = {
  name: "prune",
  what: "time to prune, by live and by expired sessions",

  async run(bench) {
    const live = bench.pick({ full: [1000, 10_000, 100_000], quick: [500, 5000], tiny: [20, 40] });
    const expired = bench.pick({ full: [100, 1000, 10_000], quick: [100, 500], tiny: [5, 10] });
    const effort: Effort = { rounds: bench.pick({ full: 7, quick: 3, tiny: 1 }), operations: 1, sampleMs: 0 };
    const [fixedLive = 0, fixedExpired = 0] = [live[0], expired[1]];
    const byLive = live.map((count): Load => ({ live: count, expired: fixedExpired }));
    const byExpired = expired.map((count): Load => ({ live: fixedLive, expired: count }));
    const loads = [...byLive, ...byExpired.filter((load) => load.expired !== fixedExpired)];
    const rows: Cell[][] = [];
    const budgets: Budget[] = [];
    const curves: Record<"live" | "expired", Curve[]> = { live: [], expired: [] };
    for (const store of STORES) {
      const samples = await measureStore(store, loads, effort, bench);
      const base = nameOf(byLive[0] ?? { live: 0, expired: 0 });
      for (const load of loads) {
        const time = medianOf(samples, nameOf(load));
        rows.push([store, load.live, load.expired, time / 1000, medianRatio(samples, nameOf(load), base)]);
      }
      const least = nameOf(byExpired[0] ?? { live: 0, expired: 0 });
      const ratio = (load: Load, by: string): number => medianRatio(samples, nameOf(load), by);
      curves.live.push({ name: store, points: byLive.map((load) => [load.live, ratio(load, base)]) });
      curves.expired.push({ name: store, points: byExpired.map((load) => [load.expired, ratio(load, least)]) });
      const [few, many] = [byLive[0], byLive.at(-1)];
      if (few !== undefined && many !== undefined) {
        const name = `pruning ${fixedExpired} beside ${many.live} that live, by beside ${few.live}, ${store}`;
        budgets.push(budget(name, 2, ratio(many, nameOf(few))));
      }
    }
    return {
      about:
        `sessions.prune() until nothing is left to prune; time, waiting included, medians of ${effort.rounds} interleaved rounds. ` +
        `"ratio" is to the first line of the store. Redis is not here: it forgets by itself.`,
      tables: [{ title: "Pruning", columns: ["store", "live", "expired", "ms", "ratio"], rows }],
      budgets,
      plots: [
        {
          name: "prune-live",
          title: `Pruning ${fixedExpired} expired sessions, by sessions that live`,
          x: "sessions that live",
          y: `times as long as beside ${fixedLive}`,
          curves: curves.live,
        },
        {
          name: "prune-expired",
          title: `Pruning beside ${fixedLive} sessions that live, by sessions that have expired`,
          x: "sessions that have expired",
          y: `times as long as ${expired[0]}`,
          curves: curves.expired,
        },
      ],
    };
  },
};

async function measureStore(name: StoreName, loads: readonly Load[], effort: Effort, bench: Bench): Promise<Samples> {
  const opened = [];
  const cases: Case[] = [];
  for (const load of loads) {
    const { store, close } = await openStore(name, bench);
    opened.push(close);
    const clock = manualClock(Date.now());
    const sessions = createSessionManager({ store, keys: [generateKey()], pruneEvery: false, clock });
    await times(8, load.live, (index) => sessions.create({ userId: `user-${index}`, lifetime: LONG }));
    cases.push({
      name: nameOf(load),
      async sample() {
        await expire(sessions, load.expired, clock);
        let pruned = 0;
        const cost = await wallCost({ run: async () => void (pruned = await sessions.prune()) }, effort);
        if (pruned !== load.expired)
          throw new Error(`${pruned} sessions were pruned where ${load.expired} had expired.`);
        return cost;
      },
    });
  }
  const samples = await measure(cases, effort);
  for (const close of opened) await close();
  return samples;
}

const LONG = { idle: "30d", absolute: "60d" } as const;
const SHORT = { idle: "1m", absolute: "1m" } as const;
/** The deadline, the slack that expired records are kept for, and the coarseness of the indexes. */
const UNTIL_PRUNED_MS = 20 * 60_000;

async function expire(sessions: SessionManager, count: number, clock: ManualClock): Promise<void> {
  await times(8, count, (index) => sessions.create({ userId: `guest-${index}`, lifetime: SHORT }));
  clock.advance(UNTIL_PRUNED_MS);
}

function nameOf({ live, expired }: Load): string {
  return `${expired} beside ${live}`;
}
