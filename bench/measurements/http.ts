/** Requests over the loopback, from a load generator in a process of its own. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Measurement } from "../bench.ts";
import type { CandidateProcess } from "../candidate-process.ts";
import { type Candidate, nameOf } from "../candidates/candidate.ts";
import { interleave, median } from "../measure.ts";
import type { Cell, Table } from "../report.ts";
import type { Load, LoadResult } from "../load.ts";

const LOAD = fileURLToPath(new URL("../load.js", import.meta.url));
const CONNECTIONS = 32;

const MIXES = ["Reads only", "Three reads, then a write"] as const;
type Mix = (typeof MIXES)[number];
const PATHS: Readonly<Record<Mix, Load["paths"]>> = {
  "Reads only": ["/read"],
  "Three reads, then a write": ["/read", "/read", "/read", "/write"],
};

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
    // Each costs the quick run half a second.
    const candidates = bench.candidates.filter(
      ({ place, library }) => bench.size === "full" || (place !== "cookie" && library !== "bare again"),
    );
    const byName = new Map(candidates.map((candidate) => [nameOf(candidate), candidate]));
    const tables: Table[] = [];
    const generator = fork(LOAD);
    for (const mix of MIXES) {
      const results = await interleave([...byName], rounds, rounds > 1 ? 1 : 0, async (candidate) =>
        loadOne(await bench.processOf(candidate), generator, mix, seconds),
      );
      tables.push({
        title: mix,
        columns: ["candidate", "requests/s", "by bare", "CPU us", "CPU by bare", "p50 ms", "p99 ms"],
        rows: candidates.map((candidate) => rowOf(candidate, results)),
      });
    }
    generator.disconnect();
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

async function loadOne(
  candidate: CandidateProcess,
  generator: ChildProcess,
  mix: Mix,
  seconds: number,
): Promise<Result> {
  const { port, cookies } = await candidate.ask("listen", CONNECTIONS);
  const before = await candidate.ask("cpu");
  const result = await runLoad(generator, { port, cookies, paths: PATHS[mix], seconds });
  const spent = (await candidate.ask("cpu")) - before;
  await candidate.ask("stopListening");
  return { ...result, cpu: spent / result.requests };
}

async function runLoad(generator: ChildProcess, load: Load): Promise<LoadResult> {
  generator.send(load);
  const [result] = (await once(generator, "message")) as [LoadResult];
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
