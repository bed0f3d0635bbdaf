/** A store in PostgreSQL, through the application's own `pg` or postgres.js client. */
import type { Migration } from "./shared/migrations.ts";
import { missingOf } from "./shared/migrations.ts";
import { type PostgresClient } from "./shared/postgres-client.ts";
import { postgresDialect } from "./shared/postgres-dialect.ts";
import { pgClient } from "./shared/postgres-pg.ts";
import { postgresJsClient } from "./shared/postgres-js.ts";
import { migrationsFor, type PostgresTableOptions, postgresTables } from "./shared/postgres-tables.ts";
import type { SqlClient } from "./shared/sql-client.ts";
import { type SqlStore, sqlStore } from "./shared/sql-store.ts";

export type { Migration } from "./shared/migrations.ts";
export type { PostgresClient } from "./shared/postgres-client.ts";
export type * from "./shared/postgres-pg.ts";

/** Options of `postgresStore`. */
export interface PostgresStoreOptions extends PostgresTableOptions {
  /**
   * Whether statements are prepared once per connection; true unless told. Say false for PgBouncer before 1.21 in
   * transaction mode.
   */
  readonly prepare?: boolean;
}

/** What `postgresStore` can do. */
export type PostgresStore = SqlStore & {
  /** Makes the tables, or what is missing of them; answers the versions that were applied. */
  migrate(): Promise<readonly number[]>;
};

export function postgresStore(client: PostgresClient, options: PostgresStoreOptions = {}): PostgresStore {
  const tables = postgresTables(options);
  const { prepare = true } = options;
  const sql =
    "connect" in client
      ? pgClient(client, tables.sessions, prepare)
      : postgresJsClient(client, tables.sessions, prepare);
  return {
    ...sqlStore(sql, postgresDialect(tables, null)),
    migrate: () => migrate(sql, tables.migrations, migrationsFor(options)),
  };
}

async function migrate(sql: SqlClient, table: string, all: readonly Migration[]): Promise<number[]> {
  const { signal } = new AbortController();
  return sql.transaction([{ kind: "migrations", number: 0 }], signal, async (run) => {
    await run(`CREATE TABLE IF NOT EXISTS ${table} (version integer NOT NULL PRIMARY KEY)`, []);
    const { rows } = await run(`SELECT version FROM ${table}`, []);
    const missing = missingOf(
      all,
      rows.map(([version]) => Number(version)),
    );
    for (const { version, statements } of missing) {
      for (const statement of statements) await run(statement, []);
      await run(`INSERT INTO ${table} (version) VALUES (?)`, [version]);
    }
    return missing.map(({ version }) => version);
  });
}

/** The steps of `migrate`, for those who run their own. */
export function postgresMigrations(options: PostgresTableOptions = {}): readonly Migration[] {
  return migrationsFor(options);
}
