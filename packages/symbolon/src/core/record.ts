/**
 * Records: the sealed shape of a session, and how it is opened.
 *
 *   envelope = format[1] | key id[2] | nonce[12] | sealed JSON | tag[16]     under a key of this record and server key
 *   data     = format[1] | nonce[12] | sealed JSON | tag[16]                under the session's own data key
 *
 * The envelope alone has authority. It opens with the server key, so that sessions can be listed and ended
 * without their tokens. It is bound to the record's place and version, and it holds a digest of the sealed data: a
 * record whose parts were moved, mixed or rolled back one by one does not open.
 */
import { digestText, hmac } from "../crypto/derive.ts";
import type { IndexKeys, Key, Keyring } from "../crypto/keyring.ts";
import { publicRandom, secretBytes } from "../crypto/random.ts";
import { open, seal } from "../crypto/seal.ts";
import { ConflictError, DataTooLargeError } from "../errors.ts";
import { deadlineOf, type Times } from "./lifetime.ts";
import type { Replaced } from "./rotation.ts";
import type { LockKey, OwnerKey, RecordChange, RecordKey, StoredRecord } from "./store.ts";
import type { MintedToken, TokenKind } from "./token.ts";

/** Whether somebody is logged in; `pending` is for logins that still miss a step. */
export type SessionState = "anonymous" | "pending" | "authenticated";

/** What was noted of the client when the session began: a description, never proof, in reduced form. */
export interface Device {
  /** As "Firefox on Linux", where the manager's `nameDevice` says so. */
  readonly name?: string;
  /** The client's network, as `203.0.113.0/24`. */
  readonly network?: string;
  /** Only where the application noted them itself. */
  readonly userAgent?: string;
  readonly ip?: string;
}

/** What a session is tied to; `ip` is an address or a network, `userAgent` a digest. */
export interface Pin {
  readonly ip?: string;
  readonly userAgent?: string;
}

/** A message for the next page: id, kind, text. */
export type Flash = readonly [id: string, kind: string, text: string];

/** 32 secret bytes, wrapped: XORed with a pad that is derived afresh, with a random salt, for every wrapping. */
interface Wrapped {
  readonly keyId: number;
  readonly salt: string;
  readonly key: string;
}

/** The data key, wrapped. */
interface WrappedKey extends Wrapped {
  /** `split`: the pad needs the token's secret; `server`: the server key alone makes it. */
  readonly seal: "split" | "server";
}

/** What a pad is for. Whoever held the token before gets a `successor` by its secret. */
type PadUse = WrappedKey["seal"] | "successor";

/** Everything about a session but its data. Instants in ms since the epoch. */
export interface Envelope extends Times {
  /** The session's public handle. */
  readonly id: string;
  readonly state: SessionState;
  readonly userId: string | null;
  readonly tenant: string | null;
  readonly roles: readonly string[];
  readonly extra: Readonly<Record<string, unknown>>;
  readonly device: Device | null;
  readonly authenticatedAt: number | null;
  /** When the user last proved who they are, as far as `requireFresh` cares; never by being remembered. */
  readonly freshAt?: number;
  readonly remember: boolean;
  /** What a pending login waits for. */
  readonly awaiting?: string;
  /** Who acts as the user. */
  readonly actor?: string;
  /** The name of the API token that opens it. */
  readonly apiToken?: string;
  /** SHA-256 of the credential stamp, base64url. */
  readonly stamp?: string;
  /**
   * Verifier and absolute end, put away: a request found the stamp changed, so no token opens the session any more. Only
   * the very request that changed the credentials may open it again, for a minute, by keeping the login.
   */
  readonly shut?: Pick<Envelope, "verifier" | "absoluteAt">;
  readonly pin?: Pin;
  readonly flashes?: readonly Flash[];
  /** The token's secret, base64url: with `onLimit: 'reuse'` only, where the token is handed out again. */
  readonly secret?: string;
  /** Counts tokens of this session; 1 for the first. */
  readonly generation: number;
  /** SHA-256 of the current token's secret, base64url. */
  readonly verifier: string;
  /** Absent while the session has its first token. */
  readonly replaced?: Replaced;
  /** The current token's secret, for whoever holds the one before; absent where that is dead at once. */
  readonly successor?: Wrapped;
  readonly wrap: WrappedKey | null;
  /** Counts writes of the data; 0 while there is none. */
  readonly dataVersion: number;
  /** SHA-256 of the sealed data, base64url; null while there is none. */
  readonly dataDigest: string | null;
}

