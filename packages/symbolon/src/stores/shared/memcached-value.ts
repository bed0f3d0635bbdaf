/** Records as memcached values: one line of JSON, for the client escapes and recodes everything else. */
import { isTombstone, type RecordKey, type StoredRecord, type Tombstone } from "../../core/store.ts";

type Entry = StoredRecord | Tombstone;

/** Writes a value. */
export function encodeValue(entry: Entry): string {
  if (isTombstone(entry)) return JSON.stringify(entry);
  const { envelope, data } = entry;
  return JSON.stringify({ ...entry, envelope: textOf(envelope), data: data && textOf(data) });
}

/** Reads a value; null for one that was not written here, or not for this key. */
export function decodeValue(value: unknown, { space, lookup }: RecordKey): Entry | null {
  if (typeof value !== "string") return null;
  try {
    const entry = JSON.parse(value) as Entry;
    if (entry.space !== space || entry.lookup !== lookup) return null;
    if (isTombstone(entry)) return entry;
    return { ...entry, envelope: bytesOf(entry.envelope), data: entry.data && bytesOf(entry.data) };
  } catch {
    return null;
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
}

/** In JSON it is a text. */
function bytesOf(text: unknown): Buffer {
  return Buffer.from(String(text), "base64");
}
