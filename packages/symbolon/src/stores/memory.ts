/** A store in this process's memory: for tests, development and servers of one process. Nothing survives the process. */
import {
  type Admitting,
  type Ending,
  type Invalidations,
  isTombstone,
  type Locking,
  type OwnerIndex,
  type PageRequest,
  type Pruning,
  type RecordChange,
  type RecordKey,
  type RecordPage,
  type Replication,
  type Store,
  type StoredRecord,
  type TenantIndex,
  type TenantKey,
  type Tombstone,
  TOMBSTONE_MS,
} from "../core/store.ts";
import { OptionsError, StoreUnavailableError } from "../errors.ts";
import { admitAmong } from "./shared/admission.ts";
import { decodeCursor, encodeCursor } from "./shared/cursor.ts";
import { deadlineBuckets } from "./shared/deadline-buckets.ts";
import { listeners } from "./shared/listeners.ts";
import { localLocks } from "./shared/local-locks.ts";
import { pageAmong } from "./shared/page-among.ts";

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** How many records and tombstones fit; 1 000 000 unless told. */
  readonly maxRecords?: number;
}

/** What `memoryStore` can do. */
export type MemoryStore = Store &
  OwnerIndex &
  Admitting &
  TenantIndex &
  Pruning &
  Locking &
  Invalidations &
  Replication;

/** One entry in its place; the entry is replaced, never changed, and its bytes are the store's own. */
interface Slot {
  readonly serial: number;
  entry: StoredRecord | Tombstone;
  bucket: number | null;
}

type Index = Map<string, Set<Slot>>;

/** Garbage removed at most by one create that finds the store full. */
const PRUNE_WHEN_FULL = 1000;

/**
 * Keeps records in a Map; every method answers at once.
 *
 * Holds at most `maxRecords`: a full store first removes garbage, then refuses new records, and never drops a live
 * one. Pruning is oldest first to the minute.
 *
 * @throws {OptionsError} when `maxRecords` is not a positive integer.
 */
