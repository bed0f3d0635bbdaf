/** The bytes of a record file: a checksum, a line of JSON, and the sealed parts as they are. */
import { hash } from "node:crypto";
import { isTombstone, type StoredRecord, type Tombstone } from "../../core/store.ts";

/** A record or what remains of it, and where its marker is. */
export interface FiledEntry<E extends StoredRecord | Tombstone = StoredRecord | Tombstone> {
  readonly entry: E;
  /** `at` of the marker. */
  readonly filedAt: number;
}

/** The line of JSON. */
interface Head {
  readonly filedAt: number;
  readonly fields: Omit<StoredRecord, "envelope" | "data"> | Tombstone;
  /** Bytes of the envelope, then of the data; null for no data, both null for a tombstone. */
  readonly sizes: readonly [number | null, number | null];
}

const CHECKSUM = 64;
const NEWLINE = 10;

/** Writes a file's content. */
export function encodeEntry({ entry, filedAt }: FiledEntry): Buffer {
  const body = isTombstone(entry)
    ? bodyOf({ filedAt, fields: entry, sizes: [null, null] })
    : bodyOfRecord(entry, filedAt);
  return Buffer.concat([Buffer.from(hash("sha256", body)), body]);
}

/** Reads a file's content; null when it is not what `encodeEntry` wrote, whole. */
export function decodeEntry(bytes: Buffer): FiledEntry | null {
  const body = bytes.subarray(CHECKSUM);
  if (bytes.toString("latin1", 0, CHECKSUM) !== hash("sha256", body)) return null;
  const end = body.indexOf(NEWLINE);
  const { filedAt, fields, sizes } = JSON.parse(body.toString("utf8", 0, end)) as Head;
  if (isFields(fields)) return { entry: fields, filedAt };
  const [envelopeSize, dataSize] = sizes;
  const envelope = body.subarray(end + 1, end + 1 + (envelopeSize ?? 0));
  const data = dataSize === null ? null : body.subarray(end + 1 + envelope.length);
  return { entry: { ...fields, envelope, data }, filedAt };
}

function bodyOfRecord({ envelope, data, ...fields }: StoredRecord, filedAt: number): Buffer {
  return bodyOf({ filedAt, fields, sizes: [envelope.length, data?.length ?? null] }, envelope, data);
}

function bodyOf(head: Head, ...parts: (Uint8Array | null)[]): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...parts.filter((part) => part !== null)]);
}

function isFields(fields: Head["fields"]): fields is Tombstone {
  return "endedAt" in fields;
}
