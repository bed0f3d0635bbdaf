/** A store in front of a store: records read lately are answered from this process's memory. */
import {
  type Admitting,
  canAdmit,
  canClose,
  canLock,
  canPrune,
  canReplicate,
  canWarn,
  type Caching,
  type Closing,
  hasInvalidations,
  hasOwnerIndex,
  hasTenantIndex,
  type Invalidations,
  isTombstone,
  type Locking,
  type OwnerIndex,
  type Pruning,
  type RecordKey,
  type Replication,
  type Store,
  type StoreCall,
  type StoredRecord,
  type TenantIndex,
  type Tombstone,
  type Warning,
} from "../core/store.ts";
import { OptionsError } from "../errors.ts";
import { invalidationLink } from "./shared/invalidation-link.ts";
import { nearRecords } from "./shared/near-records.ts";
import { type PassedOn, passOn } from "./shared/pass-on.ts";
import { warnings } from "./shared/warnings.ts";

/** How the near side is kept. */
export interface NearOptions {
  /**
   * For how many milliseconds at most an answer may be behind the far store. Default 5000 where that tells what is
   * written; where it does not, say it: for so long a session that another process ended goes on here.
   */
  readonly staleness?: number;
  /** How many records are kept; default 10 000. */
  readonly maxRecords?: number;
}

/** The abilities of the far store, and caching. */
export type CachedStore<F extends Store = Store> = Store & Caching & Closing & Warning & PassedOn<F>;

/**
 * Answers reads of live records from memory, for `staleness` milliseconds after they were read from the far store; all
 * else goes there, and what this process writes is forgotten here before and after.
 *
 * Where the far store tells what is written (`invalidations: true`), records that others write are forgotten as soon as
 * the message arrives: a revocation is then known within the way of a message, and within `staleness` at the latest.
 * While that link is not up nothing is kept, and a warning `invalidations-lost` says so.
 *
 * A record from here may let a client in, but turns nobody away: before it refuses, the engine asks the far store.
 * Nothing that ended, and nothing that is absent, is ever kept. `close` closes the far store, too.
 *
 * @throws {OptionsError} for a wrong option, and when `staleness` is missing where nothing tells what is written.
 */
export function cached<F extends Store>(near: NearOptions, far: F): CachedStore<F>;
export function cached(near: NearOptions, far: Store): Store & Caching & Closing & Warning {
  const { staleness, maxRecords } = checkOptions(near, far);
  const kept = nearRecords(maxRecords, staleness);
  const warned = warnings();
  const link = hasInvalidations(far) ? linkTo(far) : null;

  function linkTo(telling: Store & Invalidations): ReturnType<typeof invalidationLink> {
    return invalidationLink(telling, {
      changed: (lookup) => kept.forget(lookup),
      missed: () => kept.forgetAll(),
      onFailure: () => warned.warn(LINK_LOST),
    });
  }

  async function readFar(key: RecordKey, call: StoreCall): Promise<StoredRecord | Tombstone | null> {
    if (link !== null && !link.isUp()) return far.read(key, call);
    const reading = kept.begin(key.lookup);
    let found: StoredRecord | Tombstone | null = null;
    try {
      found = await far.read(key, call);
      return found;
    } finally {
      kept.finish(reading, found === null || isTombstone(found) ? null : found);
    }
  }

  function writing<T>({ lookup }: { readonly lookup: string }, write: () => T): Promise<Awaited<T>> {
    return around(() => kept.forget(lookup), write);
  }

  const store: Store & Caching & Closing & Warning = {
    ...passOn(far),
    staleness,

    read(key, call) {
      link?.open();
      const found = call.fresh === true ? null : kept.find(key.lookup, key.space);
      return found ?? readFar(key, call);
    },

    create: (record, call) => writing(record, () => far.create(record, call)),

    update: (key, expectedVersion, change, call) => writing(key, () => far.update(key, expectedVersion, change, call)),

    delete: (key, ending, call) => writing(key, () => far.delete(key, ending, call)),

    onWarning(listener) {
      if (canWarn(far)) far.onWarning(listener);
      warned.add(listener);
    },

    async close() {
      await link?.close();
      kept.forgetAll();
      if (canClose(far)) await far.close();
    },
  };

  if (hasOwnerIndex(far)) {
    const ability: Pick<OwnerIndex, "deleteByOwner"> = {
      deleteByOwner: (owner, except, ending, call) =>
        around(
          () => kept.forgetWhere((record) => record.owner === owner.owner),
          () => far.deleteByOwner(owner, except, ending, call),
        ),
    };
    Object.assign(store, ability);
  }

  if (canAdmit(far)) {
    const ability: Admitting = {
      admit: (record, rules, call) =>
        around(
          () => kept.forgetWhere(({ owner }) => owner === record.owner),
          () => far.admit(record, rules, call),
        ),
    };
    Object.assign(store, ability);
  }

  if (hasTenantIndex(far)) {
    const ability: Pick<TenantIndex, "deleteByTenant"> = {
      deleteByTenant: (key, ending, call) =>
        around(
          () => kept.forgetWhere(({ space, tenant }) => space === key.space && [null, tenant].includes(key.tenant)),
          () => far.deleteByTenant(key, ending, call),
        ),
    };
    Object.assign(store, ability);
  }

  if (canPrune(far)) {
    const ability: Pruning = {
      prune: (before, limit, call) =>
        around(
          () => kept.forgetWhere(({ deadline }) => deadline <= before),
          () => far.prune(before, limit, call),
        ),
    };
    Object.assign(store, ability);
  }

  if (canLock(far)) {
    const ability: Pick<Locking, "updateUnderLock"> = {
      updateUnderLock: (key, expectedVersion, change, held, call) =>
        writing(key, () => far.updateUnderLock(key, expectedVersion, change, held, call)),
    };
    Object.assign(store, ability);
  }

  if (canReplicate(far)) {
    const ability: Pick<Replication, "apply"> = {
      apply: (entry, call) => writing(entry, () => far.apply(entry, call)),
    };
    Object.assign(store, ability);
  }

  return store;
}

const LINK_LOST = {
  code: "invalidations-lost",
  message: "The store's messages do not arrive; nothing is cached until they do.",
};

/** Before, so that nobody here reads what is about to change; after, for what was read meanwhile. */
async function around<T>(forget: () => void, write: () => T): Promise<Awaited<T>> {
  forget();
  try {
    return await write();
  } finally {
    forget();
  }
}

function checkOptions(near: NearOptions, far: Store): Required<NearOptions> {
  const { staleness = hasInvalidations(far) ? 5000 : undefined, maxRecords = 10_000 } = near;
  if (staleness === undefined) {
    throw new OptionsError(
      "cached: say `staleness`, in milliseconds; or let the far store tell what is written, with `invalidations: true`.",
    );
  }
  if (!Number.isFinite(staleness) || staleness <= 0) {
    throw new OptionsError("cached: `staleness` must be a positive number of milliseconds.");
  }
  if (!Number.isSafeInteger(maxRecords) || maxRecords < 1) {
    throw new OptionsError("cached: `maxRecords` must be a whole number from 1 on.");
  }
  return { staleness, maxRecords };
}