export function memoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const { maxRecords = 1_000_000 } = options;
  if (!Number.isSafeInteger(maxRecords) || maxRecords < 1) {
    throw new OptionsError("maxRecords: write a whole number from 1 on.");
  }
  const slots = new Map<string, Slot>();
  const owners: Index = new Map();
  const tenants: Index = new Map();
  const spaces: Index = new Map();
  /** By space, how many records with an owner are held, those past their deadline included. */
  const owned = new Map<string, number>();
  const buckets = deadlineBuckets<Slot>();
  const locks = localLocks();
  const told = listeners();
  let serial = 0;

  function find(lookup: string, space: string): Slot | undefined {
    const slot = slots.get(lookup);
    return slot?.entry.space === space ? slot : undefined;
  }

  function makeRoom(now: number): void {
    if (slots.size >= maxRecords) prune(now, PRUNE_WHEN_FULL);
    if (slots.size >= maxRecords) {
      throw new StoreUnavailableError(`The memory store is full with ${maxRecords} records; raise maxRecords.`);
    }
  }

  function insert(entry: StoredRecord | Tombstone, now: number): void {
    makeRoom(now);
    const slot: Slot = { serial: serial++, entry: copyIn(entry), bucket: null };
    slots.set(entry.lookup, slot);
    index(slot);
  }

  function index(slot: Slot): void {
    const { entry } = slot;
    buckets.file(slot);
    if (isTombstone(entry)) return;
    add(spaces, entry.space, slot);
    if (entry.owner !== null) {
      add(owners, nameOf(entry.space, entry.owner), slot);
      countOwned(entry.space, 1);
    }
    if (entry.tenant !== null) add(tenants, nameOf(entry.space, entry.tenant), slot);
  }

  function unindex(slot: Slot): void {
    const { entry } = slot;
    if (isTombstone(entry)) return;
    take(spaces, entry.space, slot);
    if (entry.owner !== null) {
      take(owners, nameOf(entry.space, entry.owner), slot);
      countOwned(entry.space, -1);
    }
    if (entry.tenant !== null) take(tenants, nameOf(entry.space, entry.tenant), slot);
  }

  function countOwned(space: string, more: number): void {
    const count = (owned.get(space) ?? 0) + more;
    if (count === 0) owned.delete(space);
    else owned.set(space, count);
  }

  function replace(slot: Slot, entry: StoredRecord | Tombstone): void {
    unindex(slot);
    slot.entry = entry;
    index(slot);
  }

  function remove(slot: Slot): void {
    unindex(slot);
    buckets.drop(slot);
    slots.delete(slot.entry.lookup);
  }

  function update(key: RecordKey, expectedVersion: number, change: RecordChange): "updated" | "conflict" | "missing" {
    const slot = find(key.lookup, key.space);
    if (slot === undefined || isTombstone(slot.entry)) return "missing";
    const { entry } = slot;
    if (entry.version !== expectedVersion) return "conflict";
    slot.entry = {
      ...entry,
      touchedAt: change.touchedAt,
      deadline: change.deadline,
      version: expectedVersion + 1,
      envelope: own(change.envelope),
      data: change.data === undefined ? entry.data : change.data && own(change.data),
    };
    buckets.file(slot);
    told.changed(key.lookup);
    return "updated";
  }

  function end(slot: Slot, record: StoredRecord, ending: Ending, now: number): void {
    const deadline = Math.min(record.deadline, ending.at + TOMBSTONE_MS);
    const { space, route, lookup } = record;
    told.changed(lookup);
    if (deadline <= now) return remove(slot);
    replace(slot, { space, route, lookup, endedAt: ending.at, reason: ending.reason, deadline });
  }

  function endEach(records: readonly StoredRecord[], reason: string, now: number): void {
    for (const record of records) {
      const slot = slots.get(record.lookup);
      if (slot !== undefined) end(slot, record, { reason, at: now }, now);
    }
  }

  function endAll(found: Set<Slot> | undefined, except: readonly string[], ending: Ending, now: number): number {
    const kept = new Set(except);
    let ended = 0;
    // Ending takes slots out of the very set that is walked, which a Set allows.
    for (const slot of found ?? []) {
      if (isTombstone(slot.entry) || kept.has(slot.entry.lookup)) continue;
      end(slot, slot.entry, ending, now);
      ended++;
    }
    return ended;
  }

  function prune(before: number, limit: number): number {
    let removed = 0;
    if (limit <= 0) return removed;
    for (const slot of buckets.due(before)) {
      remove(slot);
      if (++removed >= limit) break;
    }
    return removed;
  }

  /** Whether the space has room for one more once so many are gone; looks at what expired, never at what lives. */
  function hasRoom(space: string, total: number | null, leaving: number, now: number): boolean {
    if (total === null) return true;
    const held = (owned.get(space) ?? 0) - leaving + 1;
    return held <= total || held - countExpired(space, now) <= total;
  }

  /** The records of `owned` that are past their deadline and not removed yet. */
  function countExpired(space: string, now: number): number {
    let expired = 0;
    for (const { entry } of buckets.due(now)) {
      if (!isTombstone(entry) && entry.owner !== null && entry.space === space) expired++;
    }
    return expired;
  }

  function slotsOf({ space, tenant }: TenantKey): Set<Slot> | undefined {
    return tenant === null ? spaces.get(space) : tenants.get(nameOf(space, tenant));
  }

  return {
    read(key) {
      const slot = find(key.lookup, key.space);
      return slot === undefined ? null : copyOut(slot.entry);
    },

    create(record, call) {
      if (slots.has(record.lookup)) return "exists";
      insert(record, call.now);
      return "created";
    },

    update: (key, expectedVersion, change) => update(key, expectedVersion, change),

    delete(key, ending, call) {
      const slot = find(key.lookup, key.space);
      if (slot === undefined || isTombstone(slot.entry)) return false;
      end(slot, slot.entry, ending, call.now);
      return true;
    },

    listByOwner: ({ space, owner }, page, call) => pageOf(owners.get(nameOf(space, owner)), page, call.now),

    countByOwner: ({ space, owner }, call) => live(owners.get(nameOf(space, owner)), call.now).length,

    deleteByOwner: ({ space, owner }, except, ending, call) =>
      endAll(owners.get(nameOf(space, owner)), except, ending, call.now),

    admit(record, rules, call) {
      if (slots.has(record.lookup)) return { status: "exists" };
      const { space, owner } = record;
      const mine = live(owners.get(nameOf(space, owner)), call.now);
      const replaced = mine.filter(({ lookup }) => lookup === rules.replacing);
      const others = mine.filter(({ lookup }) => lookup !== rules.replacing);
      const admission = admitAmong(others, rules);
      if (admission.status === "reused") return { ...admission, record: copyOut(admission.record) };
      if (admission.status !== "created") return admission;
      const { evicted } = admission;
      if (!hasRoom(space, rules.total, evicted.length + replaced.length, call.now)) {
        return { status: "refused", limit: "total" };
      }
      // Before anything ends: it leaves a tombstone, so a store that is full stays full.
      makeRoom(call.now);
      endEach(evicted, "evicted", call.now);
      endEach(replaced, "replaced", call.now);
      insert(record, call.now);
      return { status: "created", evicted: evicted.map(copyOut) };
    },

    listByTenant: (tenant, page, call) => pageOf(slotsOf(tenant), page, call.now),

    countByTenant: (tenant, call) => live(slotsOf(tenant), call.now).length,

    countOwners(tenant, call) {
      return new Set(live(slotsOf(tenant), call.now).map(({ owner }) => owner)).size;
    },

    deleteByTenant: (tenant, ending, call) => endAll(slotsOf(tenant), [], ending, call.now),

    prune: (before, limit) => prune(before, limit),

    scan({ cursor, limit }) {
      const after = cursor === null ? -1 : decodeCursor(cursor)?.createdAt;
      const entries: (StoredRecord | Tombstone)[] = [];
      if (after === undefined) return { entries, cursor: null };
      // Serials grow in the order of the Map. Skipping costs little, and a cursor then needs no state here.
      for (const slot of slots.values()) {
        if (slot.serial <= after) continue;
        entries.push(copyOut(slot.entry));
        if (entries.length >= limit) return { entries, cursor: encodeCursor({ createdAt: slot.serial, lookup: "" }) };
      }
      return { entries, cursor: null };
    },

    apply(entry, call) {
      const slot = slots.get(entry.lookup);
      if (slot === undefined) {
        insert(entry, call.now);
        return true;
      }
      const held = slot.entry;
      if (held.space !== entry.space || isTombstone(held)) return false;
      if (!isTombstone(entry) && entry.version <= held.version) return false;
      replace(slot, copyIn(entry));
      told.changed(entry.lookup);
      return true;
    },

    acquireLock: (key, holder, lease, call) => locks.acquire(key, holder, lease, call.now),

    renewLock: (key, holder, lease, call) => locks.renew(key, holder, lease, call.now),

    releaseLock(key, holder, call) {
      const wasHeld = locks.release(key, holder, call.now);
      if (wasHeld) told.released(key.lock);
      return wasHeld;
    },

    updateUnderLock({ space, route, lookup }, expectedVersion, change, { lock, holder }, call) {
      if (!locks.isHeld({ space, route, lock }, holder, call.now)) return "lost";
      return update({ space, route, lookup }, expectedVersion, change);
    },

    subscribe: (listener) => told.add(listener),
  };
}

