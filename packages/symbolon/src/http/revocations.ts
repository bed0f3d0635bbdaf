/** Ends of sessions that clients carry, noted in a store: of one session, or of all that a user began before. */
import {
  type Ending,
  isTombstone,
  type OwnerKey,
  type RecordKey,
  type Store,
  type StoreCall,
  type StoredRecord,
  type Tombstone,
} from "../core/store.ts";
import { StoreUnavailableError } from "../errors.ts";

/** What a note says. It holds digests and times, nothing secret; it is not sealed. */
interface Note {
  readonly reason: string;
  readonly at: number;
  /** Of a user's sessions, those that go on, and from which version on. */
  readonly except?: Readonly<Record<string, number>>;
}

/** Notes ends, and finds them. */
export interface Revocations {
  /** How a session ended, if it did: two reads at once, one for a session of nobody. */
  endOf(record: StoredRecord, call: StoreCall): Promise<Tombstone | null>;
  note(record: StoredRecord, ending: Ending, call: StoreCall): Promise<void>;
  /** Ends all that a user has begun until now; later notes take the place of earlier ones. */
  noteOwner(owner: OwnerKey, ending: Ending, except: Readonly<Record<string, number>>, call: StoreCall): Promise<void>;
}

const MAX_ROUNDS = 100;

/** Keeps notes in a store, each for `revokedFor` milliseconds. */
export function revocations(store: Store, revokedFor: number): Revocations {
  async function noteAt(key: RecordKey, { at }: Ending, note: Note, call: StoreCall): Promise<void> {
    const deadline = at + revokedFor;
    const envelope = Buffer.from(JSON.stringify(note));
    const times = { createdAt: at, touchedAt: at, deadline };
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { space, route, lookup } = key;
      const record = { space, route, lookup, owner: null, tenant: null, ...times, version: 1, envelope, data: null };
      if ((await store.create(record, call)) === "created") return;
      const found = await store.read(key, call);
      if (found === null || isTombstone(found)) continue;
      // By another machine's clock, it may be from later.
      const latest = { ...note, at: Math.max(at, parseNote(found.envelope).at) };
      const change = { touchedAt: at, deadline, envelope: Buffer.from(JSON.stringify(latest)) };
      if ((await store.update(key, found.version, change, call)) === "updated") return;
    }
    throw new StoreUnavailableError("The end of a session could not be noted: others keep writing to the same note.");
  }

  async function noteOf(key: RecordKey, call: StoreCall): Promise<Note | null> {
    const found = await store.read(key, call);
    return found === null || isTombstone(found) ? null : parseNote(found.envelope);
  }

  return {
    async endOf(record, call) {
      const { owner, space, route, lookup } = record;
      const [own, ofOwner] = await Promise.all([
        noteOf({ space, route, lookup }, call),
        owner === null ? null : noteOf(ownerKeyOf({ space, route, owner }), call),
      ]);
      const note = own ?? (ofOwner !== null && covers(ofOwner, record) ? ofOwner : null);
      return note === null
        ? null
        : { space, route, lookup, endedAt: note.at, reason: note.reason, deadline: record.deadline };
    },

    note: ({ space, route, lookup }, ending, call) =>
      noteAt({ space, route, lookup }, ending, { reason: ending.reason, at: ending.at }, call),

    noteOwner: (owner, ending, except, call) =>
      noteAt(ownerKeyOf(owner), ending, { reason: ending.reason, at: ending.at, except }, call),
  };
}

/** No lookup of a record is like it: those hold no full stop. */
function ownerKeyOf({ space, route, owner }: OwnerKey): RecordKey {
  return { space, route, lookup: `owner.${owner}` };
}

/** Whether a session began before its user's sessions were ended, and is not one that goes on. */
function covers({ at, except = {} }: Note, { createdAt, lookup, version }: StoredRecord): boolean {
  const keptFrom = Object.hasOwn(except, lookup) ? except[lookup] : undefined;
  return createdAt <= at && (keptFrom === undefined || version < keptFrom);
}

/** Anybody who writes to the store could have written it; what cannot be read ends the session. */
function parseNote(bytes: Uint8Array): Note {
  try {
    const note = JSON.parse(Buffer.from(bytes).toString()) as Partial<Note> | null;
    const { reason = "revoked", at = Number.MAX_SAFE_INTEGER, except = {} } = note ?? {};
    return { reason, at, except };
  } catch {
    return { reason: "revoked", at: Number.MAX_SAFE_INTEGER };
  }
}
