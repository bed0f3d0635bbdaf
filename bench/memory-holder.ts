/** The process of one holder of sessions: fills it, and answers by message what it takes. */
import { fillOf, type Holder } from "./memory-holders.ts";

/** By session, in bytes. */
export interface Holding {
  readonly heap: number;
  readonly external: number;
  readonly resident: number;
  /** Of a full collection, while all are held. */
  readonly collectionMs: number;
}

const [, , name, count] = process.argv;
const size = Number(count);
const fill = fillOf(name as Holder);
// What is made once for all is not a session's.
await fill(0);
const before = taken();
for (let index = 1; index <= size; index++) await fill(index);
const after = taken();
const collectionMs = Math.min(...Array.from({ length: 3 }, collect));
const each = (what: "heap" | "external" | "resident"): number => (after[what] - before[what]) / size;
const answer: Holding = {
  heap: each("heap"),
  external: each("external"),
  resident: each("resident"),
  collectionMs,
};
process.send?.(answer);
process.disconnect();
// Held until here.
void fill(0);

function taken(): Record<"heap" | "external" | "resident", number> {
  collect();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed, external, resident: rss };
}

function collect(): number {
  const started = performance.now();
  globalThis.gc?.();
  return performance.now() - started;
}
