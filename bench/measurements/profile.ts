/** Where the time of a read goes. */
import type { Measurement } from "../bench.ts";
import { nameOf } from "../candidates/candidate.ts";
import type { Table } from "../report.ts";

/** Only where it is asked for by name: it is no comparison. */
export const profile: Measurement = {
  name: "profile",
  what: "the functions that take most of a read and a write of Symbolon, by V8's profiler (only when asked for)",

  async run(bench) {
    const milliseconds = bench.pick({ full: 5000, quick: 1500, tiny: 50 });
    const tables: Table[] = [];
    for (const candidate of bench.candidates) {
      if (candidate.library !== "Symbolon" || candidate.place !== "memory" || candidate.variant !== undefined) continue;
      const process = await bench.processOf(candidate);
      for (const path of ["/read", "/write"] as const) {
        await process.ask("warmUp", path, 64, 20_000, milliseconds);
        const { functions, files } = await process.ask("profile", path, milliseconds);
        for (const [what, hottest] of Object.entries({ function: functions, file: files })) {
          tables.push({
            title: `${nameOf(candidate)}, ${path.slice(1)}`,
            columns: [what, "% of its own"],
            rows: hottest.map(({ where, share }) => [where, share]),
          });
        }
      }
    }
    return {
      about: "Requests without a network, as for `overhead`; the framework and Node are in it. Idle time is left out.",
      tables,
    };
  },
};
