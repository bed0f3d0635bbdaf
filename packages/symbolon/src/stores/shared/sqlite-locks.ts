/**
 * Locks in a SQLite file, by the time of the call.
 *
 * The row of a lock that is free stays for a while: should the clock be set back, the next fence is greater all the same.
 * `expires_at` is when the lease ends; of a lock that was released it is less than 0, and says when that was.
 */
import type { LockKey, Locking, StoreCall } from "../../core/store.ts";
import { inTransaction, type SqliteClient } from "./sqlite-client.ts";
import type { Prepared } from "./sqlite-tables.ts";

const US_PER_MS = 1000;

interface LockRow {
  readonly holder: string;
  readonly fence: number | bigint;
  readonly expires_at: number | bigint;
}

/** Locks in the file. */
export interface SqliteLocks extends Pick<Locking, "acquireLock" | "renewLock" | "releaseLock"> {
  /** Needs a transaction around it, so that what is then done is one step with it. */
  isHeld(key: LockKey, holder: string, call: StoreCall): boolean;
}

/** Makes the lock's operations; each is one transaction. */
export function sqliteLocks(client: SqliteClient, sql: Prepared): SqliteLocks {
  function find(space: string, lock: string): LockRow | undefined {
    return (sql.findLock.get(space, lock) ?? undefined) as LockRow | undefined;
  }

  function heldBy(space: string, lock: string, holder: string, now: number): LockRow | null {
    const row = find(space, lock);
    return row?.holder === holder && Number(row.expires_at) > now * US_PER_MS ? row : null;
  }

  /** Ends the lease at another instant if this holder still has it. */
  function moveEnd(space: string, lock: string, holder: string, now: number, until: number): boolean {
    return inTransaction(client, () => {
      const row = heldBy(space, lock, holder, now);
      if (row !== null) sql.putLock.run(space, lock, holder, Number(row.fence), until * US_PER_MS);
      return row !== null;
    });
  }

  return {
    acquireLock: ({ space, lock }, holder, lease, { now }) =>
      inTransaction(client, () => {
        const row = find(space, lock);
        const remaining = row === undefined ? 0 : Number(row.expires_at) / US_PER_MS - now;
        const isHeld = remaining > 0;
        if (isHeld && row?.holder !== holder) return { status: "held", remaining };
        const last = Number(row?.fence ?? 0);
        // The clock is ahead of every fence that was handed out, so the rows of free locks need not be kept for ever.
        const fence = isHeld ? last : Math.max(last + 1, now * US_PER_MS);
        sql.putLock.run(space, lock, holder, fence, (now + lease) * US_PER_MS);
        return { status: "acquired", fence };
      }),

    renewLock: ({ space, lock }, holder, lease, { now }) => moveEnd(space, lock, holder, now, now + lease),

    releaseLock: ({ space, lock }, holder, { now }) => moveEnd(space, lock, holder, now, -now),

    isHeld: ({ space, lock }, holder, { now }) => heldBy(space, lock, holder, now) !== null,
  };
}
