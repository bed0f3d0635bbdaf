/**
 * How a record or tombstone is written in Redis, and what the indexes call it.
 *
 * An entry is one string: a head of 50 bytes, its reference, the envelope (of a tombstone the reason), the data. So a
 * read is one GET. The head, big-endian: format, 1 for a record and 2 for a tombstone (u8); id of the last write (12
 * bytes); version (f64); deadline (f64); touchedAt or endedAt (f64); route (u32); lengths of reference and envelope
 * (u32); whether data follows (u8).
 *
 * A reference names an entry in the expiry and carries what the index needs: `r.space.lookup.created.owner.tenant`, or
 * `t.space.lookup` for a tombstone. The index has up to three members for a record, so that a range of it is a list:
 * `u.space.owner.…` of its user, `t.space..…` of all records with an owner, `t.space.tenant.…` of its tenant, each
 * followed by `created.lookup.owner.tenant`; without an owner `a.` instead of `t.`.
 */
import { randomBytes } from "node:crypto";
import { isTombstone, type StoredRecord, type Tombstone } from "../../core/store.ts";

const HEAD = 50;
const ID = 12;
const RECORD = 1;
const TOMBSTONE = 2;
/** As wide as the largest safe integer, so that text sorts as numbers do. */
const INSTANT = 16;

/** Marks text that is written in another form. */
const ESCAPE = "~";

/** Text as part of a name: digests as they are, other text so that it cannot be mistaken for anything else. */
export function plain(text: string): string {
  if (/^[\w-]+$/.test(text)) return text;
  // Not UTF-8, in which all halves of characters are the same.
  return ESCAPE + Buffer.from(text, "utf16le").toString("base64url");
}

/** The text that `plain` was given. */
export function original(name: string): string {
  return name.startsWith(ESCAPE) ? Buffer.from(name.slice(1), "base64url").toString("utf16le") : name;
}

/** An instant as part of a name. */
export function instant(at: number): string {
  return `${at}`.padStart(INSTANT, "0");
}

/** The id of one write. */
export function newWriteId(): Buffer {
  return randomBytes(ID);
}

function referenceOf(entry: StoredRecord | Tombstone): string {
  const name = `${plain(entry.space)}.${plain(entry.lookup)}`;
  return isTombstone(entry) ? `t.${name}` : `r.${name}.${tailOf(entry)}`;
}

function tailOf({ createdAt, owner, tenant }: StoredRecord): string {
  return `${instant(createdAt)}.${optional(owner)}.${optional(tenant)}`;
}

function optional(digest: string | null): string {
  return digest === null ? "" : plain(digest);
}

/** The member of the index that a record with an owner has among all of its space. */
export function memberOf({ space, lookup, createdAt, owner, tenant }: StoredRecord): string {
  return `t.${plain(space)}..${instant(createdAt)}.${plain(lookup)}.${optional(owner)}.${optional(tenant)}`;
}

/** What a reference or a member of the index says of where a record is. */
export interface Named {
  readonly space: string;
  readonly lookup: string;
}

/** The names of space and lookup in a reference. */
export function ofReference(reference: string): Named {
  const [, space = "", lookup = ""] = reference.split(".");
  return { space, lookup };
}

/** A record in a list, as its member of the index says: with names, not with digests. */
export interface Listed extends Named {
  /** `created.lookup`, by which lists are sorted. */
  readonly order: string;
}

/** Reads a member of the index. */
export function ofMember(member: string): Listed {
  const [, space = "", , created = "", lookup = ""] = member.split(".");
  return { space, lookup, order: `${created}.${lookup}` };
}

/** Writes an entry, with the id of the write that stores it. */
export function encodeEntry(entry: StoredRecord | Tombstone, id: Buffer): Buffer {
  const ended = isTombstone(entry);
  const reference = Buffer.from(referenceOf(entry));
  const text = ended ? Buffer.from(entry.reason) : entry.envelope;
  const data = ended ? null : entry.data;
  const head = Buffer.alloc(HEAD);
  head.writeUInt8(ended ? TOMBSTONE : RECORD, 0);
  head.set(id, 1);
  head.writeDoubleBE(ended ? 0 : entry.version, 13);
  head.writeDoubleBE(entry.deadline, 21);
  head.writeDoubleBE(ended ? entry.endedAt : entry.touchedAt, 29);
  head.writeUInt32BE(entry.route, 37);
  head.writeUInt32BE(reference.length, 41);
  head.writeUInt32BE(text.length, 45);
  head.writeUInt8(data === null ? 0 : 1, 49);
  return Buffer.concat([head, reference, text, data ?? Buffer.alloc(0)]);
}

/**
 * Reads an entry. Its bytes are views of the buffer, which belongs to nobody else.
 *
 * @throws {TypeError} when it was not written by `encodeEntry`.
 */
export function decodeEntry(bytes: Buffer): StoredRecord | Tombstone {
  const format = bytes.length < HEAD ? 0 : bytes.readUInt8(0);
  if (format !== RECORD && format !== TOMBSTONE) throw new TypeError("An entry has a format that is not known.");
  const textAt = HEAD + bytes.readUInt32BE(41);
  const dataAt = textAt + bytes.readUInt32BE(45);
  const parts = bytes.toString("latin1", HEAD, textAt).split(".");
  const space = original(parts[1] ?? "");
  const lookup = original(parts[2] ?? "");
  const route = bytes.readUInt32BE(37);
  const deadline = bytes.readDoubleBE(21);
  const at = bytes.readDoubleBE(29);
  if (format === TOMBSTONE) {
    return { space, route, lookup, endedAt: at, reason: bytes.toString("utf8", textAt, dataAt), deadline };
  }
  const [, , , createdAt, owner, tenant] = parts;
  // Each field by name: an object that is spread here costs more than all else together.
  return {
    space,
    route,
    lookup,
    owner: owner ? original(owner) : null,
    tenant: tenant ? original(tenant) : null,
    createdAt: Number(createdAt),
    touchedAt: at,
    deadline,
    version: bytes.readDoubleBE(13),
    envelope: bytes.subarray(textAt, dataAt),
    data: bytes.readUInt8(49) === 1 ? bytes.subarray(dataAt) : null,
  };
}
