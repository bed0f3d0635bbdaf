/** Compiled only: the real clients fit the shapes that the SQL stores take, and what they answer is what it says. */
import Libsql from "libsql";
import { createPool } from "mysql2/promise";
import { Pool } from "pg";
import postgres from "postgres";
import type { Closing, Invalidations } from "symbolon";
import { type MysqlStore, mysqlMigrations, mysqlStore } from "symbolon/stores/mysql";
import { type PostgresStore, postgresMigrations, postgresStore } from "symbolon/stores/postgres";
import { sqliteMigrations, sqliteStore } from "symbolon/stores/sqlite";

export function acceptsPostgres(): void {
  const store: PostgresStore = postgresStore(new Pool());
  const options = { schema: "app", table: "sessions", prepare: false };
  postgresStore(postgres(), options);
  postgresStore(postgres({ transform: postgres.camel, types: { bigint: postgres.BigInt } }));
  const telling: Invalidations & Closing = postgresStore(new Pool(), { ...options, invalidations: true });
  postgresStore(postgres(), { invalidations: Math.random() > 0.5 }) satisfies PostgresStore;
  const applied: Promise<readonly number[]> = store.migrate();
  const first: readonly string[] | undefined = postgresMigrations({ schema: "app" })[0]?.statements;
  void [telling, applied, first];

  // @ts-expect-error it listens only when it is told to
  void store.subscribe;
  // @ts-expect-error there is no such option
  postgresStore(new Pool(), { tableName: "sessions" });
  // @ts-expect-error a connection is not a pool
  void new Pool().connect().then((connection) => postgresStore(connection));
}

export function acceptsMysql(): void {
  const store: MysqlStore = mysqlStore(createPool("mysql://localhost/app"), { table: "sessions" });
  const applied: Promise<readonly number[]> = store.migrate();
  void [applied, mysqlMigrations({ table: "sessions" })];

  // @ts-expect-error there is no such option
  mysqlStore(createPool("mysql://localhost/app"), { schema: "app" });
  // @ts-expect-error another kind of client
  mysqlStore(new Pool());
}

export function acceptsSqlite(): void {
  sqliteStore(new Libsql("sessions.db"), { table: "sessions" });
  void sqliteMigrations();

  // @ts-expect-error there is no such option
  sqliteStore(new Libsql("sessions.db"), { path: "sessions.db" });
}
