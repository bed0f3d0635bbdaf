/** Where this process spends its time, by V8's sampling profiler. */
import { Session } from "node:inspector/promises";
import type { Hot } from "./orders.ts";

/** Functions shown. */
const MOST = 25;

/** Runs the work under the profiler; the functions whose own code took the most of it. */
export async function profile(work: () => Promise<unknown>): Promise<readonly Hot[]> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
  await work();
  const { profile: taken } = await session.post("Profiler.stop");
  session.disconnect();
  const hits = new Map<string, number>();
  for (const { callFrame, hitCount = 0 } of taken.nodes) {
    if (callFrame.functionName === "(idle)") continue;
    const where = nameOf(callFrame);
    hits.set(where, (hits.get(where) ?? 0) + hitCount);
  }
  const all = [...hits.values()].reduce((sum, count) => sum + count, 0);
  const hottest = [...hits].toSorted(([, a], [, b]) => b - a).slice(0, MOST);
  return hottest.map(([where, count]) => ({ where, share: (count / all) * 100 }));
}

function nameOf({ functionName, url, lineNumber }: { functionName: string; url: string; lineNumber: number }): string {
  const name = functionName === "" ? "(anonymous)" : functionName;
  if (url === "") return name;
  const file =
    /(?:node_modules|packages)\/(?<path>.+)$/.exec(url)?.groups?.["path"] ?? url.replace(/^.*\/bench\//, "bench/");
  return `${name} ${file}:${lineNumber + 1}`;
}
