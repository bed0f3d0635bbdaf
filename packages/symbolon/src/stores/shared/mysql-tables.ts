/** The tables of `mysqlStore`. */
import type { Migration } from "./migrations.ts";
import { checkName, DEFAULT_TABLE } from "./sql-names.ts";

/** Where the tables are: in the database that the connections use. */
export interface MysqlTableOptions {
  /** The table's name: letters, digits and underscores; `symbolon_sessions` unless told. */
  readonly table?: string;
}

/** Quoted names. */
export interface MysqlTables {
  readonly sessions: string;
  readonly locks: string;
  /** Rows that are there to be locked: InnoDB has nothing like PostgreSQL's advisory locks that a commit frees. */
  readonly slots: string;
  readonly migrations: string;
}

/** The slots that owners share, and those that spaces share: who meets by chance waits for each other. */
export const SLOTS = { owner: 256, space: 16 } as const;

/**
 * Names the tables.
 *
 * @throws {OptionsError} when the name is not a plain word.
 */
export function mysqlTables({ table = DEFAULT_TABLE }: MysqlTableOptions): MysqlTables {
  checkName("mysqlStore", "table", table);
  const named = (suffix: string): string => `\`${table}${suffix}\``;
  return { sessions: named(""), locks: named("_locks"), slots: named("_slots"), migrations: named("_migrations") };
}

/** The steps in which the tables are made. */
export function migrationsFor(options: MysqlTableOptions): Migration[] {
  const { table = DEFAULT_TABLE } = options;
  const { sessions, locks, slots } = mysqlTables(options);
  // Text would compare without regard to spaces at its end, whatever the collation.
  const bytes = "varbinary(255)";
  const index = (name: string, on: string): string => `INDEX \`${table}_${name}\` (${on})`;
  const perRow = 16;
  return [
    {
      version: 1,
      statements: [
        `CREATE TABLE IF NOT EXISTS ${sessions} (lookup ${bytes} NOT NULL PRIMARY KEY, space ${bytes} NOT NULL, ` +
          `route int NOT NULL, owner ${bytes}, tenant ${bytes}, created_at bigint NOT NULL, ` +
          "touched_at bigint NOT NULL, deadline bigint NOT NULL, bucket int NOT NULL, version bigint NOT NULL, " +
          "ended_at bigint, reason varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, " +
          `envelope mediumblob NOT NULL, data mediumblob, ${index("owner", "space, owner, created_at, lookup")}, ` +
          `${index("tenant", "space, tenant, created_at, lookup, owner")}, ` +
          `${index("space", "space, created_at, lookup, owner")}, ${index("bucket", "bucket")}) ` +
          "ENGINE=InnoDB ROW_FORMAT=DYNAMIC",
        `CREATE TABLE IF NOT EXISTS ${slots} (slot int NOT NULL PRIMARY KEY) ENGINE=InnoDB`,
        `INSERT IGNORE INTO ${slots} (slot) SELECT high.n * ${perRow} + low.n ` +
          `FROM (${numbers((SLOTS.owner + SLOTS.space) / perRow)}) high, (${numbers(perRow)}) low`,
      ],
    },
    {
      version: 2,
      statements: [
        `CREATE TABLE IF NOT EXISTS ${locks} (space ${bytes} NOT NULL, \`lock\` ${bytes} NOT NULL, ` +
          `holder ${bytes} NOT NULL, fence bigint NOT NULL, expires_at bigint NOT NULL, ` +
          `PRIMARY KEY (space, \`lock\`), ${index("locks_expiry", "expires_at")}) ENGINE=InnoDB ROW_FORMAT=DYNAMIC`,
      ],
    },
  ];
}

/** So many numbers from 0 on, as rows: the servers have no common word for that. */
function numbers(count: number): string {
  return Array.from({ length: count }, (_, number) => `SELECT ${number} AS n`).join(" UNION ALL ");
}
