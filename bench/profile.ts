/** Where this process spends its time, by V8's sampling profiler. */
import { Session } from "node:inspector/promises";
import type { Hot, Profile } from "./orders.ts";

/** Lines shown. */
const MOST = 25;

interface Frame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
}

/** Runs the work under the profiler; whose own code took the most of it, idle time left out. */
export async function profile(work: () => Promise<unknown>): Promise<Profile> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
  await work();
  const { profile: taken } = await session.post("Profiler.stop");
  session.disconnect();
  const busy = taken.nodes.filter(({ callFrame }) => callFrame.functionName !== "(idle)");
  const hits = busy.map(({ callFrame, hitCount = 0 }) => [callFrame, hitCount] as const);
  return { functions: hottest(hits, nameOf), files: hottest(hits, fileOf) };
}

function hottest(hits: readonly (readonly [Frame, number])[], placeOf: (frame: Frame) => string): readonly Hot[] {
  const byPlace = new Map<string, number>();
  for (const [frame, count] of hits) byPlace.set(placeOf(frame), (byPlace.get(placeOf(frame)) ?? 0) + count);
  const all = hits.reduce((sum, [, count]) => sum + count, 0);
  return [...byPlace]
    .toSorted(([, one], [, other]) => other - one)
    .slice(0, MOST)
    .map(([where, count]) => ({ where, share: (count / all) * 100 }));
}

function nameOf(frame: Frame): string {
  const name = frame.functionName === "" ? "(anonymous)" : frame.functionName;
  return frame.url === "" ? name : `${name} ${fileOf(frame)}:${frame.lineNumber + 1}`;
}

function fileOf({ functionName, url }: Frame): string {
  if (url === "") return functionName === "(garbage collector)" ? functionName : "(native)";
  return url.replace(/^.*\/(?:node_modules|packages)\//, "").replace(/^.*\/bench\//, "bench/");
}
