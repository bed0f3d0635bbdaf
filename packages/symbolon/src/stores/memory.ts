/** A store in this process's memory: for tests, development and servers of one process. Nothing survives the process. */
import {
  type Ending,
  isTombstone,
  type OwnerIndex,
  type PageRequest,
  type Pruning,
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
import { decodeCursor, encodeCursor } from "./shared/cursor.ts";
import { deadlineBuckets } from "./shared/deadline-buckets.ts";

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** How many records and tombstones fit; 1 000 000 unless told. */
  readonly maxRecords?: number;
}

/** What `memoryStore` can do. */
export type MemoryStore = Store & OwnerIndex & TenantIndex & Pruning & Replication;

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
    throw new OptionsError("memoryStore: `maxRecords` must be an integer of at least 1.");
  }
  const slots = new Map<string, Slot>();
  const owners: Index = new Map();
  const tenants: Index = new Map();
  const spaces: Index = new Map();
  const buckets = deadlineBuckets<Slot>();
  let serial = 0;

  function find(lookup: string, space: string): Slot | undefined {
    const slot = slots.get(lookup);
    return slot?.entry.space === space ? slot : undefined;
  }

  function insert(entry: StoredRecord | Tombstone, now: number): void {
    if (slots.size >= maxRecords) prune(now, PRUNE_WHEN_FULL);
    if (slots.size >= maxRecords) {
      throw new StoreUnavailableError(
        `The memory store is full with ${maxRecords} records; raise \`maxRecords\` of memoryStore.`,
      );
    }
    const slot: Slot = { serial: serial++, entry: copyIn(entry), bucket: null };
    slots.set(entry.lookup, slot);
    index(slot);
  }

  function index(slot: Slot): void {
    const { entry } = slot;
    buckets.file(slot);
    if (isTombstone(entry)) return;
    add(spaces, entry.space, slot);
    if (entry.owner !== null) add(owners, nameOf(entry.space, entry.owner), slot);
    if (entry.tenant !== null) add(tenants, nameOf(entry.space, entry.tenant), slot);
  }

  function unindex(slot: Slot): void {
    const { entry } = slot;
    if (isTombstone(entry)) return;
    take(spaces, entry.space, slot);
    if (entry.owner !== null) take(owners, nameOf(entry.space, entry.owner), slot);
    if (entry.tenant !== null) take(tenants, nameOf(entry.space, entry.tenant), slot);
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

  function end(slot: Slot, record: StoredRecord, ending: Ending, now: number): void {
    const deadline = Math.min(record.deadline, ending.at + TOMBSTONE_MS);
    if (deadline <= now) return remove(slot);
    const { space, route, lookup } = record;
    replace(slot, { space, route, lookup, endedAt: ending.at, reason: ending.reason, deadline });
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

    update(key, expectedVersion, change) {
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
      return "updated";
    },

    delete(key, ending, call) {
      const slot = find(key.lookup, key.space);
      if (slot === undefined || isTombstone(slot.entry)) return false;
      end(slot, slot.entry, ending, call.now);
      return true;
    },

    listByOwner: ({ space, owner }, page, call) => pageOf(owners.get(nameOf(space, owner)), page, call.now),

    countByOwner: ({ space, owner }, call) => count(live(owners.get(nameOf(space, owner)), call.now)),

    deleteByOwner: ({ space, owner }, except, ending, call) =>
      endAll(owners.get(nameOf(space, owner)), except, ending, call.now),

    listByTenant: (tenant, page, call) => pageOf(slotsOf(tenant), page, call.now),

    countByTenant: (tenant, call) => count(live(slotsOf(tenant), call.now)),

    countOwners(tenant, call) {
      const found = new Set<string | null>();
      for (const record of live(slotsOf(tenant), call.now)) found.add(record.owner);
      return found.size;
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
      return true;
    },
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

function copyIn(entry: StoredRecord | Tombstone): StoredRecord | Tombstone {
  if (isTombstone(entry)) return { ...entry };
  return { ...entry, envelope: own(entry.envelope), data: entry.data && own(entry.data) };
}

function copyOut<E extends StoredRecord | Tombstone>(entry: E): E {
  if (isTombstone(entry)) return { ...entry };
  return { ...entry, envelope: Buffer.from(entry.envelope), data: entry.data && Buffer.from(entry.data) };
}

/** The listed records: with an owner, and not past their deadline. */
function* live(found: Set<Slot> | undefined, now: number): Generator<StoredRecord> {
  for (const { entry } of found ?? []) {
    if (!isTombstone(entry) && entry.owner !== null && entry.deadline > now) yield entry;
  }
}

function count(records: Iterable<StoredRecord>): number {
  let counted = 0;
  for (const _ of records) counted++;
  return counted;
}

function newestFirst(a: StoredRecord, b: StoredRecord): number {
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  return a.lookup < b.lookup ? 1 : -1;
}

function pageOf(found: Set<Slot> | undefined, page: PageRequest, now: number): RecordPage {
  const after = page.cursor === null ? null : decodeCursor(page.cursor);
  if (page.cursor !== null && after === null) return { records: [], cursor: null };
  const wanted = page.limit + 1;
  let newest: StoredRecord[] = [];
  for (const record of live(found, now)) {
    if (after !== null && !isBefore(record, after)) continue;
    newest.push(record);
    // Cutting back now and then keeps a page of a huge tenant from sorting all of it.
    if (newest.length >= wanted * 4) newest = newest.toSorted(newestFirst).slice(0, wanted);
  }
  newest = newest.toSorted(newestFirst).slice(0, wanted);
  const records = newest.slice(0, page.limit).map((record) => copyOut(record));
  const last = newest.length > page.limit ? records.at(-1) : undefined;
  return { records, cursor: last ? encodeCursor(last) : null };
}

/** Whether the record comes after the position in a list that runs from new to old. */
function isBefore(record: StoredRecord, after: { createdAt: number; lookup: string }): boolean {
  if (record.createdAt !== after.createdAt) return record.createdAt < after.createdAt;
  return record.lookup < after.lookup;
}
