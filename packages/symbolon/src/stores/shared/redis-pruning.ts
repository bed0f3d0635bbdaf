/** Removing garbage, oldest first, over all buckets. */
import type { StoreCall } from "../../core/store.ts";
import { type RedisCalls, textsOf } from "./redis-calls.ts";
import { ofReference } from "./redis-entry.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { EVERY_BUCKET } from "./redis-pages.ts";
import { DUE, REMOVE } from "./redis-scripts.ts";

interface Due {
  readonly bucket: number;
  readonly reference: string;
  readonly deadline: number;
}

/** Removes at most `limit` entries with `deadline <= before`; answers how many. Costs a command a bucket, and more by what is removed. */
export async function pruneBuckets(
  calls: RedisCalls,
  keys: RedisKeys,
  before: number,
  limit: number,
  call: StoreCall,
): Promise<number> {
  let removed = 0;
  for (;;) {
    const due = await oldestDue(calls, keys, before, limit - removed, call);
    if (due.length === 0) return removed;
    const byBucket = EVERY_BUCKET.map((bucket) => due.filter((one) => one.bucket === bucket));
    const counts = await Promise.all(
      byBucket.map((ofBucket, bucket) => removeDue(calls, keys, bucket, ofBucket, before, call)),
    );
    removed += counts.reduce((sum, count) => sum + count, 0);
    if (removed >= limit) return removed;
  }
}

/** Some of the oldest, and none that is younger than one left out. */
async function oldestDue(
  calls: RedisCalls,
  keys: RedisKeys,
  before: number,
  limit: number,
  call: StoreCall,
): Promise<Due[]> {
  const chunk = Math.min(limit, Math.ceil(limit / 32) + 8);
  const heads = await Promise.all(
    EVERY_BUCKET.map(async (bucket) => {
      const head = textsOf(await calls.query(DUE, [keys.expiry(bucket)], [`${before}`, `${chunk}`], call));
      return head.flatMap((reference, index): Due[] =>
        index % 2 === 0 ? [{ bucket, reference, deadline: Number(head[index + 1]) }] : [],
      );
    }),
  );
  // A bucket that filled its head may hold more from its last deadline on.
  const known = Math.min(
    ...heads.map((head) => (head.length < chunk ? Infinity : (head.at(-1)?.deadline ?? Infinity))),
  );
  const sorted = heads.flat().toSorted((a, b) => a.deadline - b.deadline);
  return sorted.filter(({ deadline }) => deadline <= known).slice(0, limit);
}

async function removeDue(
  calls: RedisCalls,
  keys: RedisKeys,
  bucket: number,
  due: readonly Due[],
  before: number,
  call: StoreCall,
): Promise<number> {
  if (due.length === 0) return 0;
  const records = due.map(({ reference }) => keys.recordNamed(bucket, ofReference(reference)));
  const references = due.map(({ reference }) => reference);
  const words = [`${call.now}`, "", "", `${before}`, ...references];
  return Number(await calls.query(REMOVE, [keys.expiry(bucket), keys.index(bucket), ...records], words, call));
}
