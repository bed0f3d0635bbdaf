/** The records on disk, and the markers by which garbage is found. */
import { dirname, join } from "node:path";
import { isTombstone, type RecordKey, type StoredRecord, type Tombstone } from "../../core/store.ts";
import { decodeEntry, encodeEntry, type FiledEntry } from "./file-format.ts";
import type { FileChange, Held } from "./file-locks.ts";
import {
  expiryBucketOf,
  type Marker,
  markerPath,
  nameOf,
  parseMarker,
  placeOf,
  prefixOf,
  type RecordPlace,
} from "./file-names.ts";
import { codeOf, findFolder, makeFolder, namesIn, readWhole, removeEmptyFolder, removeFile } from "./file-system.ts";

type Entry = StoredRecord | Tombstone;

/** An entry as it is to be, null for none, and as it was. */
export interface EntryChange {
  readonly key: RecordKey;
  readonly before: FiledEntry | null;
  readonly after: Entry | null;
}

/** Files of records. What changes them is called with the lock of their folder held; what reads needs no lock. */
export interface FileRecords {
  find(key: RecordKey): Promise<FiledEntry | null>;
  /** Everything that belongs to a route. */
  ofRoute(folder: string, route: number): Promise<FiledEntry[]>;
  /** Everything in a folder, as it is at one instant or another. */
  inFolder(folder: string): Promise<FiledEntry[]>;
  /** The folders of a space; of all spaces, null. */
  folders(space: string | null): Promise<string[]>;
  /** The file names in a folder. */
  names(folder: string): Promise<string[]>;
  at(place: RecordPlace): Promise<FiledEntry | null>;
  /** Makes all of the changes in one atomic step. */
  change(held: Held, changes: readonly EntryChange[]): Promise<void>;
  /** The markers of records that may be garbage at an instant, oldest first, bucket by bucket. */
  due(before: number): AsyncGenerator<Marker[]>;
  /** Removes what markers of one folder point to if that is garbage; answers how many records and tombstones were. */
  prune(markers: readonly Marker[], before: number): Promise<number>;
}

/** What a file holds: null when it is torn, or a copy of another, and `missing` when it is not there. */
type Found = FiledEntry | null | "missing";

/** So many times a bucket may be removed while something is to be filed in it. */
const FILING_ROUNDS = 10;

/** Files under a root; `torn` is told of each file that is not what was written. */
export function fileRecords(root: string, torn: () => void): FileRecords {
  async function look(place: RecordPlace): Promise<Found> {
    const path = await findFolder(root, `records/${place.folder}`);
    return path === null ? "missing" : lookIn(path, place);
  }

  function entryOf(found: Found): FiledEntry | null {
    if (found === null) torn();
    return found === "missing" ? null : found;
  }

  async function at(place: RecordPlace): Promise<FiledEntry | null> {
    return entryOf(await look(place));
  }

  async function names(folder: string): Promise<string[]> {
    return namesIn(root, `records/${folder}`);
  }

  async function entries(folder: string, files: readonly string[]): Promise<FiledEntry[]> {
    const path = await findFolder(root, `records/${folder}`);
    if (path === null) return [];
    const found = await Promise.all(files.map((file) => lookIn(path, { folder, file })));
    return found.map(entryOf).filter((one) => one !== null);
  }

  async function folders(space: string | null): Promise<string[]> {
    const spaces = space === null ? (await namesIn(root, "records")).toSorted() : [nameOf(space)];
    const found = [];
    for (const name of spaces) {
      const buckets = await namesIn(root, `records/${name}`);
      found.push(...buckets.toSorted().map((bucket) => `${name}/${bucket}`));
    }
    return found;
  }

  async function addMarker(held: Held, marker: Marker): Promise<void> {
    const path = markerPath(marker);
    for (let round = 1; ; round++) {
      await makeFolder(root, dirname(path));
      try {
        return await held.mark(path);
      } catch (error) {
        // Prune removes folders that are empty.
        if (codeOf(error) !== "ENOENT" || round === FILING_ROUNDS) throw error;
      }
    }
  }

  /** What prune would remove in time, should it fail here. */
  async function dropMarker(marker: Marker): Promise<void> {
    await removeFile(join(root, markerPath(marker))).catch(() => {});
  }

  async function change(held: Held, changes: readonly EntryChange[]): Promise<void> {
    const files: FileChange[] = [];
    const left: Marker[] = [];
    for (const { key, before, after } of changes) {
      const place = placeOf(key);
      const filedAt = after && filingOf(before, after);
      if (before !== null && before.filedAt !== filedAt) left.push({ ...place, at: before.filedAt });
      // First the marker: one that points to nothing is found in time, a record without one never would be.
      if (filedAt !== null && before?.filedAt !== filedAt) await addMarker(held, { ...place, at: filedAt });
      await makeFolder(root, `records/${place.folder}`);
      const bytes = after && filedAt !== null ? encodeEntry({ entry: after, filedAt }) : null;
      files.push({ path: `records/${place.folder}/${place.file}`, bytes });
    }
    await held.commit(files);
    for (const marker of left) await dropMarker(marker);
  }

  async function pruneOne(marker: Marker, before: number): Promise<boolean> {
    const found = await look(marker);
    const isRecord = found !== null && found !== "missing" && found.filedAt === marker.at;
    if (isRecord && found.entry.deadline > before) return false;
    if (isRecord || found === null) await removeFile(join(root, "records", marker.folder, marker.file));
    await removeFile(join(root, markerPath(marker)));
    return isRecord;
  }

  return {
    at,
    names,
    folders,
    change,
    find: (key) => at(placeOf(key)),
    inFolder: async (folder) => entries(folder, await names(folder)),

    async ofRoute(folder, route) {
      const prefix = prefixOf(route);
      return entries(
        folder,
        (await names(folder)).filter((name) => name.startsWith(prefix)),
      );
    },

    async *due(before) {
      const last = expiryBucketOf(before);
      const numbers = (await namesIn(root, "expiry")).map(Number).filter((number) => number <= last);
      for (const number of numbers.toSorted((a, b) => a - b)) {
        const folder = `expiry/${number}`;
        const markers = (await namesIn(root, folder)).map(parseMarker).filter((marker) => marker !== null);
        yield markers.filter(({ at: instant }) => instant <= before).toSorted((a, b) => a.at - b.at);
        const path = await findFolder(root, folder);
        if (path !== null) await removeEmptyFolder(path);
      }
    },

    async prune(markers, before) {
      let removed = 0;
      for (const marker of markers) if (await pruneOne(marker, before)) removed++;
      return removed;
    },
  };
}

/** Where the marker is to be: where it was, if that is early enough and in the same bucket. */
function filingOf(before: FiledEntry | null, after: Entry): number {
  const due = Math.floor(after.deadline);
  const stays = before && before.filedAt <= due && expiryBucketOf(before.filedAt) === expiryBucketOf(due);
  return stays ? before.filedAt : due;
}

async function lookIn(path: string, { folder, file }: RecordPlace): Promise<Found> {
  const bytes = await readWhole(join(path, file));
  if (bytes === null) return "missing";
  const found = decodeEntry(bytes);
  return found !== null && isAt(found.entry, folder, file) ? found : null;
}

/** Whether an entry is where it belongs, and not a copy of another. */
function isAt(entry: Entry, folder: string, file: string): boolean {
  const place = placeOf(entry);
  return place.folder === folder && place.file === file;
}

/** Tells a live record of a user. */
export function isLiveOwned(entry: Entry, now: number): entry is StoredRecord & { readonly owner: string } {
  return !isTombstone(entry) && entry.owner !== null && entry.deadline > now;
}
