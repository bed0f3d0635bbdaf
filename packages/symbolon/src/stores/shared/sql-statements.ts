/** The statements that all SQL stores have in common, with `?` where a value goes. */
import type { RecordChange, RecordKey } from "../../core/store.ts";
import { bucketOf, COLUMNS, SELECTED, type SqlValue, UNKEYED } from "./sql-rows.ts";

/** What differs in the statements' words. */
export interface SqlWords {
  /** The function that answers the least of its arguments. */
  readonly least: string;
  /** No bytes, as a literal. */
  readonly noBytes: string;
  /** What follows a `SELECT` without a table. */
  readonly fromNothing: string;
  /** What follows an insert that shall pass over a lookup that is taken. */
  readonly unlessTaken: string;
}

/** The texts; their values go in the order of the question marks. */
export interface SqlStatements {
  /** lookup, space */
  readonly read: string;
  /** lookup, space: a live record with its keys, which is then locked */
  readonly readForUpdate: string;
  /** lookup, space: the version of a live record, which is then locked */
  readonly versionForUpdate: string;
  /** lookup, space */
  readonly isLive: string;
  /** lookup */
  readonly isTaken: string;
  /** space, owner, now: lookup, created_at, touched_at */
  readonly rivals: string;
  /** `valuesOf` */
  readonly create: string;
  /** `valuesOf`, space, owner, now, perOwner, replacing, space, owner, now */
  readonly createIfRoom: string;
  /** touchedAt, deadline, bucket, envelope, lookup, space, version */
  readonly update: string;
  /** touchedAt, deadline, bucket, envelope, data, lookup, space, version */
  readonly updateData: string;
  /** `valuesOf` without lookup and space; lookup, space, the version below which it is replaced */
  readonly replace: string;
  /** endedAt, reason, latest deadline, latest bucket, and the values of the condition */
  readonly end: (where: string) => string;
  /** lookup, now */
  readonly deleteTombstone: string;
  /** space, owner, now, createdAt, lookup, limit */
  readonly listByOwner: string;
  /** space, tenant, now, createdAt, lookup, limit */
  readonly listByTenant: string;
  /** space, now, createdAt, lookup, limit */
  readonly listBySpace: string;
  /** space, owner, now: records, owners */
  readonly countByOwner: string;
  /** space, tenant, now: records, owners */
  readonly countByTenant: string;
  /** space, bucket, now, space, space, now: owners */
  readonly countOwners: string;
  /** bucket, now, space, space */
  readonly countOwned: string;
  /** bucket, before, limit: lookup; the oldest first, to the bucket */
  readonly due: string;
  /** lookup, limit */
  readonly scan: string;
}

/** An update with or without data, and its values. */
export function updateOf<S>(
  { update, updateData }: { readonly update: S; readonly updateData: S },
  { lookup, space }: RecordKey,
  expectedVersion: number,
  { touchedAt, deadline, envelope, data }: RecordChange,
): [statement: S, values: SqlValue[]] {
  const values = [touchedAt, deadline, bucketOf(deadline), envelope];
  const where = [lookup, space, expectedVersion];
  return data === undefined ? [update, [...values, ...where]] : [updateData, [...values, data, ...where]];
}

/** Conditions for `end`. */
export const ONE = "lookup = ? AND space = ? AND ended_at IS NULL";
export const OF_OWNER = "space = ? AND owner = ?";
export const OF_TENANT = "space = ? AND tenant = ?";
export const OF_SPACE = "space = ? AND ended_at IS NULL";

