/** What a session in memory takes, by how many there are. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Measurement } from "../bench.ts";
import { type Cell, type Curve } from "../report.ts";
import type { Holding } from "../memory-holder.ts";
import { HOLDERS, type Holder } from "../memory-holders.ts";

const PROCESS = fileURLToPath(new URL("../memory-holder.js", import.meta.url));

export const memory: Measurement = {
  name: "memory",
  what: "bytes per session in memory, and the time of a full collection, by sessions",

  async run(bench) {
    const sizes = bench.pick({ full: [10_000, 100_000, 1_000_000], quick: [3000, 10_000], tiny: [200, 400] });
    const rows: Cell[][] = [];
    const curves: Curve[] = [];
    for (const holder of HOLDERS) {
      const points: [number, number][] = [];
      for (const size of sizes) {
        const { heap, external, resident, collectionMs } = await hold(holder, size);
        points.push([size, heap + external]);
        rows.push([holder, size, heap, external, heap + external, resident, collectionMs]);
      }
      curves.push({ name: holder, points });
    }
    const most = sizes.at(-1);
    const bytesOf = (holder: Holder): number => curves.find(({ name }) => name === holder)?.points.at(-1)?.[1] ?? 0;
    return {
      about:
        "Each in a process of its own, which holds so many sessions of 300 bytes and nothing else; bytes are what it holds more " +
        "than before, after a full collection, by sessions. The peer and the floor are filled through their own methods " +
        "with the JSON of the same data; neither keeps an index of users, nor seals anything.",
      tables: [
        {
          title: "Bytes per session",
          columns: ["what", "sessions", "heap", "outside", "both", "resident", "collection ms"],
          rows,
        },
        {
          title: `With ${most} sessions, by the floor`,
          columns: ["what", "ratio"],
          rows: HOLDERS.map((holder) => [holder, bytesOf(holder) / bytesOf("floor: Map of JSON")]),
        },
      ],
      plots: [
        {
          name: "memory",
          title: "Memory per session, by sessions",
          x: "sessions",
          y: "bytes per session",
          curves,
        },
      ],
    };
  },
};

async function hold(holder: Holder, size: number): Promise<Holding> {
  const child = fork(PROCESS, [holder, String(size)], {
    execArgv: ["--expose-gc", "--max-old-space-size=8192"],
  });
  const [holding] = (await once(child, "message")) as [Holding];
  return holding;
}
