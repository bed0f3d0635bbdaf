/** The tables of `postgresStore`. */
import { hash } from "node:crypto";
import type { Migration } from "./migrations.ts";
import { checkName, DEFAULT_TABLE } from "./sql-names.ts";

/** Where the tables are. */
export interface PostgresTableOptions {
  /** The schema, which has to exist; `public` unless told. */
  readonly schema?: string;
  /** The table's name: letters, digits and underscores; `symbolon_sessions` unless told. */
  readonly table?: string;
}

/** Quoted names. */
export interface PostgresTables {
  readonly sessions: string;
  readonly locks: string;
  readonly migrations: string;
  /** Where writes are told: unlike the others it is a name of the whole database, and not quoted. */
  readonly channel: string;
}

/**
 * Names the tables.
 *
 * @throws {OptionsError} when a name is not a plain word.
 */
export function postgresTables({ schema = "public", table = DEFAULT_TABLE }: PostgresTableOptions): PostgresTables {
  checkName("postgresStore", "schema", schema);
  checkName("postgresStore", "table", table);
  const named = (suffix: string): string => `"${schema}"."${table}${suffix}"`;
  const sessions = named("");
  // Names of channels are shorter than two of these may be together.
  const channel = `symbolon_${hash("sha256", sessions, "hex").slice(0, 32)}`;
  return { sessions, locks: named("_locks"), migrations: named("_migrations"), channel };
}

/** The steps in which the tables are made. */
export function migrationsFor(options: PostgresTableOptions): Migration[] {
  const { table = DEFAULT_TABLE } = options;
  const { sessions, locks } = postgresTables(options);
  // By bytes, whatever the database's language is.
  const text = `text COLLATE "C"`;
  const index = (name: string, on: string): string => `CREATE INDEX IF NOT EXISTS "${table}_${name}" ON ${on}`;
  return [
    {
      version: 1,
      statements: [
        `CREATE TABLE IF NOT EXISTS ${sessions} (lookup ${text} NOT NULL PRIMARY KEY, space ${text} NOT NULL, ` +
          `route integer NOT NULL, owner ${text}, tenant ${text}, created_at bigint NOT NULL, ` +
          "touched_at bigint NOT NULL, deadline bigint NOT NULL, bucket integer NOT NULL, version bigint NOT NULL, " +
          `ended_at bigint, reason ${text}, envelope bytea NOT NULL, data bytea) WITH (fillfactor = 85)`,
        // What is sealed does not shrink.
        `ALTER TABLE ${sessions} ALTER COLUMN envelope SET STORAGE EXTERNAL, ALTER COLUMN data SET STORAGE EXTERNAL`,
        index("owner", `${sessions} (space, owner, created_at, lookup) WHERE owner IS NOT NULL`),
        // With the owner in them, these skip anonymous records without reading their rows.
        index("tenant", `${sessions} (space, tenant, created_at, lookup, owner) WHERE tenant IS NOT NULL`),
        index("space", `${sessions} (space, created_at, lookup, owner) WHERE ended_at IS NULL`),
        index("bucket", `${sessions} (bucket)`),
      ],
    },
    {
      version: 2,
      statements: [
        `CREATE TABLE IF NOT EXISTS ${locks} (space ${text} NOT NULL, lock ${text} NOT NULL, holder ${text} NOT NULL, ` +
          "fence bigint NOT NULL, expires_at bigint NOT NULL, PRIMARY KEY (space, lock))",
        index("locks_expiry", `${locks} (expires_at)`),
      ],
    },
  ];
}
