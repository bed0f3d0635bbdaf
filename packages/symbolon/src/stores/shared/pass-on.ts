/** The abilities of a store that is wrapped, as they are. */
import type {
  Admitting,
  Invalidations,
  Locking,
  OwnerIndex,
  Pruning,
  Replication,
  Store,
  TenantIndex,
} from "../../core/store.ts";

/** What a store that is wrapped can do as before. */
export type PassedOn<S extends Store> = (S extends OwnerIndex ? OwnerIndex : unknown) &
  (S extends Admitting ? Admitting : unknown) &
  (S extends TenantIndex ? TenantIndex : unknown) &
  (S extends Pruning ? Pruning : unknown) &
  (S extends Locking ? Locking : unknown) &
  (S extends Invalidations ? Invalidations : unknown) &
  (S extends Replication ? Replication : unknown);

type Abilities = OwnerIndex & Admitting & TenantIndex & Pruning & Locking & Invalidations & Replication;

const METHODS: readonly (keyof Abilities)[] = [
  ...(["listByOwner", "countByOwner", "deleteByOwner", "admit"] as const),
  ...(["listByTenant", "countByTenant", "countOwners", "deleteByTenant", "prune"] as const),
  ...(["acquireLock", "renewLock", "releaseLock", "updateUnderLock", "subscribe", "scan", "apply"] as const),
];

/** Methods that call the store's own, for the abilities it has; not `close` and `onWarning`, which a wrapper has itself. */
export function passOn(store: Store): Partial<Abilities> {
  const given = store as Store & Partial<Record<keyof Abilities, (...args: unknown[]) => unknown>>;
  const passed = METHODS.filter((method) => method in store).map((method) => [
    method,
    (...args: unknown[]) => given[method]?.(...args),
  ]);
  return Object.fromEntries(passed) as Partial<Abilities>;
}