/** Writes the statements for a table, whose name comes quoted. */
export function sqlStatements(table: string, { least, noBytes, fromNothing, unlessTaken }: SqlWords): SqlStatements {
  const columns = COLUMNS.split(", ");
  const marks = columns.map(() => "?").join(", ");
  const update = (more: string): string =>
    `UPDATE ${table} SET touched_at = ?, deadline = ?, bucket = ?, envelope = ?${more}, version = version + 1 ` +
    "WHERE lookup = ? AND space = ? AND version = ? AND ended_at IS NULL";
  const replaced = columns.slice(2).map((column) => `${column} = ?`);

  const listed = "owner IS NOT NULL AND deadline > ?";
  const list = (where: string): string =>
    `SELECT ${SELECTED} FROM ${table} WHERE ${where} AND ${listed} AND (created_at, lookup) < (?, ?) ` +
    "ORDER BY created_at DESC, lookup DESC LIMIT ?";
  const count = (where: string): string =>
    `SELECT count(*) AS records, count(DISTINCT owner) AS owners FROM ${table} WHERE ${where} AND ${listed}`;
  const live = `FROM ${table} WHERE ${OF_OWNER} AND deadline > ?`;
  const expired = "bucket <= ? AND deadline <= ?";

  return {
    read: `SELECT ${UNKEYED} FROM ${table} WHERE lookup = ? AND space = ?`,
    readForUpdate: `SELECT ${SELECTED} FROM ${table} WHERE ${ONE} FOR UPDATE`,
    versionForUpdate: `SELECT version FROM ${table} WHERE ${ONE} FOR UPDATE`,
    isLive: `SELECT 1 AS live FROM ${table} WHERE ${ONE}`,
    isTaken: `SELECT 1 AS taken FROM ${table} WHERE lookup = ?`,
    rivals: `SELECT lookup, created_at, touched_at ${live}`,
    create: `INSERT INTO ${table} (${COLUMNS}) VALUES (${marks}) ${unlessTaken}`,
    createIfRoom:
      `INSERT INTO ${table} (${COLUMNS}) SELECT ${marks}${fromNothing} WHERE (SELECT count(*) ${live}) < ? ` +
      `AND NOT EXISTS (SELECT 1 FROM ${table} WHERE lookup = ? AND ${OF_OWNER} AND deadline > ?) ${unlessTaken}`,
    update: update(""),
    updateData: update(", data = ?"),
    replace: `UPDATE ${table} SET ${replaced.join(", ")} WHERE ${ONE} AND version < ?`,
    end: (where) =>
      `UPDATE ${table} SET ended_at = ?, reason = ?, deadline = ${least}(deadline, ?), ` +
      `bucket = ${least}(bucket, ?), owner = NULL, tenant = NULL, envelope = ${noBytes}, data = NULL WHERE ${where}`,
    deleteTombstone: `DELETE FROM ${table} WHERE lookup = ? AND ended_at IS NOT NULL AND deadline <= ?`,
    listByOwner: list(OF_OWNER),
    listByTenant: list(OF_TENANT),
    listBySpace: list(OF_SPACE),
    countByOwner: count(OF_OWNER),
    countByTenant: count(OF_TENANT),
    // All owners, by the index alone, less those of whom nothing but what is past its deadline is left.
    countOwners:
      `SELECT (SELECT count(DISTINCT owner) FROM ${table} WHERE space = ? AND owner IS NOT NULL) - ` +
      `(SELECT count(*) FROM (SELECT DISTINCT owner FROM ${table} WHERE ${expired} AND owner IS NOT NULL ` +
      `AND coalesce(space, '') = ?) AS gone ` +
      `WHERE NOT EXISTS (SELECT 1 FROM ${table} AS kept WHERE kept.space = ? AND kept.owner = gone.owner ` +
      "AND kept.deadline > ?)) AS owners",
    // Tombstones have no owner. So two indexes tell it, and no row is read but those past their deadline: `coalesce`
    // keeps planners from finding these by their space.
    countOwned:
      `SELECT count(*) - (SELECT count(*) FROM ${table} WHERE ${expired} AND owner IS NOT NULL ` +
      `AND coalesce(space, '') = ?) AS records FROM ${table} WHERE space = ? AND owner IS NOT NULL`,
    due: `SELECT lookup FROM ${table} WHERE ${expired} ORDER BY bucket LIMIT ?`,
    scan: `SELECT ${SELECTED} FROM ${table} WHERE lookup > ? ORDER BY lookup LIMIT ?`,
  };
}
