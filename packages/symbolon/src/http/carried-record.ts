/**
 * A record as text that a client carries:
 *
 *   base64url( format[1] | version[6] | createdAt[6] | owner length[1] | tenant length[1] | envelope length[2]
 *              | has data[1] | owner | tenant | envelope | data )
 *
 * Nothing here is secret, and nothing is taken on trust: envelope and data are sealed, and the envelope is bound to all
 * the rest. Hints that it is not bound to are left out.
 */
import type { RecordKey, StoredRecord } from "../core/store.ts";

const FORMAT = 1;
const HEADER = 18;
const INTEGER = 6;
const VERSION = 1;
const CREATED_AT = 7;
const OWNER_LENGTH = 13;
const TENANT_LENGTH = 14;
const ENVELOPE_LENGTH = 15;
const HAS_DATA = 17;

/** Writes a record as text; its place is told by its token. */
export function packRecord(record: StoredRecord): string {
  const { version, createdAt, envelope, data } = record;
  const owner = Buffer.from(record.owner ?? "", "latin1");
  const tenant = Buffer.from(record.tenant ?? "", "latin1");
  const header = Buffer.alloc(HEADER);
  header.writeUInt8(FORMAT, 0);
  header.writeUIntBE(version, VERSION, INTEGER);
  header.writeUIntBE(createdAt, CREATED_AT, INTEGER);
  header.writeUInt8(owner.length, OWNER_LENGTH);
  header.writeUInt8(tenant.length, TENANT_LENGTH);
  header.writeUInt16BE(envelope.length, ENVELOPE_LENGTH);
  header.writeUInt8(data === null ? 0 : 1, HAS_DATA);
  return Buffer.concat([header, owner, tenant, envelope, data ?? Buffer.alloc(0)]).toString("base64url");
}

/** Reads what `packRecord` wrote; null for any other text. */
export function unpackRecord({ space, route, lookup }: RecordKey, text: string): StoredRecord | null {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.length < HEADER || bytes[0] !== FORMAT || bytes.toString("base64url") !== text) return null;
  const owner = HEADER + bytes.readUInt8(OWNER_LENGTH);
  const tenant = owner + bytes.readUInt8(TENANT_LENGTH);
  const envelope = tenant + bytes.readUInt16BE(ENVELOPE_LENGTH);
  if (envelope > bytes.length) return null;
  const createdAt = bytes.readUIntBE(CREATED_AT, INTEGER);
  return {
    space,
    route,
    lookup,
    owner: bytes.toString("latin1", HEADER, owner) || null,
    tenant: bytes.toString("latin1", owner, tenant) || null,
    version: bytes.readUIntBE(VERSION, INTEGER),
    createdAt,
    touchedAt: createdAt,
    deadline: Number.MAX_SAFE_INTEGER,
    envelope: bytes.subarray(tenant, envelope),
    data: bytes[HAS_DATA] === 1 ? bytes.subarray(envelope) : null,
  };
}
