/**
 * What a store is: the page to read before writing one.
 *
 * A store keeps records and knows nothing of HTTP, tokens, users or time. To write your own, import only the types
 * of this file and the errors, then run the contract suite of `symbolon/testing` against it.
 *
 * The rules, for every method:
 * - Absent, ended and conflict are answers. Throw only when the store did not do its work, as `StoreUnavailableError`
 *   with the client's own error as `cause`. Never answer `null` because something failed.
 * - Every write is conditional: nothing here may create a record that exists, or revive one that is gone.
 * - Copy in and out: a caller that changes bytes it passed or received must not change what is stored.
 * - Digests (`space`, `lookup`, `owner`, `tenant`) are base64url text made by the engine; nothing a client sends
 *   reaches a key. Treat them as opaque all the same, and quote them.
 * - Time comes as `call.now`; never read the wall clock. Liveness is judged by the engine from the sealed envelope:
 *   `deadline` is a hint for counting and for removing garbage.
 * - Never log.
 */

/** A value, or a promise of it: a store over a synchronous client may answer at once. */
export type Awaitable<T> = T | Promise<T>;

/** What every method is told besides its own arguments. */
export interface StoreCall {
  /** The engine's time: milliseconds since the epoch. */
  readonly now: number;
  /**
   * Aborted when the engine stops waiting. Stop early if the client can; a synchronous client cannot be
   * interrupted midway. Reading it costs an allocation, so read it only when it is used.
   */
  readonly signal: AbortSignal;
  /** Set when the answer must be what the storage holds now: a store that answers from a cache must not. */
  readonly fresh?: boolean;
}

/** Where one record is. `lookup` alone is unique; `route` says which records must live together. */
export interface RecordKey {
  /** Digest of the manager's namespace: 11 characters. Records of different spaces never meet. */
  readonly space: string;
  /** 24-bit number shared by all records of one user, for stores that shard; random for anonymous sessions. */
  readonly route: number;
  /** Digest by which the record is found: 43 characters. */
  readonly lookup: string;
}

/** A live record: hints in the clear, authority and data sealed. */
export interface StoredRecord extends RecordKey {
  /** Digest of the user: 22 characters; null for an anonymous session, which is never listed or counted. */
  readonly owner: string | null;
  /** Digest of the tenant: 22 characters, or null. */
  readonly tenant: string | null;
  /** Milliseconds since the epoch; fixed for life. */
  readonly createdAt: number;
  /** Milliseconds since the epoch of the last touch the engine wrote. */
  readonly touchedAt: number;
  /** Milliseconds since the epoch after which the record is garbage. */
  readonly deadline: number;
  /** 1 at creation, one more with every update. */
  readonly version: number;
  /** Sealed; at most 16 KiB. */
  readonly envelope: Uint8Array;
  /** Sealed; null while the session has never held data. */
  readonly data: Uint8Array | null;
}

/** What remains of a record that was ended, so that its holder can be told why. */
export interface Tombstone extends RecordKey {
  /** Milliseconds since the epoch. */
  readonly endedAt: number;
  /** Why, in a word: `logout`, `revoked`, ... */
  readonly reason: string;
  /** Milliseconds since the epoch after which the tombstone is garbage. */
  readonly deadline: number;
}

/** What an update changes; everything else of the record is fixed for life. */
export interface RecordChange {
  readonly touchedAt: number;
  readonly deadline: number;
  readonly envelope: Uint8Array;
  /** New data, null for none; left out, the stored data stays and is not sent again. */
  readonly data?: Uint8Array | null;
}

/** Why and when a record ends. */
export interface Ending {
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** Tombstones last until the record's own deadline, and at most this long: 24 h in milliseconds. */
export const TOMBSTONE_MS = 86_400_000;

/** The four methods every store has. */
export interface Store {
  /** Finds a record or what remains of it; null when nothing is there. May return a record past its deadline. */
  read(key: RecordKey, call: StoreCall): Awaitable<StoredRecord | Tombstone | null>;

  /** Adds a record, atomically; answers `exists`, and changes nothing, when a record or tombstone has that lookup. */
  create(record: StoredRecord, call: StoreCall): Awaitable<"created" | "exists">;

