/** The table of `sqliteStore`: how it is opened, its statements, and how a row becomes an entry. */
import { isTombstone, type RecordKey, type StoredRecord, type Tombstone } from "../../core/store.ts";
import type { Rival } from "./admission.ts";

/** What is bound to a statement. Never a boolean: `libsql` ends the process on one. */
export type SqliteValue = string | number | null | Uint8Array;

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

/** A row as clients return it: integers may be BigInt, bytes may be a Buffer, a Uint8Array or an ArrayBuffer. */
export interface Row {
  readonly lookup: string;
  readonly space: string;
  readonly route: number | bigint;
  readonly owner: string | null;
  readonly tenant: string | null;
  readonly created_at: number | bigint;
  readonly touched_at: number | bigint;
  readonly deadline: number | bigint;
  readonly version: number | bigint;
  readonly ended_at: number | bigint | null;
  readonly reason: string | null;
  readonly envelope: Uint8Array | ArrayBuffer | null;
  readonly data: Uint8Array | ArrayBuffer | null;
}

/** Tells a row from the absence of one, and gives it its type: the statements below select what `Row` has. */
export function isRow(value: unknown): value is Row {
  return typeof value === "object" && value !== null;
}

/** Every statement of the store, prepared once. */
export type Statements = Readonly<Record<StatementName, SqliteStatement>>;

type StatementName =
  | ("read" | "isLive" | "create" | "apply" | "update" | "updateData" | "scan" | "prune" | "deleteTombstone")
  | ("end" | "endByOwner" | "endByTenant" | "endBySpace")
  | ("isTaken" | "isLiveOf" | "rivals" | "countAtMost" | "countOwned")
  | ("listByOwner" | "listByTenant" | "listBySpace" | "countByOwner" | "countByTenant" | "countBySpace");

const BUCKET_MS = 900_000;
const OPEN_FOR_MS = 10_000;
const RETRY_AFTER_MS = 20;

/** The coarse expiry bucket of a deadline: its index is left alone by most touches. */
export function bucketOf(deadline: number): number {
  return Math.floor(deadline / BUCKET_MS);
}

/** Sets up the connection and the table, and prepares the statements; waits a while for other processes that do too. */
export function openTable(client: SqliteClient, table: string): Statements {
  for (const sql of setup(table)) patiently(() => client.exec(sql));
  return patiently(() => statements(`"${table}"`, (sql) => client.prepare(sql)));
}

