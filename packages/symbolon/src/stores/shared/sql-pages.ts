/** Pages of rows: one more row is asked for than a page has, to know whether there is another. */
import type { PageRequest, RecordPage, ReplicaPage } from "../../core/store.ts";
import { decodeCursor, encodeCursor, type Position } from "./cursor.ts";
import { entryOf, recordOf, type Row } from "./sql-rows.ts";

/** Where the first page starts: after nothing. */
const TOP: Position = { createdAt: Number.MAX_SAFE_INTEGER, lookup: "" };

export const NO_RECORDS: RecordPage = { records: [], cursor: null };
export const NO_ENTRIES: ReplicaPage = { entries: [], cursor: null };

/** The last three values of a list's statement; null for a cursor that nobody made. */
export function listedAfter({ cursor, limit }: PageRequest): [createdAt: number, lookup: string, limit: number] | null {
  const after = cursor === null ? TOP : decodeCursor(cursor);
  return after === null ? null : [after.createdAt, after.lookup, limit + 1];
}

/** The page of a list. */
export function recordPage(rows: readonly Row[], limit: number): RecordPage {
  const records = rows.slice(0, limit).map((row) => recordOf(row));
  const last = rows.length > limit ? records.at(-1) : undefined;
  return { records, cursor: last ? encodeCursor(last) : null };
}

/** The values of the scan's statement; null for a cursor that nobody made. */
export function scannedAfter({ cursor, limit }: PageRequest): [lookup: string, limit: number] | null {
  const after = cursor === null ? "" : decodeCursor(cursor)?.lookup;
  return after === undefined ? null : [after, limit + 1];
}

/** The page of a scan. */
export function replicaPage(rows: readonly Row[], limit: number): ReplicaPage {
  const entries = rows.slice(0, limit).map((row) => entryOf(row));
  const last = rows.length > limit ? entries.at(-1) : undefined;
  return { entries, cursor: last ? encodeCursor({ createdAt: 0, lookup: last.lookup }) : null };
}
