/** What `postgres()` of postgres.js makes, as a `SqlClient`. */
import { DATABASE, diagnose, ISOLATION, lockText, numbered } from "./postgres-client.ts";
import { type Run, type SqlAnswer, type SqlClient, unlessAborted } from "./sql-client.ts";
import type { SqlValue } from "./sql-rows.ts";

/** The methods of postgres.js that are used. */
export interface PostgresJs extends PostgresJsRunner {
  begin(options: string, work: (sql: PostgresJsRunner) => Promise<unknown>): Promise<unknown>;
  listen(channel: string, onMessage: (message: string) => void, onListen: () => void): Promise<PostgresJsListening>;
}

/** Runs statements: the pool, or a transaction. */
export interface PostgresJsRunner {
  unsafe(text: string, values: SqlValue[], options: { readonly prepare: boolean }): PostgresJsQuery;
}

/** A query that was not sent yet. */
export interface PostgresJsQuery {
  values(): Promise<PostgresJsRows> & { cancel(): unknown };
}

/** Rows as lists of values. */
export interface PostgresJsRows extends ReadonlyArray<unknown[]> {
  readonly count: number | null;
}

/** What `listen` answers. */
export interface PostgresJsListening {
  unlisten(): Promise<void>;
}

/** The pool chooses a connection for each statement and each transaction. */
export function postgresJsClient(sql: PostgresJs, table: string, prepare: boolean): SqlClient {
  async function query(
    runner: PostgresJsRunner,
    text: string,
    values: readonly SqlValue[],
    signal: AbortSignal,
  ): Promise<SqlAnswer> {
    const pending = runner.unsafe(numbered(text).text, [...values], { prepare }).values();
    const cancel = (): void => void Promise.resolve(pending.cancel()).catch(() => undefined);
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const rows = await unlessAborted(pending, signal);
      return { rows, affected: rows.count ?? 0 };
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  }

  async function transaction<T>(
    locks: Parameters<SqlClient["transaction"]>[0],
    signal: AbortSignal,
    work: (run: Run) => Promise<T>,
  ): Promise<T> {
    const done = sql.begin(ISOLATION, async (runner) => {
      const run: Run = (text, values) => query(runner, text, values, signal);
      for (const lock of locks) await run(lockText(lock, table), []);
      return work(run);
    });
    return (await unlessAborted(done, signal)) as T;
  }

  return {
    database: DATABASE,
    diagnose,
    run: (text, values, signal) => query(sql, text, values, signal),
    transaction,
  };
}
