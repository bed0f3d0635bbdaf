/** A store in memcached, through the application's own client: fast, and allowed to forget. */
import { hash } from "node:crypto";
import {
  isTombstone,
  type RecordKey,
  type Store,
  type StoreCall,
  type StoredRecord,
  type Tombstone,
  TOMBSTONE_MS,
} from "../core/store.ts";
import { OptionsError, StoreUnavailableError } from "../errors.ts";
import { type MemcachedClient, memcachedCommands } from "./shared/memcached-commands.ts";
import { decodeValue, encodeValue } from "./shared/memcached-value.ts";

export type { MemcachedClient } from "./shared/memcached-commands.ts";

/** Options of `memcachedStore`. */
export interface MemcachedStoreOptions {
  /** What every key starts with: up to 100 letters, digits and `:._-`; `symbolon:` unless told. */
  readonly prefix?: string;
}

/** What `memcachedStore` can do: no index, so no lists, no counts and no limits. */
export type MemcachedStore = Store;

type Entry = StoredRecord | Tombstone;

/** A record stays so long after its deadline, for clocks that differ. */
const SLACK_S = 600;
/** More seconds than these are taken for an instant. */
const LONGEST_LIFETIME_S = 2_592_000;
/** What a negative lifetime stores is gone at once. */
const GONE = -1;
/** The largest value the server takes is 1 MiB, its own notes included. */
const MAX_VALUE_BYTES = 1_048_000;

/** Settings of the client with which another server, or several, would answer for one that is away. */
const UNSAFE = ["remove", "redundancy", "failOverServers"] as const;

/**
 * Keeps each record, and then its tombstone, under one key; takes a `Memcached` of the package `memcached` 2.
 *
 * A read is one `get`, a create one `add`, an update or an end one `gets` and one `cas`: nothing is overwritten that
 * was not looked at. The server may drop anything at any time: a session that was dropped has never been, and the user
 * logs in again. It cannot come back, nor can one that was ended, because there is no other copy.
 *
 * A value has at most 1 MiB, which is about 750 000 bytes of sealed data; a larger one throws `StoreUnavailableError`.
 * No other error of the server or the client passes for absence, either (the client answers some of them by `false`).
 *
 * @throws {OptionsError} when `prefix` is not as told, or the client is set to let another server answer.
 */
export function memcachedStore(client: MemcachedClient, options: MemcachedStoreOptions = {}): MemcachedStore {
  const { prefix = "symbolon:" } = options;
  if (!/^[A-Za-z0-9:._-]{0,100}$/.test(prefix)) {
    throw new OptionsError("memcachedStore: `prefix` must be up to 100 letters, digits and `:._-`.");
  }
  insistOnOneServer(client);
  const commands = memcachedCommands(client);

  /** Digests may be any text, so what goes into a key is a digest of theirs; the length keeps two from sharing one. */
  function nameOf({ space, lookup }: RecordKey): string {
    return prefix + hash("sha256", `${space.length}:${space}${lookup}`, "base64url");
  }

  /**
   * Replaces the entry by what `next` makes of it, unless that is null. When it was changed in between, `next` looks
   * again. A server that refuses is found out then, too: the client takes it for failed from there on.
   */
  async function replace<T>(
    key: RecordKey,
    { now, signal }: StoreCall,
    next: (entry: Entry | null) => { readonly answer: T; readonly entry: Entry | null },
  ): Promise<T> {
    const name = nameOf(key);
    for (;;) {
      const found = await commands.gets(name, signal);
      const { answer, entry } = next(found && decodeValue(found.value, key));
      if (found === null || entry === null) return answer;
      if (await commands.cas(name, valueOf(entry), found.cas, lifetimeOf(entry, now), signal)) return answer;
    }
  }

  return {
    async read(key, { signal }) {
      return decodeValue(await commands.get(nameOf(key), signal), key);
    },

    async create(record, { now, signal }) {
      const added = await commands.add(nameOf(record), valueOf(record), lifetimeOf(record, now), signal);
      return added ? "created" : "exists";
    },

    update: (key, expectedVersion, { touchedAt, deadline, envelope, data }, call) =>
      replace<"updated" | "conflict" | "missing">(key, call, (held) => {
        if (held === null || isTombstone(held)) return { answer: "missing", entry: null };
        if (held.version !== expectedVersion) return { answer: "conflict", entry: null };
        const kept = data === undefined ? held.data : data;
        const entry = { ...held, touchedAt, deadline, envelope, data: kept, version: expectedVersion + 1 };
        return { answer: "updated", entry };
      }),

    delete: (key, { at, reason }, call) =>
      replace(key, call, (held) => {
        if (held === null || isTombstone(held)) return { answer: false, entry: null };
        const { space, route, lookup } = held;
        const deadline = Math.min(held.deadline, at + TOMBSTONE_MS);
        return { answer: true, entry: { space, route, lookup, endedAt: at, reason, deadline } };
      }),
  };
}

/**
 * A server that comes back brings what it held: were another asked meanwhile, a session that was ended there would live
 * again.
 */
function insistOnOneServer(client: MemcachedClient): void {
  const settings: Partial<Record<string, unknown>> = { ...client };
  const unsafe = UNSAFE.filter((name) => settings[name]);
  if (unsafe.length === 0) return;
  throw new OptionsError(
    `memcachedStore: make the client without ${unsafe.join(", ")}: what a server was not told would come back with it.`,
  );
}

function valueOf(entry: Entry): string {
  const value = encodeValue(entry);
  if (Buffer.byteLength(value) <= MAX_VALUE_BYTES) return value;
  throw new StoreUnavailableError("The session is too large for memcached, which takes values of 1 MiB at most.");
}

/** Seconds that the server is to keep an entry: a duration, or an instant where that is too long for one. */
function lifetimeOf(entry: Entry, now: number): number {
  if (isTombstone(entry) && entry.deadline <= now) return GONE;
  const seconds = Math.max(1, Math.ceil((entry.deadline - now) / 1000) + SLACK_S);
  return seconds <= LONGEST_LIFETIME_S ? seconds : Math.ceil(entry.deadline / 1000) + SLACK_S;
}
