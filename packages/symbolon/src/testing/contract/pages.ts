/** Pages, for the cases about lists. */
import assert from "node:assert/strict";
import type {
  Awaitable,
  PageRequest,
  RecordPage,
  ReplicaPage,
  Replication,
  StoredRecord,
  Tombstone,
} from "../../core/store.ts";
import { callAt } from "./contract-case.ts";

const MANY = 1000;

/** The first page, as large as pages get. */
export const ALL: PageRequest = { cursor: null, limit: 1000 };

/** Text that no store hands out as a cursor. */
export const FOREIGN_CURSORS: readonly string[] = [
  "",
  "x",
  "null",
  "{}",
  "[]",
  "%27%20OR%201=1",
  "' OR '1'='1",
  "..",
  "\u{1F5DD}",
  Buffer.from("{}").toString("base64url"),
  Buffer.from('["1",2]').toString("base64url"),
  Buffer.from("[1e400,null]").toString("base64url"),
  "A".repeat(10_000),
];

/** Follows the cursors of a list to the last page. */
export async function pagesOf(
  next: (request: PageRequest) => Awaitable<RecordPage>,
  limit: number,
): Promise<(readonly StoredRecord[])[]> {
  const pages: (readonly StoredRecord[])[] = [];
  let cursor: string | null = null;
  do {
    const page: RecordPage = await next({ cursor, limit });
    pages.push(page.records);
    cursor = page.cursor;
    assert.ok(page.records.length <= limit, "a page holds no more than was asked for");
    assert.ok(pages.length < MANY, "pages come to an end");
  } while (cursor !== null);
  return pages;
}

/** Follows the cursors of a scan to the last page; a page may be empty. */
export async function scanAll(store: Replication, limit: number): Promise<(StoredRecord | Tombstone)[]> {
  const entries: (StoredRecord | Tombstone)[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const page: ReplicaPage = await store.scan({ cursor, limit }, callAt());
    entries.push(...page.entries);
    cursor = page.cursor;
    assert.ok(page.entries.length <= limit, "a page holds no more than was asked for");
    assert.ok(++pages < MANY, "pages come to an end");
  } while (cursor !== null);
  return entries;
}
