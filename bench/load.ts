/** The process of the load generator; told what to do by its argument, it answers once by message. */
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

const { port, cookies, paths, seconds } = JSON.parse(process.argv[2] ?? "") as Load;
let clients = 0;
const result = await autocannon({
  url: `http://127.0.0.1:${port}`,
  connections: cookies.length,
  duration: seconds,
  // Headers alone would be set for the first of the requests only.
  setupClient: (client) => client.setRequests(requestsOf(cookies[clients++ % cookies.length] ?? "")),
  verifyBody: (body) => body.includes("ok"),
});
const answer: LoadResult = {
  requests: result["2xx"] + result.non2xx,
  failed: result.non2xx + result.errors + result.mismatches,
  rate: result["2xx"] / result.duration,
  p50: result.latency.p50,
  p99: result.latency.p99,
};
process.send?.(answer);
process.disconnect();

function requestsOf(cookie: string): object[] {
  return paths.map((path) => ({ method: ROUTES[path], path, headers: headersOf(cookie) }));
}
