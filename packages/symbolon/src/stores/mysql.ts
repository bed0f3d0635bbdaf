/** A store in MySQL or MariaDB, through the application's own pool of `mysql2/promise`. */
import { applyMissing, type Migration } from "./shared/migrations.ts";
import { type MysqlClient, mysqlClient } from "./shared/mysql-client.ts";
import { mysqlDialect } from "./shared/mysql-dialect.ts";
import { migrationsFor, type MysqlTableOptions, mysqlTables } from "./shared/mysql-tables.ts";
import { attempt, type Run } from "./shared/sql-client.ts";
import { type SqlStore, sqlStore } from "./shared/sql-store.ts";

export type { Migration } from "./shared/migrations.ts";
export type { MysqlClient, MysqlConnection, MysqlStatement } from "./shared/mysql-client.ts";

/** Options of `mysqlStore`. */
export type MysqlStoreOptions = MysqlTableOptions;

/** What `mysqlStore` can do. */
export interface MysqlStore extends SqlStore {
  /**
   * Makes the tables, or what is missing of them, in the database that the connections use; answers the versions that
   * were applied. Several processes may call it at once: the others wait, a minute at most. A step that failed midway is
   * repeated by the next call, since MySQL cannot undo it.
   *
   * @throws {StoreUnavailableError} when a statement fails.
   */
  migrate(): Promise<readonly number[]>;
}

const WAIT_FOR_MIGRATION_S = 60;

/**
 * Keeps records in InnoDB tables; takes a pool of `mysql2/promise`, which is never closed here. Makes no table unasked:
 * run `migrate()` once, or the statements of `mysqlMigrations()` yourself.
 *
 * A read is one statement by primary key. A write is one conditional statement, or a READ COMMITTED transaction where it
 * has to be several; deadlocks are repeated while the caller waits. What was acknowledged survives what the server's
 * `innodb_flush_log_at_trx_commit` lets survive. Leases of locks end by the server's clock.
 *
 * A call whose signal is aborted closes its connection, so that the pool can open another: the server may still finish
 * a statement that it had received.
 *
 * @throws {OptionsError} when the table's name is not a plain word.
 */
export function mysqlStore(pool: MysqlClient, options: MysqlStoreOptions = {}): MysqlStore {
  const tables = mysqlTables(options);
  const client = mysqlClient(pool, tables);
  const { signal } = new AbortController();

  async function migrateLocked(run: Run): Promise<number[]> {
    const name = tables.migrations.replaceAll("`", "");
    const { rows } = await run("SELECT GET_LOCK(?, ?)", [name, WAIT_FOR_MIGRATION_S]);
    if (Number(rows[0]?.[0]) !== 1) throw new Error("Another migration takes too long.");
    try {
      return await applyMissing(run, tables.migrations, migrationsFor(options));
    } finally {
      await run("SELECT RELEASE_LOCK(?)", [name]);
    }
  }

  return {
    ...sqlStore(client, mysqlDialect(tables)),
    migrate: () => attempt(client, signal, () => client.transaction([], signal, migrateLocked)),
  };
}

/**
 * The steps of `migrate()`, for those who run their own.
 *
 * @throws {OptionsError} when the table's name is not a plain word.
 */
export function mysqlMigrations(options: MysqlStoreOptions = {}): readonly Migration[] {
  return migrationsFor(options);
}
