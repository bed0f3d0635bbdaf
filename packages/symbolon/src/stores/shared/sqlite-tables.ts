/** The tables of `sqliteStore`: how they are made, and their statements. */
import { createMigrations, type Migration, missingOf } from "./migrations.ts";
import { checkName, DEFAULT_TABLE } from "./sql-names.ts";
import { OF_OWNER, OF_SPACE, OF_TENANT, ONE, type SqlStatements, sqlStatements } from "./sql-statements.ts";
import { inTransaction, patiently, type SqliteClient, type SqliteStatement } from "./sqlite-client.ts";

/** Where the tables are. */
export interface SqliteTableOptions {
  /** The table's name: letters, digits and underscores; `symbolon_sessions` unless told. */
  readonly table?: string;
}

/** Every statement of the store, prepared once. */
export type Prepared = Readonly<Record<SharedName | OwnName, SqliteStatement>>;

type SharedName = Exclude<keyof SqlStatements, "end" | "due" | "readForUpdate" | "versionForUpdate" | "createIfRoom">;

type OwnName =
  | ("end" | "endByOwner" | "endByTenant" | "endBySpace" | "isLiveOf" | "countAtMost" | "prune")
  | ("findLock" | "putLock" | "pruneLocks");

/** Quoted names. */
export interface SqliteTables {
  readonly sessions: string;
  readonly locks: string;
  readonly migrations: string;
}

/**
 * Names the tables.
 *
 * @throws {OptionsError} when the name is not a plain word.
 */
export function sqliteTables({ table = DEFAULT_TABLE }: SqliteTableOptions): SqliteTables {
  checkName("sqliteStore", "table", table);
  return { sessions: `"${table}"`, locks: `"${table}_locks"`, migrations: `"${table}_migrations"` };
}

/** The steps in which the tables are made. */
export function migrationsFor(options: SqliteTableOptions): Migration[] {
  const { table = DEFAULT_TABLE } = options;
  const { sessions, locks } = sqliteTables(options);
  const index = (name: string, on: string): string => `CREATE INDEX IF NOT EXISTS "${table}_${name}" ON ${on}`;
  return [
    {
      // Also what was there before versions were counted: applied again, it changes nothing.
      version: 1,
      statements: [
        `CREATE TABLE IF NOT EXISTS ${sessions} (lookup TEXT NOT NULL PRIMARY KEY, space TEXT NOT NULL, ` +
          "route INTEGER NOT NULL, owner TEXT, tenant TEXT, created_at INTEGER NOT NULL, " +
          "touched_at INTEGER NOT NULL, deadline INTEGER NOT NULL, bucket INTEGER NOT NULL, " +
          "version INTEGER NOT NULL, ended_at INTEGER, reason TEXT, envelope BLOB, data BLOB)",
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
        `CREATE TABLE IF NOT EXISTS ${locks} (space TEXT NOT NULL, lock TEXT NOT NULL, holder TEXT NOT NULL, ` +
          "fence INTEGER NOT NULL, expires_at INTEGER NOT NULL, PRIMARY KEY (space, lock)) WITHOUT ROWID",
        index("locks_expiry", `${locks} (expires_at)`),
      ],
    },
  ];
}

/** Sets up the connection and the tables, and prepares the statements; waits a while for other processes that do too. */
export function openTables(client: SqliteClient, tables: SqliteTables, migrations: readonly Migration[]): Prepared {
  // The time-out first, so that what follows waits for other processes instead of failing.
  for (const pragma of ["busy_timeout=5000", "journal_mode=WAL", "synchronous=NORMAL"]) {
    patiently(() => client.exec(`PRAGMA ${pragma}`));
  }
  patiently(() => migrate(client, tables.migrations, migrations));
  return patiently(() => prepareAll(client, tables));
}

function migrate(client: SqliteClient, table: string, all: readonly Migration[]): void {
  client.exec(createMigrations(table));
  const missing = (): Migration[] => missingOf(all, appliedIn(client, table));
  // A look first: where nothing is missing, nobody has to be waited for.
  if (missing().length === 0) return;
  inTransaction(client, () => {
    for (const { version, statements } of missing()) {
      for (const statement of statements) client.exec(statement);
      client.exec(`INSERT INTO ${table} (version) VALUES (${version})`);
    }
  });
}

function appliedIn(client: SqliteClient, table: string): number[] {
  const rows = client.prepare(`SELECT version FROM ${table}`).all() as { readonly version: number | bigint }[];
  return rows.map(({ version }) => Number(version));
}

function prepareAll(client: SqliteClient, { sessions, locks }: SqliteTables): Prepared {
  const {
    end,
    due: _due,
    readForUpdate: _read,
    versionForUpdate: _version,
    createIfRoom: _create,
    ...shared
  } = sqlStatements(sessions, {
    least: "min",
    noBytes: "x''",
    fromNothing: "",
    unlessTaken: "ON CONFLICT (lookup) DO NOTHING",
  });
  const ending = (where: string): string => `${end(where)} RETURNING lookup, deadline`;
  const some = (where: string): string => `lookup IN (SELECT lookup FROM ${sessions} WHERE ${where} LIMIT ?)`;
  const texts: Record<keyof Prepared, string> = {
    ...shared,
    end: ending(ONE),
    endByOwner: ending(`${OF_OWNER} AND lookup NOT IN (SELECT value FROM json_each(?))`),
    endByTenant: ending(some(OF_TENANT)),
    endBySpace: ending(some(OF_SPACE)),
    isLiveOf: `SELECT 1 AS live FROM ${sessions} WHERE lookup = ? AND ${OF_OWNER} AND deadline > ?`,
    countAtMost: `SELECT max(rowid) - (SELECT min(rowid) FROM ${sessions}) + 1 AS records FROM ${sessions}`,
    prune: `DELETE FROM ${sessions} WHERE ${some("bucket <= ? AND deadline <= ? ORDER BY bucket, deadline")}`,
    findLock: `SELECT holder, fence, expires_at FROM ${locks} WHERE space = ? AND lock = ?`,
    putLock: `INSERT OR REPLACE INTO ${locks} (space, lock, holder, fence, expires_at) VALUES (?, ?, ?, ?, ?)`,
    pruneLocks: `DELETE FROM ${locks} WHERE expires_at > -? AND expires_at < ?`,
  };
  const prepared = Object.entries(texts).map(([name, text]) => [name, client.prepare(text)]);
  return Object.fromEntries(prepared) as Prepared;
}