/** Does the work in one transaction, all of it or, when it throws or its answer is not kept, nothing; leaves none open. */
export function inTransaction<T>(client: SqliteClient, work: () => T, isKept: (answer: T) => boolean): T {
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

function setup(table: string): readonly string[] {
  const columns =
    "lookup TEXT NOT NULL PRIMARY KEY, space TEXT NOT NULL, route INTEGER NOT NULL, owner TEXT, tenant TEXT, " +
    "created_at INTEGER NOT NULL, touched_at INTEGER NOT NULL, deadline INTEGER NOT NULL, bucket INTEGER NOT NULL, " +
    "version INTEGER NOT NULL, ended_at INTEGER, reason TEXT, envelope BLOB, data BLOB";
  const index = (name: string, on: string) => `CREATE INDEX IF NOT EXISTS "${table}_${name}" ON "${table}" ${on}`;
  return [
    // First, so that what follows waits for other processes instead of failing.
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    `CREATE TABLE IF NOT EXISTS "${table}" (${columns})`,
    index("owner", "(space, owner, created_at, lookup) WHERE owner IS NOT NULL"),
    // With the owner in them, these skip anonymous records without reading their rows.
    index("tenant", "(space, tenant, created_at, lookup, owner) WHERE tenant IS NOT NULL"),
    index("space", "(space, created_at, lookup, owner) WHERE ended_at IS NULL"),
    index("bucket", "(bucket)"),
  ];
}

/** Changing the journal mode, and the first look at a schema in motion, answer busy at once whatever the time-out. */
function patiently<T>(work: () => T): T {
  const until = performance.now() + OPEN_FOR_MS;
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

function statements(table: string, prepare: (sql: string) => SqliteStatement): Statements {
  // Every column that a statement returns has its price, so what the caller knows is left out.
  const unkeyed = "route, owner, tenant, created_at, touched_at, deadline, version, ended_at, reason, envelope, data";
  const selected = `lookup, space, ${unkeyed}`;
  const columns = `${selected}, bucket`;
  const insert = `INSERT INTO ${table} (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
  const copied = columns.split(", ").map((column) => `${column} = excluded.${column}`);
  const newer =
    `${table}.space = excluded.space AND ${table}.ended_at IS NULL ` +
    `AND (excluded.ended_at IS NOT NULL OR excluded.version > ${table}.version)`;

  const update = (more: string) =>
    `UPDATE ${table} SET touched_at = ?, deadline = ?, bucket = ?, envelope = ?${more}, version = version + 1 ` +
    "WHERE lookup = ? AND space = ? AND version = ? AND ended_at IS NULL";
  const end = (where: string) =>
    `UPDATE ${table} SET ended_at = ?, reason = ?, deadline = min(deadline, ?), bucket = min(bucket, ?), ` +
    `owner = NULL, tenant = NULL, envelope = x'', data = NULL WHERE ${where} RETURNING lookup, deadline`;

  const ofOwner = "space = ? AND owner = ?";
  const ofTenant = "space = ? AND tenant = ?";
  const ofSpace = "space = ? AND ended_at IS NULL";
  const listed = "owner IS NOT NULL AND deadline > ?";
  const list = (where: string) =>
    `SELECT ${selected} FROM ${table} WHERE ${where} AND ${listed} AND (created_at, lookup) < (?, ?) ` +
    "ORDER BY created_at DESC, lookup DESC LIMIT ?";
  const count = (where: string) =>
    `SELECT count(*) AS records, count(DISTINCT owner) AS owners FROM ${table} WHERE ${where} AND ${listed}`;
  const expired = "bucket <= ? AND deadline <= ?";
  const some = (where: string) => `lookup IN (SELECT lookup FROM ${table} WHERE ${where} LIMIT ?)`;

  return {
    read: prepare(`SELECT ${unkeyed} FROM ${table} WHERE lookup = ? AND space = ?`),
    isLive: prepare(`SELECT 1 AS live FROM ${table} WHERE lookup = ? AND space = ? AND ended_at IS NULL`),
    isLiveOf: prepare(`SELECT 1 AS live FROM ${table} WHERE lookup = ? AND ${ofOwner} AND deadline > ?`),
    rivals: prepare(`SELECT lookup, created_at, touched_at FROM ${table} WHERE ${ofOwner} AND deadline > ?`),
    isTaken: prepare(`SELECT 1 AS taken FROM ${table} WHERE lookup = ?`),
    create: prepare(`${insert} ON CONFLICT (lookup) DO NOTHING`),
    apply: prepare(`${insert} ON CONFLICT (lookup) DO UPDATE SET ${copied.join(", ")} WHERE ${newer}`),
    update: prepare(update("")),
    updateData: prepare(update(", data = ?")),
    end: prepare(end("lookup = ? AND space = ? AND ended_at IS NULL")),
    endByOwner: prepare(end(`${ofOwner} AND lookup NOT IN (SELECT value FROM json_each(?))`)),
    endByTenant: prepare(end(some(ofTenant))),
    endBySpace: prepare(end(some(ofSpace))),
    deleteTombstone: prepare(`DELETE FROM ${table} WHERE lookup = ? AND ended_at IS NOT NULL AND deadline <= ?`),
    listByOwner: prepare(list(ofOwner)),
    listByTenant: prepare(list(ofTenant)),
    listBySpace: prepare(list(ofSpace)),
    countByOwner: prepare(count(ofOwner)),
    countByTenant: prepare(count(ofTenant)),
    countBySpace: prepare(count(ofSpace)),
    countAtMost: prepare(`SELECT max(rowid) - (SELECT min(rowid) FROM ${table}) + 1 AS records FROM ${table}`),
    // Tombstones have no owner. So two indexes tell it, and no row is read but those past their deadline.
    countOwned: prepare(
      `SELECT count(*) - (SELECT count(*) FROM ${table} WHERE ${expired} AND owner IS NOT NULL AND +space = ?) ` +
        `AS records FROM ${table} WHERE space = ? AND owner IS NOT NULL`,
    ),
    prune: prepare(`DELETE FROM ${table} WHERE ${some(`${expired} ORDER BY bucket, deadline`)}`),
    scan: prepare(`SELECT ${selected} FROM ${table} WHERE lookup > ? ORDER BY lookup LIMIT ?`),
  };
}

/** The values of a row, in the order of the columns. */
export function valuesOf(entry: StoredRecord | Tombstone): SqliteValue[] {
  const { lookup, space, route, deadline } = entry;
  const bucket = bucketOf(deadline);
  if (isTombstone(entry)) {
    const { endedAt: at, reason } = entry;
    return [lookup, space, route, null, null, at, at, deadline, 0, at, reason, NOTHING, null, bucket];
  }
  const { owner, tenant, createdAt, touchedAt, version, envelope, data } = entry;
  const hints = [lookup, space, route, owner, tenant, createdAt, touchedAt, deadline, version];
  return [...hints, null, null, envelope, data, bucket];
}

const NOTHING = new Uint8Array(0);

/** Makes an entry of a row, under the key it was asked by: some clients cut text they return at a NUL. */
export function entryOf(row: Row, key: Pick<RecordKey, "space" | "lookup"> = row): StoredRecord | Tombstone {
  if (row.ended_at === null) return recordOf(row, key);
  return {
    space: key.space,
    route: Number(row.route),
    lookup: key.lookup,
    endedAt: Number(row.ended_at),
    reason: row.reason ?? "",
    deadline: Number(row.deadline),
  };
}

/** Makes a record of the row of a live one. */
export function recordOf(row: Row, key: Pick<RecordKey, "space" | "lookup">): StoredRecord {
  return {
    space: key.space,
    route: Number(row.route),
    lookup: key.lookup,
    owner: row.owner,
    tenant: row.tenant,
    createdAt: Number(row.created_at),
    touchedAt: Number(row.touched_at),
    deadline: Number(row.deadline),
    version: Number(row.version),
    envelope: bytesOf(row.envelope) ?? NOTHING,
    data: bytesOf(row.data),
  };
}

/** Makes of a row what is to be known of a rival. */
export function rivalOf(row: Pick<Row, "lookup" | "created_at" | "touched_at">): Rival {
  return { lookup: row.lookup, createdAt: Number(row.created_at), touchedAt: Number(row.touched_at) };
}

/** The client made these bytes for this row alone, so they need no copy. */
function bytesOf(bytes: Uint8Array | ArrayBuffer | null): Uint8Array | null {
  return bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes;
}
