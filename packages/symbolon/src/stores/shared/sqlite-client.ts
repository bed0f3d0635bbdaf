/** The SQLite clients as this package sees them. */
import type { SqlValue } from "./sql-rows.ts";

/** What is bound to a statement. */
export type SqliteValue = SqlValue;

/** A prepared statement of the client. */
export interface SqliteStatement {
  get(...values: SqliteValue[]): unknown;
  all(...values: SqliteValue[]): unknown[];
  run(...values: SqliteValue[]): { readonly changes: number | bigint };
}

/** The client's methods that are used; those of `node:sqlite`, `better-sqlite3` and `libsql` alike. */
export interface SqliteClient {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  /** False once the client is closed, where the client says so; `node:sqlite` has a method of this name. */
  readonly open?: unknown;
}

const PATIENCE_MS = 10_000;
const RETRY_AFTER_MS = 20;

/** Does the work in one transaction, all of it or, when it throws or its answer is not kept, nothing; leaves none open. */
export function inTransaction<T>(client: SqliteClient, work: () => T, isKept: (answer: T) => boolean = () => true): T {
  // The lock is taken first, because only here are other processes waited for: not when a reader begins to write.
  client.exec("BEGIN IMMEDIATE");
  try {
    const answer = work();
    client.exec(isKept(answer) ? "COMMIT" : "ROLLBACK");
    return answer;
  } catch (error) {
    rollBack(client);
    throw error;
  }
}

function rollBack(client: SqliteClient): void {
  try {
    client.exec("ROLLBACK");
  } catch {
    // There is none any more: SQLite ends a transaction itself when, for one, the disk is full.
  }
}

/** Changing the journal mode, and the first look at a schema in motion, answer busy at once whatever the time-out. */
export function patiently<T>(work: () => T): T {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return work();
    } catch (error) {
      if (!isBusy(error) || performance.now() > until) throw error;
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_AFTER_MS);
  }
}

/** The clients name their codes differently; the text is SQLite's own. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && /\b(?:is locked|schema has changed)\b/.test(error.message);
}
