/**
 * Sessions without a store: the client carries its record, sealed, beside its token.
 *
 * One process remembers the sessions it saw last, so that parallel requests to it see each other's changes and a session
 * that ended there stays ended. That is all the server holds, unless it is given a store for revocations.
 */
import {
  canClose,
  canPrune,
  canWarn,
  type Carrying,
  type Closing,
  type Ending,
  isTombstone,
  type OwnerIndex,
  type Pruning,
  type RecordKey,
  type Store,
  type StoreCall,
  type StoredRecord,
  type Tombstone,
  TOMBSTONE_MS,
  type Warning,
} from "../core/store.ts";
import { OptionsError } from "../errors.ts";
import type { HasCarrier } from "./carrier.ts";
import { packRecord, unpackRecord } from "./carried-record.ts";
import { chunkedCarrier, roomFor, tooLarge } from "./chunked-carrier.ts";
import { revocations, type Revocations } from "./revocations.ts";

/** Options of `sealedCookie`. */
export interface SealedCookieOptions {
  /**
   * Where ends are noted, so that every process knows them: any store. A request then costs two reads there, at once.
   * Without, a copy of a cookie that was made before logout opens the session until it times out.
   */
  readonly revocations?: Store;
  /** How long an end is remembered there, in milliseconds: no less than the longest idle timeout. Default 30 days. */
  readonly revokedFor?: number;
}

/** Stands in the place of a store. */
export type SealedCookie = Store & Carrying & HasCarrier;

/** Sessions seen last that a process remembers. */
const REMEMBERED = 10_000;
const THIRTY_DAYS_MS = 2_592_000_000;
/** The name of the cookie is not known here; this is longer than most. */
const LONGEST_NAME = "__Secure-".padEnd(64, "x");

/**
 * Makes a stand-in for `store` that lets clients carry their sessions: `createSessionManager({ store: sealedCookie() })`.
 *
 * A cookie of 4 KB holds about 2 KB of data, and up to three are used: 8 KB with all that belongs to the session, beyond
 * which saving throws `DataTooLargeError`. Nothing can be listed, counted, limited, or changed by handle. Parallel
 * requests lose each other's changes where they meet different processes. With `revocations`, logout, login and
 * `revokeAll` hold everywhere from the next request on; `revokeAll` cannot say how many it ended, and answers 0.
 *
 * @throws {OptionsError} for a wrong option.
 */
export function sealedCookie(options: SealedCookieOptions = {}): SealedCookie {
  const { revokedFor = THIRTY_DAYS_MS } = options;
  if (!Number.isSafeInteger(revokedFor) || revokedFor < 1) {
    throw new OptionsError("sealedCookie: `revokedFor` must be a whole number of milliseconds.");
  }
  const noted = options.revocations === undefined ? null : revocations(options.revocations, revokedFor);
  const remembered = new Map<string, StoredRecord | Tombstone>();

  function remember(entry: StoredRecord | Tombstone): void {
    remembered.delete(entry.lookup);
    remembered.set(entry.lookup, entry);
    for (const oldest of remembered.keys()) {
      if (remembered.size <= REMEMBERED) return;
      remembered.delete(oldest);
    }
  }

  function find({ space, lookup }: RecordKey): StoredRecord | Tombstone | null {
    const found = remembered.get(lookup);
    return found?.space === space ? found : null;
  }

  /** The entry, or the end that another process noted of it. */
  async function current(
    entry: StoredRecord | Tombstone | null,
    call: StoreCall,
  ): Promise<StoredRecord | Tombstone | null> {
    if (noted === null || entry === null || isTombstone(entry)) return entry;
    const ended = await noted.endOf(entry, call);
    if (ended === null) return entry;
    remember(ended);
    return ended;
  }

  function check(record: StoredRecord): void {
    if (packRecord(record).length > roomFor(LONGEST_NAME)) throw tooLarge(LONGEST_NAME);
    if (noted === null || record.deadline - record.touchedAt <= revokedFor) return;
    throw new OptionsError("sealedCookie: `revokedFor` must be at least as long as the idle timeout.");
  }

  const store: SealedCookie = {
    carrier: chunkedCarrier,

    async present(key, carried, call) {
      const brought = unpackRecord(key, carried);
      if (brought === null) return null;
      const known = find(key);
      const isOlder = known !== null && (isTombstone(known) || known.version >= brought.version);
      return current(isOlder ? known : brought, call);
    },

    keep(record) {
      const known = find(record);
      // Since it was presented, another request may have written it, or ended it.
      if (known === null || (!isTombstone(known) && known.version < record.version)) remember(record);
      else remember(known);
    },

    pack: packRecord,

    read: async (key, call) => current(find(key), call),

    create(record) {
      check(record);
      if (remembered.has(record.lookup)) return "exists";
      remember(record);
      return "created";
    },

    async update(key, expectedVersion, change, call) {
      const before = await current(find(key), call);
      // Meanwhile another request may have changed it.
      const found = before === null || isTombstone(before) ? null : find(key);
      if (found === null || isTombstone(found)) return "missing";
      if (found.version !== expectedVersion) return "conflict";
      const data = change.data === undefined ? found.data : change.data;
      const next = { ...found, ...change, data, version: expectedVersion + 1 };
      check(next);
      remember(next);
      return "updated";
    },

    async delete(key, ending, call) {
      const found = find(key);
      if (found === null || isTombstone(found)) return false;
      await noted?.note(found, ending, call);
      const latest = find(key) ?? found;
      // Of several who end it at once, the first one did.
      if (isTombstone(latest)) return false;
      remember(tombstoneOf(latest, ending));
      return true;
    },
  };
  if (noted === null) return store;
  return Object.assign(store, endsByOwner(noted, find), upkeepOf(options.revocations ?? store));
}

/** What the store of the revocations needs to be kept in order. */
function upkeepOf(store: Store): Partial<Pruning & Closing & Warning> {
  return {
    ...(canPrune(store) && { prune: (before, limit, call) => store.prune(before, limit, call) }),
    ...(canClose(store) && { close: () => store.close() }),
    ...(canWarn(store) && { onWarning: (listener) => store.onWarning(listener) }),
  };
}

/** Ends all of a user's sessions wherever they are; some may be kept, from their present version on. */
function endsByOwner(
  noted: Revocations,
  find: (key: RecordKey) => StoredRecord | Tombstone | null,
): Pick<OwnerIndex, "deleteByOwner"> {
  return {
    async deleteByOwner(owner, except, ending, call) {
      const kept = except.map((lookup): readonly [string, number] => {
        const found = find({ ...owner, lookup });
        return [lookup, found === null || isTombstone(found) ? 1 : found.version];
      });
      await noted.noteOwner(owner, ending, Object.fromEntries(kept), call);
      return 0;
    },
  };
}

function tombstoneOf(record: StoredRecord, { reason, at }: Ending): Tombstone {
  const { space, route, lookup } = record;
  return { space, route, lookup, endedAt: at, reason, deadline: Math.min(record.deadline, at + TOMBSTONE_MS) };
}
