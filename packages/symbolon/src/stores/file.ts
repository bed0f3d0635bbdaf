/** A store in a folder of files: no database, no server, several processes on one machine. */
import {
  type Admission,
  type AdmissionRules,
  type Admitting,
  type Closing,
  type Ending,
  isTombstone,
  type Locking,
  type OwnerIndex,
  type OwnerKey,
  type Pruning,
  type RecordChange,
  type RecordKey,
  type Replication,
  type Store,
  type StoreCall,
  type StoredRecord,
  type TenantIndex,
  type TenantKey,
  type Tombstone,
  TOMBSTONE_MS,
  type Warning,
} from "../core/store.ts";
import { OptionsError, StoreUnavailableError } from "../errors.ts";
import { admitAmong } from "./shared/admission.ts";
import { decodeCursor, encodeCursor } from "./shared/cursor.ts";
import type { FiledEntry } from "./shared/file-format.ts";
import { fileHolder } from "./shared/file-holder.ts";
import { fileLeases } from "./shared/file-leases.ts";
import { fileLocks, type Held, stopIfAborted } from "./shared/file-locks.ts";
import { folderOf, nameOf, type Marker } from "./shared/file-names.ts";
import { type EntryChange, fileRecords, isLiveOwned } from "./shared/file-records.ts";
import { openRoot } from "./shared/file-system.ts";
import { pageAmong } from "./shared/page-among.ts";
import { warnings } from "./shared/warnings.ts";

/** Options of `fileStore`. */
export interface FileStoreOptions {
  /**
   * Wait for the disk at every write, so that a power loss takes nothing acknowledged; false unless told. A killed
   * process takes nothing either way.
   */
  readonly sync?: boolean;
}

/** What `fileStore` can do. */
export type FileStore = Store &
  OwnerIndex &
  Admitting &
  TenantIndex &
  Pruning &
  Locking &
  Replication &
  Warning &
  Closing;

type Entry = StoredRecord | Tombstone;
type OwnedRecord = StoredRecord & { readonly owner: string };

/** Markers looked at together by prune. */
const BATCH = 8;

/**
 * Keeps each record in a file of its own below the folder `root`, which is made if it is missing.
 *
 * Reads take no lock and see a record as it was before or after a write, never half. Writes are a new file that takes
 * the old one's name, under a lock that all threads and processes of this machine respect, and that is free at once
 * when its holder is killed. What several records have to do with each other (`admit`, `deleteByOwner`) is done wholly
 * or not at all, also when the process is killed midway. Lists and counts by tenant, and a limit on the `total`, read
 * every file of the space.
 *
 * For local file systems of POSIX systems; a network file system does not keep the promises. Folders have mode 700 and
 * files 600, no symbolic link below the root is followed, and no name on disk is made of text as it came.
 *
 * @throws {OptionsError} when `root` is a symbolic link, no folder, too long, or can be written by others.
 * @throws {StoreUnavailableError} when `root` cannot be made or looked at.
 */