/** An opened record. Shared between requests that saw the same bytes: never changed. */
export interface Snapshot {
  readonly record: StoredRecord;
  readonly envelope: Envelope;
  readonly verifier: Buffer;
  /** What sealed the envelope, kept for the next version. */
  readonly key: RecordSealKey;
  /** The data, once it was opened, or from when it was sealed: a session seen again is not opened again. */
  opened: OpenedData | null;
  /** The data's key, where a version of before has it and the data was not looked at yet. */
  readonly dataKey: Buffer | null;
}

/** The envelope key of one record under one server key. */
interface RecordSealKey {
  readonly server: Key;
  readonly bytes: Buffer;
}

/** Data as text, and the key it was sealed under. */
export interface OpenedData {
  readonly key: Buffer;
  readonly text: string;
  /** Whether this process has read it before, and found it within its bounds. */
  isChecked: boolean;
}

/** What a write replaces. */
export interface SnapshotChange {
  readonly envelope: Envelope;
  /** Sealed data; left out, the data stays. */
  readonly data?: Uint8Array | null;
  /** What was sealed. */
  readonly opened?: OpenedData;
}

/** Data sealed for an envelope that says so. */
export interface SealedData {
  readonly envelope: Envelope;
  readonly data: Buffer;
  readonly opened: OpenedData;
}

/** What a session begins with. */
export interface FirstSnapshot {
  readonly envelope: Envelope;
  readonly data?: Uint8Array;
  readonly opened?: OpenedData;
}

const FORMAT = 1;
const ENVELOPE_HEADER = 3;
const DATA_HEADER = Buffer.from([FORMAT]);
const MAX_ENVELOPE = 8192;
/** What rotation adds is none of the application's: any session that was begun goes on under another token. */
const ROTATION_ROOM = 1536;

/** A data key seals at most this many versions of the data before a new one takes over. */
const VERSIONS_PER_DATA_KEY = 2 ** 20;

/** Seals and opens the records of one namespace. */
export class Vault {
  /** Digests of the namespace, 11 characters: each kind of token has its records in a space of its own. */
  readonly spaces: Readonly<Record<TokenKind, string>>;
  readonly #index: IndexKeys;
  #ring: Keyring;

  constructor(namespace: string, ring: Keyring, index: IndexKeys) {
    this.spaces = {
      s1: spaceOf(namespace),
      // No namespace holds a slash.
      p1: spaceOf(`${namespace}/pending`),
      o1: spaceOf(`${namespace}/one-time`),
      k1: spaceOf(`${namespace}/api-token`),
    };
    this.#ring = ring;
    this.#index = index;
  }

  get ring(): Keyring {
    return this.#ring;
  }

  replaceRing(ring: Keyring): void {
    this.#ring = ring;
  }

  /** The space of sessions. */
  get space(): string {
    return this.spaces.s1;
  }

