/** What the cases of the contract are made of. */
import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import {
  canAdmit,
  canClose,
  canLock,
  canPrune,
  canReplicate,
  hasInvalidations,
  hasOwnerIndex,
  hasTenantIndex,
  isTombstone,
  type OwnerKey,
  type RecordChange,
  type RecordKey,
  type Store,
  type StoreCall,
  type StoredRecord,
  type Tombstone,
} from "../../core/store.ts";

/** What a case is given. */
export interface ContractContext {
  /** Opens a handle; every call within one case gives another handle on the same storage, empty when the case starts. */
  readonly open: () => Promise<Store>;
}

/** The abilities of stores, as the contract names them; every store has `store`. */
export type Ability =
  | ("store" | "owner-index" | "admission" | "tenant-index" | "prune")
  | ("lock" | "invalidations" | "replication" | "close");

/** One sentence of the contract, and the code that holds a store to it. */
export interface ContractCase {
  readonly name: string;
  readonly needs: Ability;
  /** Rejects when the store breaks the sentence. */
  readonly run: (context: ContractContext) => Promise<void>;
}

const TESTS: Readonly<Record<Ability, (store: Store) => boolean>> = {
  store: () => true,
  "owner-index": hasOwnerIndex,
  admission: canAdmit,
  "tenant-index": hasTenantIndex,
  prune: canPrune,
  lock: canLock,
  invalidations: hasInvalidations,
  replication: canReplicate,
  close: canClose,
};

/** Tells whether a store has an ability, by the engine's own feature test. */
export function hasAbility(store: Store, ability: Ability): boolean {
  return TESTS[ability](store);
}

/** Opens a handle and insists on an ability. */
export async function openWith<A>(
  context: ContractContext,
  test: (store: Store) => store is Store & A,
): Promise<Store & A> {
  const store = await context.open();
  if (!test(store)) throw new assert.AssertionError({ message: "the store lacks the ability that this case needs" });
  return store;
}

/** Opens two handles. */
export async function openTwo(context: ContractContext): Promise<readonly [Store, Store]> {
  return [await context.open(), await context.open()];
}

/** The machine's time when the suite was loaded: stores may hand garbage to a server that goes by its own clock. */
export const NOW: number = Date.now();
export const MINUTE = 60_000;
export const HOUR = 3_600_000;

/** A call at an instant. */
export function callAt(now: number = NOW, signal: AbortSignal = new AbortController().signal): StoreCall {
  return { now, signal };
}

/** A digest as the engine makes them. */
export function digest(bytes: number): string {
  return randomBytes(bytes).toString("base64url");
}

/** A user nobody else has. */
export function newOwner(space: string = digest(8)): OwnerKey {
  return { space, route: randomInt(2 ** 24), owner: digest(16) };
}

/** A record nobody else has, that lives for an hour. */
export function newRecord(fields: Partial<StoredRecord> = {}): StoredRecord {
  return {
    space: digest(8),
    route: randomInt(2 ** 24),
    lookup: digest(32),
    owner: null,
    tenant: null,
    createdAt: NOW,
    touchedAt: NOW,
    deadline: NOW + HOUR,
    version: 1,
    envelope: randomBytes(300),
    data: null,
    ...fields,
  };
}

/** So many records of one user, made one after the other. */
export function recordsOf(owner: OwnerKey, howMany: number, fields: Partial<StoredRecord> = {}): StoredRecord[] {
  return Array.from({ length: howMany }, (_, index) => newRecord({ ...owner, createdAt: NOW + index, ...fields }));
}

/** Creates records, and insists that they were. */
export async function createAll(store: Store, records: readonly StoredRecord[]): Promise<void> {
  for (const record of records) assert.equal(await store.create(record, callAt()), "created");
}

/** A change that leaves the data alone. */
export function newChange(fields: Partial<RecordChange> = {}): RecordChange {
  return { touchedAt: NOW + MINUTE, deadline: NOW + 2 * HOUR, envelope: randomBytes(310), ...fields };
}

/** The record after a change. */
export function changed(record: StoredRecord, change: RecordChange): StoredRecord {
  return {
    ...record,
    ...change,
    data: change.data === undefined ? record.data : change.data,
    version: record.version + 1,
  };
}

/** What remains of the record, as the contract wants it. */
export function tombstoneOf(key: RecordKey, reason: string, endedAt: number, deadline: number): Tombstone {
  return { space: key.space, route: key.route, lookup: key.lookup, endedAt, reason, deadline };
}

type Entry = StoredRecord | Tombstone;

/** Insists that an entry is what was expected, field for field. */
export function assertEntry(actual: Entry | null, expected: Entry | null): void {
  assert.deepEqual(plain(actual), plain(expected));
}

/** Insists that the store holds exactly this under the key. */
export async function assertHolds(store: Store, expected: Entry, now: number = NOW): Promise<void> {
  assertEntry(await store.read(expected, callAt(now)), expected);
}

/** Insists that a list has these entries, in this order. */
export function assertEntries(actual: readonly Entry[], expected: readonly Entry[]): void {
  assert.deepEqual(actual.map(plain), expected.map(plain));
}

/** The order of lists: newest first. */
export function newestFirst(records: readonly StoredRecord[]): StoredRecord[] {
  return records.toSorted((a, b) => b.createdAt - a.createdAt || (a.lookup < b.lookup ? 1 : -1));
}

/** Waits for real time, in milliseconds. */
export async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

/** Runs the work so many times at once. */
export async function atOnce<T>(times: number, work: (index: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: times }, (_, index) => work(index)));
}

/** Bytes compare by value, whatever their class. */
function plain(entry: Entry | null): unknown {
  if (entry === null || isTombstone(entry)) return entry && { ...entry };
  return { ...entry, envelope: hex(entry.envelope), data: entry.data && hex(entry.data) };
}

function hex(bytes: Uint8Array): string {
  assert.ok(bytes instanceof Uint8Array, "bytes come back as a Uint8Array");
  return Buffer.from(bytes).toString("hex");
}