export function fileStore(root: string, options: FileStoreOptions = {}): FileStore {
  const { sync = false } = options;
  if (typeof root !== "string" || root === "")
    throw new OptionsError("fileStore: `root` must be the path of a folder.");
  if (typeof sync !== "boolean") throw new OptionsError("fileStore: `sync` must be true or false.");
  const path = openRoot(root);
  const holder = fileHolder(path);
  const locks = fileLocks(path, holder, sync);
  const leases = fileLeases(path);
  const warned = warnings();
  const records = fileRecords(path, () =>
    warned.warn({
      code: "torn-file",
      message: "A file of the file store is not as it was written, and counts for nothing; prune removes it.",
    }),
  );

  /** Works with the folder of a route while nobody else changes it. */
  function change<T>(
    key: Pick<OwnerKey, "space" | "route">,
    call: StoreCall,
    work: (held: Held, folder: string) => Promise<T>,
  ): Promise<T> {
    return attempt(call, () => inFolder(folderOf(key), call, work));
  }

  function inFolder<T>(
    folder: string,
    { signal }: StoreCall,
    work: (held: Held, folder: string) => Promise<T>,
  ): Promise<T> {
    return locks.hold(folder.replace("/", "."), signal, async (held) => {
      stopIfAborted(signal);
      return work(held, folder);
    });
  }

  async function update(
    held: Held,
    key: RecordKey,
    expectedVersion: number,
    { touchedAt, deadline, envelope, data }: RecordChange,
  ): Promise<"updated" | "conflict" | "missing"> {
    const before = await records.find(key);
    if (before === null || !isRecord(before)) return "missing";
    const { entry } = before;
    if (entry.version !== expectedVersion) return "conflict";
    const kept = data === undefined ? entry.data : data;
    const after = { ...entry, touchedAt, deadline, envelope, data: kept, version: expectedVersion + 1 };
    await records.change(held, [{ key, before, after }]);
    return "updated";
  }

  /** Live and past their deadline alike. */
  async function ofOwner(folder: string, { space, route, owner }: OwnerKey): Promise<FiledEntry<StoredRecord>[]> {
    const found = await records.ofRoute(folder, route);
    return found.filter(isRecord).filter(({ entry }) => entry.space === space && entry.owner === owner);
  }

  async function liveOfOwner(owner: OwnerKey, call: StoreCall): Promise<StoredRecord[]> {
    // With the lock: so it sees all or nothing of what is done to several records at once.
    const found = await change(owner, call, (_held, folder) => ofOwner(folder, owner));
    return entriesOf(found).filter((record) => isLiveOwned(record, call.now));
  }

  async function admit(
    held: Held,
    folder: string,
    record: OwnedRecord,
    rules: AdmissionRules,
    call: StoreCall,
  ): Promise<Admission> {
    if ((await records.find(record)) !== null) return { status: "exists" };
    const mine = (await ofOwner(folder, record)).filter(({ entry }) => isLiveOwned(entry, call.now));
    const replaced = mine.filter(({ entry }) => entry.lookup === rules.replacing);
    const verdict = admitAmong(entriesOf(mine.filter((one) => !replaced.includes(one))), rules);
    if (verdict.status !== "created") return verdict;
    const { evicted } = verdict;
    if (!(await hasRoom(record.space, rules.total, evicted.length + replaced.length, call))) {
      return { status: "refused", limit: "total" };
    }
    const leaving = mine.filter(({ entry }) => evicted.includes(entry));
    stopIfAborted(call.signal);
    await records.change(held, [
      // First: it alone needs room on the disk, and when there is none, nothing else is begun.
      { key: record, before: null, after: record },
      ...endings(leaving, { reason: "evicted", at: call.now }, call.now),
      ...endings(replaced, { reason: "replaced", at: call.now }, call.now),
    ]);
    return { status: "created", evicted };
  }

  /** Whether the space has room for one more once so many are gone. Names are counted first; few spaces are near their limit. */
  async function hasRoom(space: string, total: number | null, leaving: number, call: StoreCall): Promise<boolean> {
    if (total === null) return true;
    let files = 0;
    for (const folder of await records.folders(space)) files += (await records.names(folder)).length;
    if (files - leaving < total) return true;
    let live = 0;
    for await (const found of walk({ space, tenant: null }, call)) live += found.length;
    return live - leaving < total;
  }

  /** The live records of a tenant, folder by folder. */
  async function* walk(tenant: TenantKey, call: StoreCall): AsyncGenerator<StoredRecord[]> {
    for (const folder of await records.folders(tenant.space)) {
      stopIfAborted(call.signal);
      const found = entriesOf((await records.inFolder(folder)).filter((one) => isOfTenant(one, tenant)));
      yield found.filter((record) => isLiveOwned(record, call.now));
    }
  }

  async function prune(markers: readonly Marker[], before: number, call: StoreCall): Promise<number> {
    const folders = new Set(markers.map(({ folder }) => folder));
    const removed = await Promise.all(
      [...folders].map((folder) =>
        inFolder(folder, call, () =>
          records.prune(
            markers.filter((marker) => marker.folder === folder),
            before,
          ),
        ),
      ),
    );
    return removed.reduce((sum, one) => sum + one, 0);
  }

  return {
    read: (key, call) => attempt(call, async () => (await records.find(key))?.entry ?? null),

    create: (record, call) =>
      change(record, call, async (held) => {
        if ((await records.find(record)) !== null) return "exists";
        await records.change(held, [{ key: record, before: null, after: record }]);
        return "created";
      }),

    update: (key, expectedVersion, fields, call) =>
      change(key, call, (held) => update(held, key, expectedVersion, fields)),

    delete: (key, ending, call) =>
      change(key, call, async (held) => {
        const found = await records.find(key);
        if (found === null || !isRecord(found)) return false;
        await records.change(held, endings([found], ending, call.now));
        return true;
      }),

    listByOwner: async (owner, page, call) => pageAmong(await liveOfOwner(owner, call), page),

    countByOwner: async (owner, call) => (await liveOfOwner(owner, call)).length,

    deleteByOwner: (owner, except, ending, call) =>
      change(owner, call, async (held, folder) => {
        const kept = new Set(except);
        const ended = (await ofOwner(folder, owner)).filter(({ entry }) => !kept.has(entry.lookup));
        await records.change(held, endings(ended, ending, call.now));
        return ended.length;
      }),

    admit: (record, rules, call) => {
      const work = () => inFolder(folderOf(record), call, (held, folder) => admit(held, folder, record, rules, call));
      if (rules.total === null) return attempt(call, work);
      // Whoever counts the space has it alone. Always this lock before that of a folder.
      return attempt(call, () => locks.hold(`${nameOf(record.space)}.total`, call.signal, work));
    },

    listByTenant: (tenant, page, call) =>
      attempt(call, async () => {
        let best: readonly StoredRecord[] = [];
        let found = pageAmong(best, page);
        for await (const more of walk(tenant, call)) {
          // One more than the page takes tells whether another follows.
          const { records: kept } = pageAmong([...best, ...more], { ...page, limit: page.limit + 1 });
          best = kept;
          found = pageAmong(best, page);
        }
        return found;
      }),

    countByTenant: (tenant, call) =>
      attempt(call, async () => {
        let count = 0;
        for await (const found of walk(tenant, call)) count += found.length;
        return count;
      }),

    countOwners: (tenant, call) =>
      attempt(call, async () => {
        const owners = new Set<string | null>();
        for await (const found of walk(tenant, call)) for (const { owner } of found) owners.add(owner);
        return owners.size;
      }),

    deleteByTenant: (tenant, ending, call) =>
      attempt(call, async () => {
        let total = 0;
        for (const folder of await records.folders(tenant.space)) {
          total += await inFolder(folder, call, async (held) => {
            const ended = (await records.inFolder(folder)).filter((one) => isOfTenant(one, tenant)).filter(isRecord);
            await records.change(held, endings(ended, ending, call.now));
            return ended.length;
          });
        }
        return total;
      }),

    prune: (before, limit, call) =>
      attempt(call, async () => {
        await locks.takeOver(call.signal);
        let removed = 0;
        for await (const due of records.due(before)) {
          while (due.length > 0) {
            removed += await prune(due.splice(0, Math.min(BATCH, limit - removed)), before, call);
            if (removed >= limit) return removed;
          }
        }
        return removed;
      }),

    scan: ({ cursor, limit }, call) =>
      attempt(call, async () => {
        const after = cursor === null ? "" : decodeCursor(cursor)?.lookup;
        const entries: Entry[] = [];
        if (after === undefined) return { entries, cursor: null };
        for (const folder of await records.folders(null)) {
          if (folder < after.slice(0, folder.length)) continue;
          stopIfAborted(call.signal);
          for (const file of (await records.names(folder)).toSorted()) {
            const place = `${folder}/${file}`;
            if (place <= after) continue;
            const found = await records.at({ folder, file });
            if (found !== null) entries.push(found.entry);
            if (entries.length === limit) return { entries, cursor: encodeCursor({ createdAt: 0, lookup: place }) };
          }
        }
        return { entries, cursor: null };
      }),

    apply: (entry, call) =>
      change(entry, call, async (held) => {
        const before = await records.find(entry);
        if (before !== null && !isNewer(entry, before.entry)) return false;
        await records.change(held, [{ key: entry, before, after: entry }]);
        return true;
      }),

    acquireLock: (key, by, lease, call) => change(key, call, (held) => leases.acquire(held, key, by, lease, call.now)),

    renewLock: (key, by, lease, call) => change(key, call, (held) => leases.renew(held, key, by, lease, call.now)),

    releaseLock: (key, by, call) => change(key, call, (held) => leases.release(held, key, by, call.now)),

    updateUnderLock: ({ space, route, lookup }, expectedVersion, fields, { lock, holder: by }, call) =>
      change({ space, route }, call, async (held) => {
        if (!(await leases.isHeld(held, { space, route, lock }, by, call.now))) return "lost";
        return update(held, { space, route, lookup }, expectedVersion, fields);
      }),

    onWarning: (listener) => warned.add(listener),

    async close() {
      await locks.idle();
      await holder.close();
    },
  };
}

