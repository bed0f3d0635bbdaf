/** What the databases behind `sqlStore` do differently. */
import type { Ending, HeldLock, LockKey, RecordChange, RecordKey } from "../../core/store.ts";
import type { Run } from "./sql-client.ts";
import type { SqlValue } from "./sql-rows.ts";
import type { SqlStatements } from "./sql-statements.ts";

/** Which live records end: a condition of `sqlStatements`, its values, and how many at most. */
export interface Ended {
  readonly where: string;
  readonly values: readonly SqlValue[];
  readonly limit?: number;
}

/** One database's own ways. */
export interface SqlDialect {
  readonly statements: SqlStatements;
  /** Whether `end`, `prune` and `locks.update` are several statements, and so no single step without a transaction. */
  readonly needsTransactions: boolean;
  /** A condition, and its values, that excludes these lookups. */
  except(lookups: readonly string[]): { readonly where: string; readonly values: readonly SqlValue[] };
  /** Ends live records, and leaves no tombstone that is garbage already; answers how many. */
  end(run: Run, ended: Ended, ending: Ending, now: number): Promise<number>;
  /** Deletes what is due, unless somebody else is about to; answers how many. */
  prune(run: Run, bucket: number, before: number, limit: number): Promise<number>;
  readonly locks: LockStatements;
}

/**
 * What is done about locks; the server's clock decides, in microseconds since the epoch. The row of a lock that is free
 * stays for a while: should the clock be set back, the next fence is greater all the same. `expires_at` is when the lease
 * ends; of a lock that was released it is less than 0, and says when that was.
 */
export interface LockStatements {
  /**
   * Takes the lock for so many microseconds if it is free or this holder's; answers who has it then. Null when it was
   * freed between the attempt and the look at it.
   */
  acquire(run: Run, key: LockKey, holder: string, lease: number): Promise<LockHolder | null>;
  /** microseconds, space, lock, holder */
  readonly renew: string;
  /** space, lock, holder */
  readonly release: string;
  /**
   * Updates a record if this holder has the lock until that is committed. The record's row is waited for first: so a
   * lease that ends meanwhile is found to have ended, and nobody who wants the lock waits for whoever has the row.
   */
  update(
    run: Run,
    key: RecordKey,
    expectedVersion: number,
    change: RecordChange,
    held: HeldLock,
  ): Promise<"updated" | "conflict" | "missing" | "lost">;
  /** for how many microseconds it must have been free, the same again, limit */
  readonly prune: string;
}

/** Who has a lock. */
export interface LockHolder {
  readonly holder: string;
  readonly fence: number;
  /** In milliseconds. */
  readonly remaining: number;
}
