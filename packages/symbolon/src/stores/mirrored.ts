/** A store made of stores: one is read, the others are kept equal to it, ready to take its place. */
import {
  type Admitting,
  type Awaitable,
  canAdmit,
  canClose,
  canLock,
  canPrune,
  canReplicate,
  canWarn,
  type Closing,
  hasOwnerIndex,
  hasTenantIndex,
  isCaching,
  isTombstone,
  type Locking,
  type OwnerIndex,
  type OwnerKey,
  type Pruning,
  type RecordChange,
  type RecordKey,
  type RecordPage,
  type Replication,
  type Store,
  type StoreCall,
  type TenantIndex,
  type Warning,
} from "../core/store.ts";
import { NotSupportedError, OptionsError } from "../errors.ts";
import { type PassedOn, passOn } from "./shared/pass-on.ts";
import { type MirrorFailure, mirrorSet, type MirrorTarget, type MirrorWork } from "./shared/mirror-set.ts";

export type { MirrorFailure } from "./shared/mirror-set.ts";

/** Options of `mirrored`. */
export interface MirroredOptions {
  /**
   * How long a write waits for a mirror before the mirror counts as failed, in milliseconds; 1000 unless told. Keep it
   * under the session manager's own time-out, and long enough for ending all sessions of a tenant.
   */
  readonly timeout?: number;
  /** Told when a mirror fails; what it throws is ignored. */
  readonly onMirrorFailure?: (failure: MirrorFailure) => void;
  /** Where `resync` takes the time from; the machine's clock unless told. */
  readonly clock?: { now(): number };
}

/** What `mirrored` adds to a store. */
export interface Mirroring {
  /** The state of each mirror now; one that failed is left alone until `resync`. */
  readonly mirrors: readonly { readonly failed: boolean }[];
  /**
   * Makes every mirror equal to the primary and trusts it again, unless it fails meanwhile; answers how many entries
   * each took over. Requests go on.
   *
   * @throws {NotSupportedError} when the primary cannot be scanned.
   * @throws {StoreUnavailableError} when the primary fails; no mirror is trusted then.
   */
  resync(): Promise<{ readonly copied: number }[]>;
}

/** The abilities of the primary, and mirroring. */
export type MirroredStore<P extends Store = Store> = Store &
  Mirroring &
  PassedOn<P> &
  (P extends Warning ? Warning : unknown) &
  (P extends Closing ? Closing : unknown);

/**
 * Reads the primary; writes the primary first, then all mirrors at once, and has the primary's abilities.
 *
 * A mirror never fails a request: an error or a time-out marks it failed, and from then on it is left alone until
 * `resync()`. A mirror takes only newer versions, and what was ended stays ended, in whatever order writes arrive,
 * also from several processes. When the primary does not acknowledge a write, mirrors are given what it then shows.
 * Ending a whole tenant may, at mirrors, also end a session that began at that moment. `close` closes all.
 *
 * @throws {OptionsError} when a mirror cannot take copies, the primary is a cache, or `timeout` is not a positive number.
 */
