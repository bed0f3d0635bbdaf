/** Pages of records that are all at hand. */
import type { PageRequest, RecordPage, StoredRecord } from "../../core/store.ts";
import { decodeCursor, encodeCursor, newestFirst } from "./cursor.ts";

/** The page of these records that was asked for. */
export function pageAmong(records: readonly StoredRecord[], { cursor, limit }: PageRequest): RecordPage {
  const after = cursor === null ? null : decodeCursor(cursor);
  if (cursor !== null && after === null) return { records: [], cursor: null };
  const wanted = records.filter((record) => after === null || newestFirst(record, after) > 0).toSorted(newestFirst);
  const page = wanted.slice(0, limit);
  const last = wanted.length > limit ? page.at(-1) : undefined;
  return { records: page, cursor: last ? encodeCursor(last) : null };
}
