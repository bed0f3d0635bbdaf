/** Entries grouped by the minute of their deadline, so that removing garbage never looks at what lives on. */

const BUCKET_MS = 60_000;

/** An entry that can be filed. `bucket` belongs to the buckets: null until filed. */
export interface Filed {
  readonly entry: { readonly deadline: number };
  bucket: number | null;
}

/** Files entries by deadline. */
export interface DeadlineBuckets<F extends Filed> {
  /** Files an entry, or files it anew after its deadline moved. */
  file(filed: F): void;
  /** Takes an entry out. */
  drop(filed: F): void;
  /** Visits entries with `deadline <= before`, oldest minute first; an entry may be dropped while it is visited. */
  due(before: number): Generator<F>;
}

/** Makes empty buckets. */
export function deadlineBuckets<F extends Filed>(): DeadlineBuckets<F> {
  const buckets = new Map<number, Set<F>>();

  function drop(filed: F): void {
    if (filed.bucket === null) return;
    const bucket = buckets.get(filed.bucket);
    bucket?.delete(filed);
    if (bucket?.size === 0) buckets.delete(filed.bucket);
    filed.bucket = null;
  }

  return {
    file(filed) {
      const number = Math.floor(filed.entry.deadline / BUCKET_MS);
      if (number === filed.bucket) return;
      drop(filed);
      const bucket = buckets.get(number);
      if (bucket) bucket.add(filed);
      else buckets.set(number, new Set([filed]));
      filed.bucket = number;
    },

    drop,

    *due(before) {
      const last = Math.floor(before / BUCKET_MS);
      const numbers = [...buckets.keys()].filter((number) => number <= last).toSorted((a, b) => a - b);
      for (const number of numbers) {
        for (const filed of buckets.get(number) ?? []) {
          // Only in the last bucket can this differ: the others are wholly in the past.
          if (filed.entry.deadline <= before) yield filed;
        }
      }
    },
  };
}
