/** Requests over the loopback, from a load generator in a process of its own. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Bench, Measurement } from "../bench.ts";
import { type Candidate, nameOf } from "../candidates/candidate.ts";
import { CANDIDATES } from "../candidates/index.ts";
import { interleave, median } from "../measure.ts";
import type { Cell, Table } from "../report.ts";
import type { Load, LoadResult } from "../load.ts";

const LOAD = fileURLToPath(new URL("../load.js", import.meta.url));
const CONNECTIONS = 32;

interface Result extends LoadResult {
  /** CPU microseconds of the server's process for one request. */
  readonly cpu: number;
}

export const http: Measurement = {
  name: "http",
  what: "requests a second and CPU time over HTTP on the loopback, read-only, and with writes",

  async run(bench) {
    const rounds = bench.pick({ full: 5, quick: 1, tiny: 1 });
    const seconds = bench.pick({ full: 2, quick: 0.3, tiny: 0.1 });
    const candidates = CANDIDATES.filter(
      ({ place, framework }) =>
        bench.size === "full" || (place !== "cookie" && (bench.size === "quick" || framework === "Koa")),
    );
    const tables: Table[] = [];
    for (const mix of ["read", "read and write"] as const) {
      const results = await serveAll(bench, candidates, mix, rounds, seconds);
      tables.push({
        title: mix === "read" ? "Reads only" : "Three reads, then a write",
        columns: ["candidate", "requests/s", "by bare", "CPU us", "CPU by bare", "p50 ms", "p99 ms"],
        rows: candidates.map((candidate) => rowOf(candidate, results)),
      });
    }
    return {
      about:
        `autocannon in a process of its own, ${CONNECTIONS} connections with a session each, ${seconds} s a sample, medians of ` +
        `${rounds} interleaved rounds; "by bare" is taken inside one round. The server, the generator and a Redis share ` +
        "the machine's cores, so the CPU time of the server's process tells more than the requests a second. Cookies " +
        `that responses set are not followed.${bench.size === "full" ? "" : " Sessions in cookies are left out."}`,
      tables,
    };
  },
};

async function serveAll(
  bench: Bench,
  candidates: readonly Candidate[],
  mix: "read" | "read and write",
  rounds: number,
  seconds: number,
): Promise<Map<string, Result[]>> {
  const byName = new Map(candidates.map((candidate) => [nameOf(candidate), candidate]));
  return interleave([...byName.keys()], rounds, rounds > 1 ? 1 : 0, async (name) => {
    const candidate = byName.get(name);
    if (candidate === undefined) throw new Error(`There is no candidate called ${name}.`);
    const process = await bench.processOf(candidate);
    const { port, cookies } = await process.ask("listen", CONNECTIONS);
    const paths = mix === "read" ? (["/read"] as const) : (["/read", "/read", "/read", "/write"] as const);
    const before = await process.ask("cpu");
    const result = await runLoad({ port, cookies, paths, seconds });
    const spent = (await process.ask("cpu")) - before;
    await process.ask("stopListening");
    return { ...result, cpu: spent / result.requests };
  });
}

async function runLoad(load: Load): Promise<LoadResult> {
  const child = fork(LOAD, [JSON.stringify(load)]);
  const [result] = (await once(child, "message")) as [LoadResult];
  if (child.exitCode === null) await once(child, "exit");
  if (result.failed > 0) throw new Error(`${result.failed} of ${result.requests} requests failed.`);
  return result;
}

function rowOf(candidate: Candidate, results: ReadonlyMap<string, readonly Result[]>): Cell[] {
  const own = results.get(nameOf(candidate)) ?? [];
  const bare = results.get(nameOf({ library: "bare", framework: candidate.framework, place: "nowhere" })) ?? [];
  const middle = (of: (result: Result) => number): number => median(own.map(of));
  const byBare = (of: (result: Result) => number): number =>
    median(own.map((result, round) => of(result) / (bare[round] === undefined ? Number.NaN : of(bare[round]))));
  return [
    nameOf(candidate),
    middle(({ rate }) => rate),
    byBare(({ rate }) => rate),
    middle(({ cpu }) => cpu),
    byBare(({ cpu }) => cpu),
    middle(({ p50 }) => p50),
    middle(({ p99 }) => p99),
  ];
}
