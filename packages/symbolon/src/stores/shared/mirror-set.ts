/** The mirrors of `mirrored`: which of them are trusted, how they are written, and how they are made equal again. */
import {
  type Awaitable,
  type Ending,
  isTombstone,
  type RecordKey,
  type ReplicaPage,
  type Replication,
  type Store,
  type StoreCall,
  type StoredRecord,
  type Tombstone,
} from "../../core/store.ts";
import { limitedCall } from "./limited-call.ts";

/** A store that can be a mirror. */
export type MirrorTarget = Store & Replication;

/** A piece of work at one mirror. */
export type MirrorWork<T = unknown> = (mirror: MirrorTarget, call: StoreCall) => Awaitable<T>;

/** Which mirror failed, by its place among `others`, and how. */
export interface MirrorFailure {
  readonly mirror: number;
  readonly error: unknown;
}

type Entry = StoredRecord | Tombstone;

/** Options of `mirrorSet`, all resolved. */
export interface MirrorSetOptions {
  readonly timeout: number;
  readonly clock: { now(): number };
  readonly onFailure: (failure: MirrorFailure) => void;
}

/** Works with one of many entries at a mirror. */
type EntryWork<E, T> = (entry: E, mirror: MirrorTarget, call: StoreCall) => Awaitable<T>;

/** `copying`: written to again, not trusted yet. */
interface Mirror {
  readonly place: number;
  readonly store: MirrorTarget;
  state: "equal" | "failed" | "copying";
}

/** The mirrors of one primary. */
export interface MirrorSet {
  readonly states: () => { readonly failed: boolean }[];
  /** Works at all mirrors that have not failed, and waits for them; what fails there is told, never thrown. */
  readonly atAll: (now: number, work: MirrorWork, onFailure?: "fail" | "report") => Promise<void>;
  /** Brings a mirror to what the primary holds now; when that is nothing, the record ends there too. */
  readonly catchUp: (key: RecordKey, mirror: MirrorTarget, call: StoreCall, ending?: Ending) => Promise<void>;
  /** Copies an entry to a mirror; answers whether it was newer. */
  readonly copy: (entry: Entry, mirror: MirrorTarget, call: StoreCall) => Promise<boolean>;
  readonly failAll: (error: unknown) => void;
  readonly resync: (source: Replication) => Promise<{ readonly copied: number }[]>;
}

const PAGE = 100;