/** Whatever the file system refuses means that the store did not do its work. */
async function attempt<T>(call: StoreCall, work: () => Promise<T>): Promise<T> {
  try {
    stopIfAborted(call.signal);
    return await work();
  } catch (error) {
    if (error instanceof StoreUnavailableError) throw error;
    throw new StoreUnavailableError("The file store could not read or write; see the cause.", { cause: error });
  }
}

function isRecord(filed: FiledEntry): filed is FiledEntry<StoredRecord> {
  return !isTombstone(filed.entry);
}

function entriesOf<E extends Entry>(filed: readonly FiledEntry<E>[]): E[] {
  return filed.map(({ entry }) => entry);
}

/** What ends the records; a tombstone that is already garbage is not left behind. */
function endings(ended: readonly FiledEntry<StoredRecord>[], { reason, at }: Ending, now: number): EntryChange[] {
  return ended.map((before) => {
    const { space, route, lookup } = before.entry;
    const deadline = Math.min(before.entry.deadline, at + TOMBSTONE_MS);
    const tombstone = { space, route, lookup, endedAt: at, reason, deadline };
    return { key: before.entry, before, after: deadline > now ? tombstone : null };
  });
}

/** Whether a record is one of the tenant's, which is the whole space for none. */
function isOfTenant(filed: FiledEntry, { tenant }: TenantKey): filed is FiledEntry<StoredRecord> {
  return isRecord(filed) && (tenant === null || filed.entry.tenant === tenant);
}

function isNewer(copy: Entry, held: Entry): boolean {
  if (isTombstone(held)) return false;
  return isTombstone(copy) || copy.version > held.version;
}