/** The length keeps two pairs of texts from sharing a name. */
function nameOf(space: string, digest: string): string {
  return `${space.length}:${space}${digest}`;
}

function add(index: Index, name: string, slot: Slot): void {
  const found = index.get(name);
  if (found) found.add(slot);
  else index.set(name, new Set([slot]));
}

function take(index: Index, name: string, slot: Slot): void {
  const found = index.get(name);
  found?.delete(slot);
  if (found?.size === 0) index.delete(name);
}

/** Bytes of their own: a slice of the shared pool would keep 8 KiB alive for every record. */
function own(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}

function copyIn<E extends StoredRecord | Tombstone>(entry: E, copy: (bytes: Uint8Array) => Uint8Array = own): E {
  if (isTombstone(entry)) return { ...entry };
  return { ...entry, envelope: copy(entry.envelope), data: entry.data && copy(entry.data) };
}

function copyOut<E extends StoredRecord | Tombstone>(entry: E): E {
  return copyIn(entry, (bytes) => Buffer.from(bytes));
}

/** The listed records: with an owner, and not past their deadline. */
function live(found: Set<Slot> | undefined, now: number): StoredRecord[] {
  const records: StoredRecord[] = [];
  for (const { entry } of found ?? []) {
    if (!isTombstone(entry) && entry.owner !== null && entry.deadline > now) records.push(entry);
  }
  return records;
}

function pageOf(found: Set<Slot> | undefined, page: PageRequest, now: number): RecordPage {
  const { records, cursor } = pageAmong(live(found, now), page);
  return { records: records.map(copyOut), cursor };
}
