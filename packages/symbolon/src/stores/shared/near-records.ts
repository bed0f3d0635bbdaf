/** The near side of `cached`: records read lately, for as long as they may be used. */
import type { StoredRecord } from "../../core/store.ts";

/** A read in flight; whatever is written meanwhile makes its answer too old to keep. */
export interface Reading {
  readonly lookup: string;
  /** When it began, by the machine's running time, which nobody sets: what it finds may be as old as that. */
  readonly since: number;
  isOutdated: boolean;
}

/** Bounded; the record not used for longest goes first. */
export interface NearRecords {
  /** A copy of the record, if it was read no longer ago than the staleness. */
  find(lookup: string, space: string): StoredRecord | null;
  begin(lookup: string): Reading;
  /** Keeps what was read, unless it was written meanwhile; null for nothing to keep. */
  finish(reading: Reading, record: StoredRecord | null): void;
  forget(lookup: string): void;
  forgetWhere(isMeant: (record: StoredRecord) => boolean): void;
  forgetAll(): void;
}

interface Kept {
  readonly record: StoredRecord;
  readonly since: number;
}

/** A record of more bytes is not kept: ten thousand of them have to fit. */
const MAX_BYTES = 16_384;

/** Makes an empty near side; `staleness` in milliseconds. */
export function nearRecords(maxRecords: number, staleness: number): NearRecords {
  // In the order of their last use, which is the order of a Map in which what is used is put in anew.
  const kept = new Map<string, Kept>();
  const readings = new Set<Reading>();

  function outdate(isMeant: (reading: Reading) => boolean): void {
    for (const reading of readings) if (isMeant(reading)) reading.isOutdated = true;
  }

  return {
    find(lookup, space) {
      const found = kept.get(lookup);
      if (found === undefined || found.record.space !== space) return null;
      kept.delete(lookup);
      if (performance.now() - found.since >= staleness) return null;
      kept.set(lookup, found);
      return copyOf(found.record);
    },

    begin(lookup) {
      const reading = { lookup, since: performance.now(), isOutdated: false };
      readings.add(reading);
      return reading;
    },

    finish(reading, record) {
      readings.delete(reading);
      if (reading.isOutdated || record === null) return;
      if (record.envelope.length + (record.data?.length ?? 0) > MAX_BYTES) return;
      kept.delete(reading.lookup);
      kept.set(reading.lookup, { record: copyOf(record), since: reading.since });
      for (const oldest of kept.keys()) {
        if (kept.size <= maxRecords) break;
        kept.delete(oldest);
      }
    },

    forget(lookup) {
      kept.delete(lookup);
      outdate((reading) => reading.lookup === lookup);
    },

    forgetWhere(isMeant) {
      for (const [lookup, { record }] of kept) if (isMeant(record)) kept.delete(lookup);
      // Nobody knows yet whose record is being read.
      outdate(() => true);
    },

    forgetAll() {
      kept.clear();
      outdate(() => true);
    },
  };
}

function copyOf(record: StoredRecord): StoredRecord {
  return { ...record, envelope: Buffer.from(record.envelope), data: record.data && Buffer.from(record.data) };
}