  /**
   * Replaces the changeable parts if the stored version is still `expectedVersion`, in one atomic step; the version
   * becomes `expectedVersion + 1`. Answers `conflict` when a live record has another version, `missing` when there is
   * no live record (also when it was ended).
   */
  update(
    key: RecordKey,
    expectedVersion: number,
    change: RecordChange,
    call: StoreCall,
  ): Awaitable<"updated" | "conflict" | "missing">;

  /**
   * Ends a record whatever its version, and leaves a tombstone until its deadline, `TOMBSTONE_MS` after `ending.at` at
   * most (none when that has passed). Answers whether a live record was there; idempotent: the first reason stays.
   * Nothing sealed remains: envelope and data are gone from the store.
   */
  delete(key: RecordKey, ending: Ending, call: StoreCall): Awaitable<boolean>;
}

/** One user's records: all have the same `route`. */
export interface OwnerKey {
  readonly space: string;
  readonly route: number;
  readonly owner: string;
}

/** A request for one page: `cursor` is what the page before returned, null for the first. */
export interface PageRequest {
  readonly cursor: string | null;
  /** 1 to 1000. */
  readonly limit: number;
}

/** One page, newest record first (`createdAt`, then `lookup`, both descending); `cursor` is null on the last. */
export interface RecordPage {
  readonly records: readonly StoredRecord[];
  readonly cursor: string | null;
}

/** Ability: list, count and end the records of one user. Cost grows with that user's records only. */
export interface OwnerIndex {
  /** Lists live records: those with `deadline > call.now`. A cursor it did not make gives an empty last page. */
  listByOwner(owner: OwnerKey, page: PageRequest, call: StoreCall): Awaitable<RecordPage>;
  /** Counts live records, exactly. */
  countByOwner(owner: OwnerKey, call: StoreCall): Awaitable<number>;
  /** Ends every record of the user except the given lookups, in one atomic step; answers how many were ended. */
  deleteByOwner(owner: OwnerKey, except: readonly string[], ending: Ending, call: StoreCall): Awaitable<number>;
}

/** How many records there may be, and what gives way. */
export interface AdmissionRules {
  /** Live records of the owner, the new one included; null for any number. */
  readonly perOwner: number | null;
  /** Live records of all owners of the space, the new one included; null for any number. */
  readonly total: number | null;
  /** What happens at `perOwner`. At `total` a record is always refused: nobody gives way to another user. */
  readonly onLimit: "reject" | "evict-oldest" | "evict-idle" | "reuse";
  /** Lookup of a record whose place the new one takes, null for none. It counts for nothing if it is this owner's. */
  readonly replacing: string | null;
}

/** What became of a record that asked to be admitted. */
export type Admission =
  /** Stored; `evicted` are the records that gave way, as they were before. */
  | { readonly status: "created"; readonly evicted: readonly StoredRecord[] }
  /** A record or tombstone has that lookup; nothing changed. */
  | { readonly status: "exists" }
  /** There is no room; nothing changed. */
  | { readonly status: "refused"; readonly limit: "owner" | "total" }
  /** There is no room and `onLimit` is `reuse`: the owner's newest live record; nothing changed. */
  | { readonly status: "reused"; readonly record: StoredRecord };

/** Ability: create a record only while there is room. */
export interface Admitting {
  /**
   * Creates a record with an owner, or refuses, in one atomic step with the counting: however many do this at once,
   * there are never more live records (`deadline > call.now`) than the rules allow.
   *
   * In order: `replacing`, if it is a live record of this owner, is set aside. While the owner's live records and the
   * new one are more than `perOwner`: `reject` refuses, `reuse` hands back the newest (`createdAt`, then `lookup`),
   * `evict-oldest` lets go the one of the lowest `createdAt`, `evict-idle` of the lowest `touchedAt` (of several, the
   * one of the lowest `createdAt`, then `lookup`). If then the space has more live records with an owner than `total`,
   * it is refused and nothing has changed. Else what was let go ends with the reason `evicted`, what was set aside with
   * `replaced`, at `call.now`, as `delete` would end them, and the record is stored.
   */
  admit(
    record: StoredRecord & { readonly owner: string },
    rules: AdmissionRules,
    call: StoreCall,
  ): Awaitable<Admission>;
}

/** All records of a tenant; with `tenant: null` all records of the space. */
export interface TenantKey {
  readonly space: string;
  readonly tenant: string | null;
}

/** Ability: list, count and end the records of a tenant or of the whole space. */
export interface TenantIndex {
  /** Lists live records that have an owner. */
  listByTenant(tenant: TenantKey, page: PageRequest, call: StoreCall): Awaitable<RecordPage>;
  /** Counts live records that have an owner. */
  countByTenant(tenant: TenantKey, call: StoreCall): Awaitable<number>;
  /** Counts the different owners of live records. */
  countOwners(tenant: TenantKey, call: StoreCall): Awaitable<number>;
  /** Ends every record, with or without an owner; answers how many. May work in batches: each record is atomic. */
  deleteByTenant(tenant: TenantKey, ending: Ending, call: StoreCall): Awaitable<number>;
}

/** Ability: remove garbage. */
export interface Pruning {
  /**
   * Removes at most `limit` records and tombstones of all spaces with `deadline <= before`, oldest first; answers how
   * many. Cost grows with what is removed, not with what lives.
   */
  prune(before: number, limit: number, call: StoreCall): Awaitable<number>;
}

/** A page of everything a store holds, in an order of its own. */
export interface ReplicaPage {
  readonly entries: readonly (StoredRecord | Tombstone)[];
  readonly cursor: string | null;
}

/** Ability: be copied from and to, for `mirrored` and `resync`. */
export interface Replication {
  /** Pages through every record and tombstone of all spaces; what is written meanwhile may be missed. */
  scan(page: PageRequest, call: StoreCall): Awaitable<ReplicaPage>;
  /**
   * Stores a copy as it is, if it is newer than what is held: a tombstone replaces any record, nothing replaces a
   * tombstone, a record replaces one of a lower version. Atomic; answers whether it was stored.
   */
  apply(entry: StoredRecord | Tombstone, call: StoreCall): Awaitable<boolean>;
}

/** A lock: `route` says with which records it must live together, as for a record. */
export interface LockKey {
  readonly space: string;
  readonly route: number;
  /** Digest of the lock's name: 43 characters. Locks and records never meet, whatever they are called. */
  readonly lock: string;
}

/** A lock in somebody's hands. */
export interface HeldLock {
  /** `LockKey.lock` of it. */
  readonly lock: string;
  readonly holder: string;
}

/** What became of an attempt to take a lock. */
export type Acquisition =
  /** Held from now on. `fence` is greater than that of every holder before: a positive safe integer. */
  | { readonly status: "acquired"; readonly fence: number }
  /** Somebody else holds it, for so many milliseconds more unless they renew or release it. */
  | { readonly status: "held"; readonly remaining: number };

/**
 * Ability: locks that all processes respect which share the storage. A lease ends by the clock of the store's server,
 * where it has one, else by `call.now`: a holder that does not renew it in time has lost the lock.
 */
export interface Locking {
  /**
   * Takes the lock for `lease` milliseconds unless another holder has it, in one atomic step; never waits. For the
   * holder that has it already, the lease starts anew and the fence stays: a lost answer is settled by asking again.
   */
  acquireLock(key: LockKey, holder: string, lease: number, call: StoreCall): Awaitable<Acquisition>;
  /** Starts the lease anew if this holder still has the lock; answers whether it has. */
  renewLock(key: LockKey, holder: string, lease: number, call: StoreCall): Awaitable<boolean>;
  /** Frees the lock if this holder still has it; answers whether it had. */
  releaseLock(key: LockKey, holder: string, call: StoreCall): Awaitable<boolean>;
  /**
   * As `update`, but only while this holder has the lock: in one atomic step with that, so that whoever takes the lock
   * next finds the write, and no write of this holder comes after. Answers `lost`, before all else, when the holder has
   * it no more; then nothing has changed. The lock lives with the record: it has the same space and route.
   */
  updateUnderLock(
    key: RecordKey,
    expectedVersion: number,
    change: RecordChange,
    held: HeldLock,
    call: StoreCall,
  ): Awaitable<"updated" | "conflict" | "missing" | "lost">;
}

/** Hears what is written, by whichever process. What it throws is ignored. */
export interface InvalidationListener {
  /** A record was updated or ended. Sometimes also told of one that was not. */
  changed(lookup: string): void;
  /** A lock was released; one whose lease ran out is not told. */
  released(lock: string): void;
  /** From here on messages may be missing: whatever was kept because none came must go. */
  lost(): void;
  /** Messages arrive again. */
  restored(): void;
}

/** Ability: tell what is written, so that other processes need not ask. */
export interface Invalidations {
  /**
   * Listens until the returned function is called. Once it has resolved, every write that any handle acknowledges is
   * told, in the order of the writes to one record, unless `lost` says otherwise; also those of this handle.
   */
  subscribe(listener: InvalidationListener, call: StoreCall): Awaitable<() => Awaitable<void>>;
}

/**
 * Ability: answer `read` from a cache, unless `call.fresh`; with live records only. Where such a record does not let its
 * token in, the engine asks again.
 */
export interface Caching {
  /** How old an answer can be at most, in milliseconds. */
  readonly staleness: number;
}

/**
 * Ability of what stands in the place of a store where clients carry their records themselves: see `sealedCookie`. Between
 * `present` and the end of the request, the four methods work on what was kept.
 */
export interface Carrying {
  /** As `read`, of the record that a client brought, unless a newer version is known here, or its end. Keeps nothing. */
  present(key: RecordKey, carried: string, call: StoreCall): Awaitable<StoredRecord | Tombstone | null>;
  /** Keeps a record that was opened, so that it can be written; never in the place of a newer version, or of its end. */
  keep(record: StoredRecord): void;
  /** A record as text that the client can carry. */
  pack(record: StoredRecord): string;
}

/** Something an operator should know of, although no call failed. */
export interface StoreWarning {
  /** Which, in a word or two: `unsafe-eviction`. */
  readonly code: string;
  /** What it is and what to do; it names no session. */
  readonly message: string;
}

/** Ability: warn. */
export interface Warning {
  /** Calls the listener with each warning from now on, and with those there were before. */
  onWarning(listener: (warning: StoreWarning) => void): void;
}

/** Ability: let go of what the store opened itself (never the client the application passed). */
export interface Closing {
  close(): Awaitable<void>;
}

/** Tells a tombstone from a live record. */
export function isTombstone(found: StoredRecord | Tombstone): found is Tombstone {
  return "endedAt" in found;
}

/** Feature tests: the engine asks which ability a store has, never which store it is. */
export function hasOwnerIndex<S extends Store>(store: S): store is S & OwnerIndex {
  return "listByOwner" in store;
}

/** Whether all of a user's records can be ended, as with an owner index, though perhaps not listed. */
export function canEndByOwner<S extends Store>(store: S): store is S & Pick<OwnerIndex, "deleteByOwner"> {
  return "deleteByOwner" in store;
}

export function canAdmit<S extends Store>(store: S): store is S & Admitting {
  return "admit" in store;
}

export function hasTenantIndex<S extends Store>(store: S): store is S & TenantIndex {
  return "listByTenant" in store;
}

export function canPrune<S extends Store>(store: S): store is S & Pruning {
  return "prune" in store;
}

export function canReplicate<S extends Store>(store: S): store is S & Replication {
  return "apply" in store && "scan" in store;
}

export function canLock<S extends Store>(store: S): store is S & Locking {
  return "acquireLock" in store;
}

export function hasInvalidations<S extends Store>(store: S): store is S & Invalidations {
  return "subscribe" in store;
}

export function isCarrying<S extends Store>(store: S): store is S & Carrying {
  return "present" in store;
}

export function isCaching<S extends Store>(store: S): store is S & Caching {
  return "staleness" in store;
}

export function canWarn<S extends Store>(store: S): store is S & Warning {
  return "onWarning" in store;
}

export function canClose<S extends Store>(store: S): store is S & Closing {
  return "close" in store;
}
