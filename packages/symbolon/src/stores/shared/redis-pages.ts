/** Pages of lists, and of everything, out of the buckets. */
import {
  isTombstone,
  type PageRequest,
  type RecordPage,
  type ReplicaPage,
  type StoreCall,
  type StoredRecord,
  type Tombstone,
} from "../../core/store.ts";
import { decodeCursor, encodeCursor, type Position } from "./cursor.ts";
import { listOf, type RedisCalls, textsOf } from "./redis-calls.ts";
import { decodeEntry, instant, type Listed, type Named, ofMember, ofReference, plain } from "./redis-entry.ts";
import { BUCKETS, type RedisKeys } from "./redis-keys.ts";
import { PAGE } from "./redis-scripts.ts";

/** Every bucket. */
export const EVERY_BUCKET: readonly number[] = Array.from({ length: BUCKETS }, (_, bucket) => bucket);

/** The members of one bucket that are still to come, newest first. */
interface Stream {
  readonly bucket: number;
  /** Where the next ones start: a bound of ZREVRANGEBYLEX. */
  top: string;
  isEmpty: boolean;
  waiting: (Listed & { readonly bucket: number })[];
}

/** Where pages come from. */
export interface RedisPages {
  /** Live records with an owner whose members begin with the prefix: two commands when they are in one bucket. */
  list(buckets: readonly number[], prefix: string, page: PageRequest, call: StoreCall): Promise<RecordPage>;
  /** Records and tombstones, bucket by bucket and by deadline. */
  scan(page: PageRequest, call: StoreCall): Promise<ReplicaPage>;
}

/** Pages of what lies under the keys. */
export function redisPages(calls: RedisCalls, keys: RedisKeys): RedisPages {
  /** Entries in the order of their names; null for those that are not there. */
  async function entriesOf(bucket: number, named: readonly Named[], call: StoreCall) {
    if (named.length === 0) return [];
    const names = named.map((name) => keys.recordNamed(bucket, name));
    const found = listOf(await calls.read(keys.index(bucket), ["MGET", ...names], call));
    return found.map((bytes) => (bytes instanceof Buffer ? decodeEntry(bytes) : null));
  }

  async function fill(stream: Stream, prefix: string, howMany: number, call: StoreCall): Promise<void> {
    const index = keys.index(stream.bucket);
    const range = [stream.top, `[${prefix}`, "LIMIT", "0", `${howMany}`];
    const members = textsOf(await calls.read(index, ["ZREVRANGEBYLEX", index, ...range], call));
    stream.waiting = members.map((member) => ({ ...ofMember(member), bucket: stream.bucket }));
    stream.top = `(${members.at(-1) ?? ""}`;
    stream.isEmpty = members.length < howMany;
  }

  /** The newest of all streams, in order. */
  async function take(streams: readonly Stream[], prefix: string, howMany: number, chunk: number, call: StoreCall) {
    const taken: Stream["waiting"] = [];
    while (taken.length < howMany) {
      const dry = streams.filter(({ waiting, isEmpty }) => waiting.length === 0 && !isEmpty);
      await Promise.all(dry.map((stream) => fill(stream, prefix, chunk, call)));
      const next = newestOf(streams)?.waiting.shift();
      if (next === undefined) break;
      taken.push(next);
    }
    return taken;
  }

  async function recordsOf(listed: Stream["waiting"], call: StoreCall): Promise<StoredRecord[]> {
    const byBucket = new Map<number, Stream["waiting"]>();
    for (const one of listed) byBucket.set(one.bucket, [...(byBucket.get(one.bucket) ?? []), one]);
    const found = new Map<Listed, StoredRecord | Tombstone | null>();
    await Promise.all(
      [...byBucket].map(async ([bucket, ofBucket]) => {
        const entries = await entriesOf(bucket, ofBucket, call);
        for (const [place, one] of ofBucket.entries()) found.set(one, entries[place] ?? null);
      }),
    );
    return listed.flatMap((one) => {
      const entry = found.get(one) ?? null;
      return entry !== null && !isTombstone(entry) && entry.deadline > call.now ? [entry] : [];
    });
  }

  return {
    async list(buckets, prefix, { cursor, limit }, call) {
      const after = cursor === null ? null : decodeCursor(cursor);
      if (cursor !== null && after === null) return { records: [], cursor: null };
      const top = topOf(prefix, after);
      const streams = buckets.map((bucket): Stream => ({ bucket, top, isEmpty: false, waiting: [] }));
      const chunk = Math.min(limit + 1, Math.max(8, Math.ceil((2 * limit) / buckets.length)));
      const records: StoredRecord[] = [];
      while (records.length <= limit) {
        const listed = await take(streams, prefix, limit + 1 - records.length, chunk, call);
        if (listed.length === 0) break;
        records.push(...(await recordsOf(listed, call)));
      }
      const last = records.length > limit ? records[limit - 1] : undefined;
      return { records: records.slice(0, limit), cursor: last ? encodeCursor(last) : null };
    },

    async scan({ cursor, limit }, call) {
      const entries: (StoredRecord | Tombstone)[] = [];
      const after = cursor === null ? { createdAt: 0, lookup: FIRST } : decodeCursor(cursor);
      if (after === null) return { entries, cursor: null };
      let { createdAt: bucket, lookup: place } = after;
      while (bucket < BUCKETS) {
        const wanted = limit - entries.length;
        if (wanted === 0) return { entries, cursor: encodeCursor({ createdAt: bucket, lookup: place }) };
        const [deadline = "", reference = ""] = place.split(" ");
        const page = textsOf(await calls.query(PAGE, [keys.expiry(bucket)], [deadline, reference, `${wanted}`], call));
        const references = page.filter((_, index) => index % 2 === 0);
        for (const entry of await entriesOf(bucket, references.map(ofReference), call)) if (entry) entries.push(entry);
        if (references.length < wanted) [bucket, place] = [bucket + 1, FIRST];
        else place = `${page.at(-1)} ${page.at(-2)}`;
      }
      return { entries, cursor: null };
    },
  };
}

/** Before the first entry of a bucket: a deadline and a reference. */
const FIRST = "-inf ";

function topOf(prefix: string, after: Position | null): string {
  if (after === null) return `(${prefix.slice(0, -1)}/`;
  return `(${prefix}${instant(after.createdAt)}.${plain(after.lookup)}`;
}

function newestOf(streams: readonly Stream[]): Stream | undefined {
  let newest: Stream | undefined;
  for (const stream of streams) {
    const next = stream.waiting[0];
    if (next !== undefined && (newest === undefined || next.order > (newest.waiting[0]?.order ?? ""))) newest = stream;
  }
  return newest;
}
