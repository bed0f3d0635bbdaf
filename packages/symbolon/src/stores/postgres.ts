/** A store in PostgreSQL, through the application's own pool of `pg` or postgres.js. */
import type { Closing, Invalidations } from "../core/store.ts";
import { applyMissing, type Migration } from "./shared/migrations.ts";
import type { PostgresClient } from "./shared/postgres-client.ts";
import { postgresDialect } from "./shared/postgres-dialect.ts";
import { postgresJsClient, postgresJsLinks } from "./shared/postgres-js.ts";
import { postgresListening } from "./shared/postgres-listening.ts";
import { pgClient, pgLinks } from "./shared/postgres-pg.ts";
import {
  migrationsFor,
  type PostgresTableOptions,
  type PostgresTables,
  postgresTables,
} from "./shared/postgres-tables.ts";
import { attempt, type SqlClient } from "./shared/sql-client.ts";
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
  /**
   * Whether writes are told to the processes that listen, as `cached` does; false unless told. Every write then has a
   * `NOTIFY` in it, and PostgreSQL commits such writes one after the other. Listening takes one connection per process,
   * which PgBouncer must not hand out by transaction.
   */
  readonly invalidations?: boolean;
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

/** A store that also tells what is written; `close` lets go of the connection that listens. */
export type TellingPostgresStore = PostgresStore & Invalidations & Closing;

/**
 * Keeps records in tables; takes a `Pool` of `pg`, or what `postgres()` of postgres.js makes, and never closes it. Makes
 * no table unasked: run `migrate()` once, or the statements of `postgresMigrations()` yourself.
 *
 * A read is one statement by primary key. A write is one conditional statement, or a READ COMMITTED transaction where it
 * has to be several; what the server undid because of a deadlock is repeated while the caller waits. What was
 * acknowledged survives what the server's `synchronous_commit` lets survive. Leases of locks end by the server's clock.
 *
 * A call whose signal is aborted cancels its statement (postgres.js) or closes its connection (`pg`), so that the pool
 * can open another: the server may still finish a statement that it had received.
 *
 * @throws {OptionsError} when a name is not a plain word.
 */
export function postgresStore(
  client: PostgresClient,
  options: PostgresStoreOptions & { readonly invalidations: true },
): TellingPostgresStore;
export function postgresStore(client: PostgresClient, options?: PostgresStoreOptions): PostgresStore;
export function postgresStore(
  client: PostgresClient,
  options: PostgresStoreOptions = {},
): PostgresStore | TellingPostgresStore {
  const { prepare = true, invalidations = false } = options;
  const tables = postgresTables(options);
  const [sql, links] =
    "connect" in client
      ? [pgClient(client, tables.sessions, prepare), pgLinks(client)]
      : [postgresJsClient(client, tables.sessions, prepare), postgresJsLinks(client)];
  const store = {
    ...sqlStore(sql, postgresDialect(tables, invalidations ? tables.channel : null)),
    migrate: () => migrate(sql, tables, migrationsFor(options)),
  };
  return invalidations ? { ...store, ...postgresListening(links, tables.channel) } : store;
}

function migrate(sql: SqlClient, { migrations }: PostgresTables, all: readonly Migration[]): Promise<number[]> {
  const { signal } = new AbortController();
  const lock = { kind: "migrations", number: 0 } as const;
  return attempt(sql, signal, () => sql.transaction([lock], signal, (run) => applyMissing(run, migrations, all)));
}

/**
 * The steps of `migrate()`, for those who run their own.
 *
 * @throws {OptionsError} when a name is not a plain word.
 */
export function postgresMigrations(options: PostgresTableOptions = {}): readonly Migration[] {
  return migrationsFor(options);
}
