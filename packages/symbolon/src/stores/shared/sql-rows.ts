/** The columns that every SQL store's table has, and how a row becomes an entry. */
import {
  type Ending,
  isTombstone,
  type RecordKey,
  type StoredRecord,
  type Tombstone,
  TOMBSTONE_MS,
} from "../../core/store.ts";
import type { Rival } from "./admission.ts";

/** What is bound to a statement. Never a boolean: `libsql` ends the process on one. */
export type SqlValue = string | number | null | Uint8Array;

/** A row as clients return it: integers may be text or BigInt, bytes may be a Buffer, a Uint8Array or an ArrayBuffer. */
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

/** The columns but those by which a row is found: each column that a statement returns has its price. */
export const UNKEYED =
  "route, owner, tenant, created_at, touched_at, deadline, version, ended_at, reason, envelope, data";

/** The columns of `Row`, in the order in which statements select them. */
export const SELECTED: string = `lookup, space, ${UNKEYED}`;

/** All columns, in the order of `valuesOf`. */
export const COLUMNS: string = `${SELECTED}, bucket`;

const BUCKET_MS = 900_000;
const NOTHING = new Uint8Array(0);

/** The rows of locks that were free for so long are removed: every fence that was handed out is far behind the clock. */
export const LOCK_KEPT_MS = 86_400_000;

/** The coarse expiry bucket of a deadline: its index is left alone by most touches. */
export function bucketOf(deadline: number): number {
  return Math.floor(deadline / BUCKET_MS);
}

/** The values of a row, in the order of `COLUMNS`. */
export function valuesOf(entry: StoredRecord | Tombstone): SqlValue[] {
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

/** The values with which a row is replaced that is older than the entry; an end is newer than any version. */
export function replacingValuesOf(entry: StoredRecord | Tombstone): SqlValue[] {
  const [lookup = null, space = null, ...changed] = valuesOf(entry);
  return [...changed, lookup, space, isTombstone(entry) ? Number.MAX_SAFE_INTEGER : entry.version];
}

/** The values with which records end, in the order of the statement: those of its condition follow. */
export function endingValuesOf({ at, reason }: Ending): SqlValue[] {
  const latest = at + TOMBSTONE_MS;
  return [at, reason, latest, bucketOf(latest)];
}

/** Makes a row of values in the order of `SELECTED`: clients may have been told to rename columns. */
export function rowOf(values: readonly unknown[]): Row {
  const [lookup, space, route, owner, tenant, created_at, touched_at, deadline, version, ended_at, ...rest] = values;
  const [reason, envelope, data] = rest;
  const texts = { lookup: textOf(lookup), space: textOf(space), owner: textOf(owner), tenant: textOf(tenant) };
  const integers = { route, created_at, touched_at, deadline, version, ended_at };
  return { ...texts, ...integers, reason: textOf(reason), envelope, data } as Row;
}

/** Text that is kept as bytes comes back as bytes. */
export function textOf(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length).toString() : value;
}

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
export function recordOf(row: Row, key: Pick<RecordKey, "space" | "lookup"> = row): StoredRecord {
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
