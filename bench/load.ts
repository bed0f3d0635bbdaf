/** The process of the load generator: a message says what to send where, and its answer what came of it. */
import autocannon from "autocannon";
import { type Path, ROUTES } from "./candidates/candidate.ts";
import { headersOf } from "./in-process.ts";

export interface Load {
  readonly port: number;
  /** One connection each. */
  readonly cookies: readonly string[];
  /** Sent in turn. */
  readonly paths: readonly Path[];
  readonly seconds: number;
}

export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  /** Requests a second. */
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}

process.on("message", (load: Load) => void run(load).then((result) => process.send?.(result)));
process.once("disconnect", () => process.exit());

async function run({ port, cookies, paths, seconds }: Load): Promise<LoadResult> {
  const requestsOf = (cookie: string): object[] =>
    paths.map((path) => ({ method: ROUTES[path], path, headers: headersOf(cookie) }));
  let clients = 0;
  const result = await autocannon({
    url: `http://127.0.0.1:${port}`,
    connections: cookies.length,
    duration: seconds,
    // It ends at the end of one of these.
    sampleInt: Math.min(1000, seconds * 500),
    // Headers alone would be set for the first of the requests only.
    setupClient: (client) => client.setRequests(requestsOf(cookies[clients++ % cookies.length] ?? "")),
    verifyBody: (body) => body.includes("ok"),
  });
  return {
    requests: result["2xx"] + result.non2xx,
    failed: result.non2xx + result.errors + result.mismatches,
    rate: result["2xx"] / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
  };
}