export function mirrored<P extends Store>(
  primary: P,
  others: readonly Store[],
  options?: MirroredOptions,
): MirroredStore<P>;
export function mirrored(primary: Store, others: readonly Store[], options: MirroredOptions = {}): Store & Mirroring {
  const { timeout = 1000, onMirrorFailure, clock = Date } = options;
  if (!Number.isFinite(timeout) || timeout <= 0) {
    throw new OptionsError("mirrored: `timeout` must be a positive number of milliseconds.");
  }
  if (isCaching(primary)) {
    throw new OptionsError(
      "mirrored: copies are made of what the primary holds now; write cached(near, mirrored(...)).",
    );
  }
  const onFailure = (failure: MirrorFailure) => onMirrorFailure?.(failure);
  const mirrors = mirrorSet(primary, others.map(checkMirror), { timeout, clock, onFailure });
  const { atAll, catchUp, copy, failAll } = mirrors;

  /** Writes at the primary. When that throws, it may have been applied all the same, so mirrors are repaired. */
  async function writePrimary<T>(now: number, write: () => Awaitable<T>, repair: MirrorWork): Promise<T> {
    try {
      return await write();
    } catch (error) {
      await atAll(now, repair);
      throw error;
    }
  }

  /** The repair after a write of one record. */
  function catchingUp(key: RecordKey): MirrorWork {
    return (mirror, call) => catchUp(key, mirror, call);
  }

  /** Updates a record at the primary and, if that did, at the mirrors, which have no locks of their own to look at. */
  async function updateAll<A extends string>(
    key: RecordKey,
    expectedVersion: number,
    change: RecordChange,
    call: StoreCall,
    atPrimary: () => Awaitable<A>,
  ): Promise<A> {
    const answer = await writePrimary(call.now, atPrimary, catchingUp(key));
    if (answer !== "updated") return answer;
    await atAll(call.now, async (mirror, limited) => {
      const mirrorAnswer = await mirror.update(key, expectedVersion, change, limited);
      if (mirrorAnswer !== "updated") await catchUp(key, mirror, limited);
    });
    return answer;
  }

  /** Ends many records everywhere. When the primary throws, nobody knows which of them ended there. */
  async function endMany(now: number, atPrimary: () => Awaitable<number>, atMirror: MirrorWork): Promise<number> {
    try {
      const ended = await atPrimary();
      await atAll(now, atMirror);
      return ended;
    } catch (error) {
      failAll(error);
      throw error;
    }
  }

  /** Ends at a mirror what ended at the primary: to end all that it holds would end what the user began since. */
  async function catchUpOwner(owner: OwnerKey, mirror: MirrorTarget & OwnerIndex, call: StoreCall): Promise<void> {
    // At the beginning of time nothing is past its deadline, so the list holds garbage too.
    const always = { now: 0, signal: call.signal };
    let cursor: string | null = null;
    do {
      const page: RecordPage = await mirror.listByOwner(owner, { cursor, limit: 100 }, always);
      for (const record of page.records) await catchUp(record, mirror, call);
      cursor = page.cursor;
    } while (cursor !== null);
  }

  /** Ends at a mirror what the new record replaced, unless that is another's: then the primary let it be. */
  async function catchUpReplaced(
    by: OwnerKey,
    lookup: string | null,
    mirror: MirrorTarget,
    call: StoreCall,
  ): Promise<void> {
    if (lookup === null) return;
    const key: RecordKey = { space: by.space, route: by.route, lookup };
    // Another's record lives at another route, where a primary that shards would not be asked for it.
    const held = await mirror.read(key, call);
    const isAnothers = held !== null && !isTombstone(held) && held.owner !== by.owner;
    if (!isAnothers) await catchUp(key, mirror, call, { reason: "replaced", at: call.now });
  }

  const store: Store & Mirroring = {
    ...passOn(primary),

    get mirrors() {
      return mirrors.states();
    },

    async resync() {
      if (canReplicate(primary)) return mirrors.resync(primary);
      throw new NotSupportedError("mirrored: the primary cannot be scanned, so nothing can be copied from it.");
    },

    read: (key, call) => primary.read(key, call),

    async create(record, call) {
      const answer = await writePrimary(call.now, () => primary.create(record, call), catchingUp(record));
      if (answer === "created") await atAll(call.now, (mirror, limited) => copy(record, mirror, limited));
      return answer;
    },

    update: (key, expectedVersion, change, call) =>
      updateAll(key, expectedVersion, change, call, () => primary.update(key, expectedVersion, change, call)),

    async delete(key, ending, call) {
      const answer = await writePrimary(call.now, () => primary.delete(key, ending, call), catchingUp(key));
      await atAll(call.now, async (mirror, limited) => {
        // The tombstone is copied: a delete leaves none at a mirror that the record has not reached yet.
        await catchUp(key, mirror, limited, ending);
      });
      return answer;
    },
  };

  if (hasOwnerIndex(primary)) {
    const ability: Pick<OwnerIndex, "deleteByOwner"> = {
      deleteByOwner: (owner, except, ending, call) =>
        endMany(
          call.now,
          () => primary.deleteByOwner(owner, except, ending, call),
          (mirror, limited) => catchUpOwner(owner, withOwners(mirror), limited),
        ),
    };
    Object.assign(store, ability);
  }

  if (canAdmit(primary)) {
    const ability: Admitting = {
      async admit(record, rules, call) {
        const admission = await writePrimary(
          call.now,
          () => primary.admit(record, rules, call),
          async (mirror, limited) => {
            await catchUp(record, mirror, limited);
            // Nobody knows who gave way, so all that the mirror holds of the owner is compared.
            await catchUpOwner(record, withOwners(mirror), limited);
          },
        );
        if (admission.status !== "created") return admission;
        await atAll(call.now, async (mirror, limited) => {
          for (const evicted of admission.evicted) {
            await catchUp(evicted, mirror, limited, { reason: "evicted", at: call.now });
          }
          await catchUpReplaced(record, rules.replacing, mirror, limited);
          await copy(record, mirror, limited);
        });
        return admission;
      },
    };
    Object.assign(store, ability);
  }

  if (hasTenantIndex(primary)) {
    const ability: Pick<TenantIndex, "deleteByTenant"> = {
      deleteByTenant: (tenant, ending, call) =>
        endMany(
          call.now,
          () => primary.deleteByTenant(tenant, ending, call),
          (mirror, limited) => withTenants(mirror).deleteByTenant(tenant, ending, limited),
        ),
    };
    Object.assign(store, ability);
  }

  if (canPrune(primary)) {
    const ability: Pruning = {
      async prune(before, limit, call) {
        const removed = await primary.prune(before, limit, call);
        // A mirror that keeps garbage is still equal, so this failure is told and no more.
        await atAll(call.now, (mirror, limited) => canPrune(mirror) && mirror.prune(before, limit, limited), "report");
        return removed;
      },
    };
    Object.assign(store, ability);
  }

  if (canLock(primary)) {
    const ability: Pick<Locking, "updateUnderLock"> = {
      updateUnderLock: (key, expectedVersion, change, held, call) =>
        updateAll(key, expectedVersion, change, call, () =>
          primary.updateUnderLock(key, expectedVersion, change, held, call),
        ),
    };
    Object.assign(store, ability);
  }

  if (canWarn(primary)) {
    const ability: Warning = { onWarning: (listener) => primary.onWarning(listener) };
    Object.assign(store, ability);
  }

  if (canReplicate(primary)) {
    const ability: Pick<Replication, "apply"> = {
      async apply(entry, call) {
        const taken = await writePrimary(call.now, () => primary.apply(entry, call), catchingUp(entry));
        if (taken) await atAll(call.now, (mirror, limited) => copy(entry, mirror, limited));
        return taken;
      },
    };
    Object.assign(store, ability);
  }

  const closing = [primary, ...others].filter(canClose);
  if (closing.length > 0) {
    const ability: Closing = {
      async close() {
        const results = await Promise.allSettled(closing.map(async (one) => one.close()));
        for (const result of results) if (result.status === "rejected") throw result.reason;
      },
    };
    Object.assign(store, ability);
  }

  return store;
}

function checkMirror(store: Store, place: number): MirrorTarget {
  if (canReplicate(store)) return store;
  throw new OptionsError(`mirrored: mirror ${place} cannot take copies; use a store that has 'scan' and 'apply'.`);
}

function withOwners(mirror: MirrorTarget): MirrorTarget & OwnerIndex {
  if (hasOwnerIndex(mirror)) return mirror;
  throw new NotSupportedError("The mirror cannot end all sessions of a user, as the primary did.");
}

function withTenants(mirror: Store): TenantIndex {
  if (hasTenantIndex(mirror)) return mirror;
  throw new NotSupportedError("The mirror cannot end all sessions of a tenant, as the primary did.");
}
