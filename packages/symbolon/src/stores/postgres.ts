/** A store in PostgreSQL, through the application's own pool of `pg` or postgres.js. */
import { applyMissing, type Migration } from "./shared/migrations.ts";
import type { PostgresClient } from "./shared/postgres-client.ts";
import { postgresDialect } from "./shared/postgres-dialect.ts";
import { postgresJsClient } from "./shared/postgres-js.ts";
import { pgClient } from "./shared/postgres-pg.ts";
import { migrationsFor, type PostgresTableOptions, postgresTables } from "./shared/postgres-tables.ts";
import { attempt } from "./shared/sql-client.ts";
import { type SqlStore, sqlStore } from "./shared/sql-store.ts";

export type { Migration } from "./shared/migrations.ts";
export type { PostgresClient } from "./shared/postgres-client.ts";

/** Options of `postgresStore`. */
export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * Whether a connection plans each statement only once; true unless told. Write false when PgBouncer before 1.21 hands
   * out connections by transaction.
   */
  readonly prepare?: boolean;
}

/** What `postgresStore` can do. */
export interface PostgresStore extends SqlStore {
  /**
   * Makes the tables, or what is missing of them, in one transaction; answers the versions that were applied. Several
   * processes may call it at once: the others wait.
   *
   * @throws {StoreUnavailableError} when a statement fails; then nothing was made.
   */
  migrate(): Promise<readonly number[]>;
}

export function postgresStore(client: PostgresClient, options: PostgresStoreOptions = {}): PostgresStore {
  const tables = postgresTables(options);
  const { prepare = true } = options;
  const sql =
    "connect" in client
      ? pgClient(client, tables.sessions, prepare)
      : postgresJsClient(client, tables.sessions, prepare);
  const patient = { now: Date.now(), signal: new AbortController().signal };

  return {
    ...sqlStore(sql, postgresDialect(tables, null)),
    migrate: () =>
      attempt(sql, patient, () =>
        sql.transaction([{ kind: "migrations", number: 0 }], patient.signal, (run) =>
          applyMissing(run, tables.migrations, migrationsFor(options)),
        ),
      ),
  };
}

/**
 * The steps of `migrate()`, for those who run their own.
 *
 * @throws {OptionsError} when a name is not a plain word.
 */
export function postgresMigrations(options: PostgresTableOptions = {}): readonly Migration[] {
  return migrationsFor(options);
}