  /** Where a user's records live in a space, and the digest that names the user there. */
  ownerOf(userId: string, space: string = this.space): OwnerKey & { readonly owner: string } {
    const digest = hmac(this.#index.owner, Buffer.from(space + userId, "utf8"));
    return { space, owner: digest.toString("base64url", 0, 16), route: digest.readUIntBE(16, 3) };
  }

  /** The digest that names a tenant in a space. */
  tenantOf(tenant: string, space: string = this.space): string {
    return hmac(this.#index.tenant, Buffer.from(space + tenant, "utf8")).toString("base64url", 0, 16);
  }

  /** The lock of a session: it lives with the record. */
  lockOfSession({ space, route, lookup }: RecordKey): LockKey {
    return { space, route, lock: digestText(`lock/${lookup}`) };
  }

  /** The lock of a name that the application chose; no space begins like it. */
  lockOfName(name: string): LockKey {
    const digest = hmac(this.#index.owner, Buffer.from(`lock/${this.space}${name}`, "utf8"));
    return { space: this.space, route: digest.readUIntBE(0, 3), lock: digest.toString("base64url") };
  }

  /** Hides the route of a session in what is shown: routes of one user's sessions are the same. */
  routeMaskOf(handle: string): number {
    return hmac(this.#index.owner, Buffer.from(`mask/${this.space}${handle}`, "utf8")).readUIntBE(0, 3);
  }

  /** A random route, for sessions without an owner. */
  randomRoute(): number {
    return secretBytes(3).readUIntBE(0, 3);
  }

  /**
   * Opens a record as it was found at a place; null when anything about it is not as it was sealed. An older version of
   * it spares the derivation of keys.
   */
  open(
    { space, lookup }: Pick<RecordKey, "space" | "lookup">,
    record: StoredRecord,
    older: Snapshot | null = null,
  ): Snapshot | null {
    // A column can hold anything once somebody else wrote it.
    if (!ArrayBuffer.isView(record.envelope) || (record.data !== null && !ArrayBuffer.isView(record.data))) return null;
    const sealed = toBuffer(record.envelope);
    if (record.lookup !== lookup || record.space !== space) return null;
    if (sealed.length < ENVELOPE_HEADER || sealed[0] !== FORMAT) return null;
    const key = this.#ring.byId.get(sealed.readUInt16BE(1));
    if (key === undefined) return null;
    const sealKey = older?.key.server === key && isSamePlace(older.record, record) ? older.key : sealKeyOf(key, record);
    const text = open(sealKey.bytes, ENVELOPE_HEADER, contextOf(record), sealed);
    const envelope = text === null ? null : parseEnvelope(text);
    if (envelope === null || !dataBelongs(envelope, record.data)) return null;
    if (envelope.wrap !== null && !this.#ring.byId.has(envelope.wrap.keyId)) return null;
    const verifier = Buffer.from(envelope.verifier, "base64url");
    return { record, envelope, verifier, key: sealKey, opened: null, dataKey: sameDataKey(older, envelope) };
  }

  /** Whether a record is byte for byte the one that was opened before. */
  isSame(snapshot: Snapshot, record: StoredRecord): boolean {
    const known = snapshot.record;
    return (
      known.version === record.version &&
      known.owner === record.owner &&
      known.tenant === record.tenant &&
      known.lookup === record.lookup &&
      known.createdAt === record.createdAt &&
      sameBytes(known.envelope, record.envelope) &&
      sameBytes(known.data, record.data)
    );
  }

  /** Seals a new session's first record. */
  sealFirst(key: RecordKey, owner: string | null, first: FirstSnapshot): Snapshot {
    const { envelope, data, opened } = first;
    const content = { data: data ?? null, opened: opened ?? null };
    const tenant = envelope.tenant === null ? null : this.tenantOf(envelope.tenant, key.space);
    return this.#seal({ ...key, owner, tenant, createdAt: envelope.createdAt, version: 1 }, envelope, content, null);
  }

  /** Seals the next version of a record. */
  sealNext(snapshot: Snapshot, change: SnapshotChange): Snapshot {
    const { record, key } = snapshot;
    const { data = record.data, opened = null } = change;
    const content = change.data === undefined ? { data, opened: snapshot.opened } : { data, opened };
    return this.#seal({ ...record, version: record.version + 1 }, change.envelope, content, key);
  }

  /** Opens the data of a snapshot; null when it has none. `secret` is the token's, null without a token. */
  openData(snapshot: Snapshot, secret: Buffer | null): OpenedData | null {
    const { record, envelope } = snapshot;
    if (record.data === null || envelope.wrap === null) return null;
    if (snapshot.opened !== null) return snapshot.opened;
    const kept = secret === null && envelope.wrap.seal === "split" ? null : snapshot.dataKey;
    const key = kept ?? this.dataKeyOf(snapshot, secret);
    const text = key === null ? null : openData(key, record.lookup, envelope.dataVersion, toBuffer(record.data));
    if (key === null || text === null) return null;
    snapshot.opened = { key, text, isChecked: false };
    return snapshot.opened;
  }

  /** Opens the data of a newer snapshot of the same session with a data key that is already known. */
  openDataWith(key: Buffer, { record, envelope }: Snapshot): OpenedData | null {
    if (record.data === null) return null;
    const text = openData(key, record.lookup, envelope.dataVersion, toBuffer(record.data));
    return text === null ? null : { key, text, isChecked: false };
  }

  /** Seals new data for an envelope, making and wrapping a data key when there is none or it served long enough. */
  sealData(
    lookup: string,
    envelope: Envelope,
    text: string,
    known: { readonly key: Buffer | null; readonly secret: Buffer | null; readonly seal: "split" | "server" },
  ): SealedData {
    const dataVersion = envelope.dataVersion + 1;
    const isWornOut = envelope.wrap === null || dataVersion % VERSIONS_PER_DATA_KEY === 0;
    const kept = isWornOut ? null : known.key;
    const key = kept ?? secretBytes(32);
    const mode = envelope.wrap?.seal ?? known.seal;
    const wrap =
      kept === null
        ? { seal: mode, ...this.#wrap(lookup, envelope.generation, mode, key, known.secret) }
        : envelope.wrap;
    const data = seal(key, DATA_HEADER, dataContext(lookup, dataVersion), text);
    const sealed: Envelope = { ...envelope, wrap, dataVersion, dataDigest: digestText(data) };
    return { envelope: sealed, data, opened: { key, text, isChecked: false } };
  }

  /** The data key of a snapshot, by the secret of its token; null when that is not its token's, or there is no data. */
  dataKeyOf({ record, envelope }: Snapshot, secret: Buffer | null): Buffer | null {
    const { wrap } = envelope;
    return wrap === null ? null : this.#unwrap(record.lookup, envelope.generation, wrap.seal, wrap, secret);
  }

  /**
   * An envelope under the next token: the data key is wrapped anew, the data itself stays as it is. With `keepsSuccessor`,
   * whoever holds the token before can have the new one.
   */
  succeed(
    lookup: string,
    envelope: Envelope,
    tokens: { readonly before: Buffer; readonly next: MintedToken; readonly keepsSuccessor: boolean },
  ): Envelope {
    const { before, next, keepsSuccessor } = tokens;
    const { successor: _old, ...kept } = envelope;
    const generation = envelope.generation + 1;
    return {
      ...kept,
      ...(kept.secret !== undefined && { secret: next.secret.toString("base64url") }),
      ...(keepsSuccessor && { successor: this.#wrap(lookup, generation, "successor", next.secret, before) }),
      generation,
      verifier: next.verifier.toString("base64url"),
      wrap: this.#rewrap(lookup, envelope, before, next.secret),
    };
  }

  /** The secret of a snapshot's token, by the secret of the token before; null where that is dead. */
  successorOf({ record, envelope }: Snapshot, before: Buffer): Buffer | null {
    const { successor, generation } = envelope;
    return successor === undefined ? null : this.#unwrap(record.lookup, generation, "successor", successor, before);
  }

  #rewrap(lookup: string, { wrap, generation }: Envelope, before: Buffer, next: Buffer): WrappedKey | null {
    if (wrap === null) return null;
    const key = this.#unwrap(lookup, generation, wrap.seal, wrap, before);
    if (key === null) return null;
    return { seal: wrap.seal, ...this.#wrap(lookup, generation + 1, wrap.seal, key, next) };
  }

  #seal(
    hints: Omit<StoredRecord, "envelope" | "data" | "touchedAt" | "deadline">,
    envelope: Envelope,
    { data, opened }: { readonly data: Uint8Array | null; readonly opened: OpenedData | null },
    used: RecordSealKey | null,
  ): Snapshot {
    const text = JSON.stringify(envelope);
    const room = MAX_ENVELOPE + (envelope.replaced === undefined ? 0 : ROTATION_ROOM);
    if (text.length * 3 > room && Buffer.byteLength(text) > room) {
      throw new DataTooLargeError(`Roles, extra and device are over ${MAX_ENVELOPE} bytes.`);
    }
    const key = this.#ring.primary;
    const sealKey = used?.server === key ? used : sealKeyOf(key, hints);
    const header = Buffer.from([FORMAT, key.id >> 8, key.id & 0xff]);
    const record: StoredRecord = {
      ...hints,
      touchedAt: envelope.lastSeenAt,
      // Nothing counts or lists a session that is shut.
      deadline: envelope.shut === undefined ? deadlineOf(envelope) : envelope.lastSeenAt,
      envelope: seal(sealKey.bytes, header, contextOf(hints), text),
      data,
    };
    const verifier = Buffer.from(envelope.verifier, "base64url");
    return { record, envelope: shared(envelope), verifier, key: sealKey, opened, dataKey: opened?.key ?? null };
  }

  #wrap(lookup: string, generation: number, use: PadUse, key: Buffer, secret: Buffer | null): Wrapped {
    const salt = publicRandom(16);
    const server = this.#ring.primary;
    const pad = padOf(server, lookup, generation, use, salt, secret);
    if (pad === null) throw replacedError();
    return { keyId: server.id, salt: salt.toString("base64url"), key: xor(pad, key).toString("base64url") };
  }

  #unwrap(lookup: string, generation: number, use: PadUse, wrapped: Wrapped, secret: Buffer | null): Buffer | null {
    const server = this.#ring.byId.get(wrapped.keyId);
    if (server === undefined) return null;
    const salt = Buffer.from(wrapped.salt, "base64url");
    const pad = padOf(server, lookup, generation, use, salt, secret);
    return pad === null ? null : xor(pad, Buffer.from(wrapped.key, "base64url"));
  }
}

function spaceOf(name: string): string {
  return digestText(`namespace/${name}`).slice(0, 11);
}

function sealKeyOf(server: Key, { space, lookup }: Pick<RecordKey, "space" | "lookup">): RecordSealKey {
  return { server, bytes: hmac(server.envelope, Buffer.from(space + lookup, "latin1")) };
}

/** The data key of an older version, when this one has it wrapped in the same bytes. */
function sameDataKey(older: Snapshot | null, { wrap, generation }: Envelope): Buffer | null {
  const before = older?.envelope.wrap ?? null;
  if (older === null || before === null || wrap === null || older.envelope.generation !== generation) return null;
  const isSame =
    before.keyId === wrap.keyId && before.salt === wrap.salt && before.key === wrap.key && before.seal === wrap.seal;
  return isSame ? (older.opened?.key ?? older.dataKey) : null;
}

function isSamePlace(one: RecordKey, other: RecordKey): boolean {
  return one.space === other.space && one.lookup === other.lookup;
}

/** Where an envelope belongs; every part has one alphabet and no part can hold the separator. */
function contextOf(
  record: Pick<StoredRecord, "space" | "lookup" | "version" | "owner" | "tenant" | "route" | "createdAt">,
): string {
  const { space, lookup, version, owner, tenant, route, createdAt } = record;
  return `envelope/1\n${space}\n${lookup}\n${route}\n${version}\n${createdAt}\n${owner ?? ""}\n${tenant ?? ""}`;
}

/** The client's half of a pad that the server makes alone. */
const NOTHING = Buffer.alloc(0);

function padOf(
  server: Key,
  lookup: string,
  generation: number,
  use: PadUse,
  salt: Buffer,
  secret: Buffer | null,
): Buffer | null {
  const half = use === "server" ? NOTHING : secret;
  if (half === null) return null;
  return hmac(server.wrap, Buffer.concat([Buffer.from(`${use}/1\n${lookup}\n${generation}\n`), salt, half]));
}

function openData(key: Buffer, lookup: string, dataVersion: number, sealed: Buffer): string | null {
  if (sealed[0] !== FORMAT) return null;
  return open(key, DATA_HEADER.length, dataContext(lookup, dataVersion), sealed);
}

function dataContext(lookup: string, dataVersion: number): string {
  return `data/1\n${lookup}\n${dataVersion}`;
}

/** The envelope opened, so the text is ours; the check is for records of a format this code does not know. */
function parseEnvelope(text: string): Envelope | null {
  const envelope = JSON.parse(text) as Envelope;
  const times = [envelope.createdAt, envelope.lastSeenAt, envelope.idle, envelope.absoluteAt];
  return times.every(Number.isSafeInteger) && typeof envelope.verifier === "string" ? shared(envelope) : null;
}

/** Requests share opened envelopes: a role that one of them pushed into the list must not reach another. */
function shared(envelope: Envelope): Envelope {
  freeze(envelope.roles);
  freeze(envelope.extra);
  freeze(envelope.device);
  freeze(envelope.flashes);
  return envelope;
}

function freeze(value: unknown): void {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return;
  Object.values(value).forEach(freeze);
  Object.freeze(value);
}

function dataBelongs(envelope: Envelope, data: Uint8Array | null): boolean {
  return data === null ? envelope.dataDigest === null : digestText(data) === envelope.dataDigest;
}

function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b)) return a === b;
  return toBuffer(a).equals(b);
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function xor(a: Buffer, b: Buffer): Buffer {
  const result = Buffer.allocUnsafe(a.length);
  for (let index = 0; index < a.length; index++) result[index] = (a[index] ?? 0) ^ (b[index] ?? 0);
  return result;
}

/** Split data is sealed for one token, and this one is no longer the session's. */
export function replacedError(): ConflictError {
  return new ConflictError("Another token replaced this one meanwhile; try again with it.");
}

/** The changeable part of a snapshot, as a store's update takes it. */
export function changeOf(snapshot: Snapshot, withData: boolean): RecordChange {
  const { touchedAt, deadline, envelope, data } = snapshot.record;
  return withData ? { touchedAt, deadline, envelope, data } : { touchedAt, deadline, envelope };
}
