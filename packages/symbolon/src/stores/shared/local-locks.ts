/** Locks of one process. */
import type { Acquisition, LockKey } from "../../core/store.ts";

interface Held {
  readonly holder: string;
  readonly fence: number;
  until: number;
}

/** Locks by key; instants in ms since the epoch. */
export interface LocalLocks {
  acquire(key: LockKey, holder: string, lease: number, now: number): Acquisition;
  renew(key: LockKey, holder: string, lease: number, now: number): boolean;
  release(key: LockKey, holder: string, now: number): boolean;
  isHeld(key: LockKey, holder: string, now: number): boolean;
}

/** Locks whose lease ran out are looked for once there are so many. */
const MANY = 10_000;

/** Makes locks that nobody holds. */
export function localLocks(): LocalLocks {
  const locks = new Map<string, Held>();
  /** One count for all locks: so a lock that is free needs not be remembered. */
  let lastFence = 0;

  function heldBy(key: LockKey, holder: string, now: number): Held | null {
    const lock = locks.get(nameOf(key));
    return lock?.holder === holder && lock.until > now ? lock : null;
  }

  function forgetEnded(now: number): void {
    if (locks.size < MANY) return;
    for (const [name, { until }] of locks) if (until <= now) locks.delete(name);
  }

  return {
    acquire(key, holder, lease, now) {
      const lock = locks.get(nameOf(key));
      if (lock !== undefined && lock.until > now) {
        if (lock.holder !== holder) return { status: "held", remaining: lock.until - now };
        lock.until = now + lease;
        return { status: "acquired", fence: lock.fence };
      }
      forgetEnded(now);
      const fence = ++lastFence;
      locks.set(nameOf(key), { holder, until: now + lease, fence });
      return { status: "acquired", fence };
    },

    renew(key, holder, lease, now) {
      const lock = heldBy(key, holder, now);
      if (lock !== null) lock.until = now + lease;
      return lock !== null;
    },

    release(key, holder, now) {
      return heldBy(key, holder, now) !== null && locks.delete(nameOf(key));
    },

    isHeld: (key, holder, now) => heldBy(key, holder, now) !== null,
  };
}

/** The length keeps two pairs of texts from sharing a name. */
function nameOf({ space, lock }: LockKey): string {
  return `${space.length}:${space}${lock}`;
}
