/** Whether parallel increments of one session all arrive. */
import type { Measurement } from "../bench.ts";
import { nameOf } from "../candidates/candidate.ts";
import { median } from "../measure.ts";
import { budget } from "../report.ts";

export const lostUpdates: Measurement = {
  name: "lost-updates",
  what: "200 parallel increments of one session, for every candidate",

  async run(bench) {
    const times = bench.pick({ full: 200, quick: 200, tiny: 20 });
    const runs = bench.pick({ full: 5, quick: 1, tiny: 1 });
    const rows: [string, string, number, number, string][] = [];
    for (const candidate of bench.candidates) {
      if (candidate.place === "nowhere") continue;
      const process = await bench.processOf(candidate);
      for (const [path, way] of waysOf(candidate.library)) {
        const counts: number[] = [];
        for (let run = 0; run < runs; run++) counts.push(await process.ask("race", path, times));
        const count = median(counts);
        rows.push([nameOf(candidate), way, times, count, `${Math.round((1 - count / times) * 100)} %`]);
      }
    }
    const updates = rows.filter(([name, way]) => way === UPDATE && !name.includes("(cookie"));
    const lost = updates.map(([, , sent, count]) => sent - count);
    return {
      about:
        `${times} requests with the same cookie are all under way at once, and each adds one to a number in the session; ` +
        "the count is what the browser sees afterwards, with the cookies of all responses in the order in which they " +
        `came. Median of ${runs}. No peer has another way than to assign; Symbolon documents session.update for a change that ` +
        "builds on what was there, and merges plain assignments by path: the later of two to the same value wins.",
      tables: [{ title: "Increments", columns: ["candidate", "how", "sent", "count", "lost"], rows }],
      budgets: [budget(`most increments that ${UPDATE} loses in a store`, 0, Math.max(...lost))],
    };
  },
};

const UPDATE = "session.update";

function waysOf(library: string): readonly (readonly ["/write" | "/update", string])[] {
  const plain = ["/write", "assigned"] as const;
  return library === "Symbolon" ? [plain, ["/update", UPDATE]] : [plain];
}