/** Holds the mirrors, all trusted at first; a mirror that fails, or is later than `timeout`, is left alone. */
export function mirrorSet(primary: Store, stores: readonly MirrorTarget[], options: MirrorSetOptions): MirrorSet {
  const { timeout, clock, onFailure } = options;
  const mirrors = stores.map((store, place): Mirror => ({ place, store, state: "equal" }));
  let resynced: Promise<unknown> = Promise.resolve();

  function report({ place }: Mirror, error: unknown): void {
    try {
      onFailure({ mirror: place, error });
    } catch {
      // The primary has the write: a listener must not undo the request.
    }
  }

  function fail(mirror: Mirror, error: unknown): void {
    mirror.state = "failed";
    report(mirror, error);
  }

  /** Works at one mirror within the time; answers null when that failed. */
  async function at<T>(mirror: Mirror, now: number, work: MirrorWork<T>, failed = fail): Promise<T | null> {
    const call = limitedCall(now, timeout);
    try {
      return await Promise.race([work(mirror.store, call), call.late]);
    } catch (error) {
      failed(mirror, error);
      return null;
    } finally {
      call.done();
    }
  }

  /**
   * A mirror cannot note the end of a record that it does not hold yet, so after a record went in, the primary is
   * asked whether it ended meanwhile.
   */
  async function copy(entry: Entry, mirror: MirrorTarget, call: StoreCall): Promise<boolean> {
    const taken = await mirror.apply(entry, call);
    if (!taken || isTombstone(entry)) return taken;
    const current = await primary.read(entry, call);
    if (current !== null && isTombstone(current)) await mirror.apply(current, call);
    return taken;
  }

  /**
   * Ends at a mirror what the primary does not hold. It may not hold it yet: so it is asked again once the mirror has
   * shown a record, which can only have come from there.
   */
  async function endGone(key: RecordKey, mirror: MirrorTarget, call: StoreCall, ending: Ending): Promise<void> {
    const held = await mirror.read(key, call);
    if (held === null || isTombstone(held)) return;
    const current = await primary.read(key, call);
    if (current === null) await mirror.delete(key, ending, call);
    else await copy(current, mirror, call);
  }

  async function atEach<E, T>(mirror: Mirror, entries: readonly E[], work: EntryWork<E, T>): Promise<(T | null)[]> {
    if (mirror.state === "failed") return [];
    return Promise.all(entries.map((entry) => at(mirror, clock.now(), (store, call) => work(entry, store, call))));
  }

  async function copyAll(source: Replication): Promise<{ readonly copied: number }[]> {
    const copied = mirrors.map(() => 0);
    // Before the first page is read: whatever the primary is told from here on, the mirrors are told too.
    for (const mirror of mirrors) if (mirror.state === "failed") mirror.state = "copying";
    try {
      for await (const entries of pages(source, clock)) {
        await Promise.all(
          mirrors.map(async (mirror) => {
            const taken = await atEach(mirror, entries, copy);
            copied[mirror.place] = (copied[mirror.place] ?? 0) + taken.filter((answer) => answer === true).length;
          }),
        );
      }
      await Promise.all(mirrors.map((mirror) => endLeftovers(mirror)));
    } catch (error) {
      for (const mirror of mirrors) if (mirror.state === "copying") mirror.state = "failed";
      throw error;
    }
    for (const mirror of mirrors) if (mirror.state === "copying") mirror.state = "equal";
    return copied.map((count) => ({ copied: count }));
  }

  /** Ends what the primary ended so long ago that it keeps no tombstone: it must not come back with the mirror. */
  async function endLeftovers(mirror: Mirror): Promise<void> {
    if (mirror.state === "failed") return;
    try {
      for await (const entries of pages(mirror.store, clock)) {
        const records = entries.filter((entry) => !isTombstone(entry));
        await atEach(mirror, records, async (record, store, call) => {
          if ((await primary.read(record, call)) === null) await store.delete(record, revokedAt(call.now), call);
        });
      }
    } catch (error) {
      fail(mirror, error);
    }
  }

  return {
    states: () => mirrors.map(({ state }) => ({ failed: state !== "equal" })),

    async atAll(now, work, onFailureHere = "fail") {
      const failed = onFailureHere === "fail" ? fail : report;
      const working = mirrors.filter(({ state }) => state !== "failed");
      await Promise.all(working.map((mirror) => at(mirror, now, work, failed)));
    },

    async catchUp(key, mirror, call, ending = revokedAt(call.now)) {
      const current = await primary.read(key, call);
      if (current !== null) await copy(current, mirror, call);
      else await endGone(key, mirror, call, ending);
    },

    copy,

    failAll(error) {
      for (const mirror of mirrors) if (mirror.state !== "failed") fail(mirror, error);
    },

    resync(source) {
      const run = resynced.then(() => copyAll(source));
      // One at a time: a run must not trust a mirror that failed again and is copied by the next run.
      resynced = run.catch(() => undefined);
      return run;
    },
  };
}

/** For a record that ended at the primary, nobody knows how. */
function revokedAt(now: number): Ending {
  return { reason: "revoked", at: now };
}

async function* pages(store: Replication, clock: { now(): number }): AsyncGenerator<readonly Entry[]> {
  const { signal } = new AbortController();
  let cursor: string | null = null;
  do {
    const page: ReplicaPage = await store.scan({ cursor, limit: PAGE }, { now: clock.now(), signal });
    yield page.entries;
    cursor = page.cursor;
  } while (cursor !== null);
}
