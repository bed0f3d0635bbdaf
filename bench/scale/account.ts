/** The account after a load: what the store holds, against what it acknowledged. */
import {
  canReplicate,
  hasOwnerIndex,
  hasTenantIndex,
  isTombstone,
  type OwnerIndex,
  type OwnerKey,
  type RecordKey,
  type RecordPage,
  type ReplicaPage,
  type Store,
  type StoreCall,
  type StoredRecord,
} from "symbolon";
import type { Created, EndedAll, Entry } from "./journal.ts";

/** What the account came to. */
export interface Account {
  /** One line for everything that does not agree; the first hundred. */
  readonly faults: readonly string[];
  readonly created: number;
  readonly ended: number;
  readonly live: number;
  readonly updates: number;
}

interface Expected extends Created {
  updates: number;
  ends: number;
}

/** What was acknowledged of one user. */
interface Ledger {
  readonly records: Expected[];
  readonly endedAll: EndedAll[];
}

const AT_ONCE = 16;
const PAGE = 1000;
const MOST_FAULTS = 100;

/** Adds up journals, then compares. Nothing may be written meanwhile. */
export class Accountant {
  readonly #records = new Map<string, Expected>();
  readonly #updates = new Map<string, number>();
  readonly #ends = new Map<string, number>();
  readonly #endedAll = new Map<string, EndedAll[]>();
  readonly #faults: string[] = [];

  add(entry: Entry): void {
    if ("created" in entry) {
      const { created } = entry;
      if (this.#records.has(created.lookup)) this.#fault(created.lookup, "was created twice");
      this.#records.set(created.lookup, { ...created, updates: 0, ends: 0 });
    } else if ("updated" in entry) {
      this.#updates.set(entry.updated, (this.#updates.get(entry.updated) ?? 0) + entry.times);
    } else if ("ended" in entry) {
      this.#ends.set(entry.ended, (this.#ends.get(entry.ended) ?? 0) + 1);
    } else {
      const { owner } = entry.endedAll;
      this.#endedAll.set(owner, [...(this.#endedAll.get(owner) ?? []), entry.endedAll]);
    }
  }

  /** Compares record by record, user by user, and in sum. */
  async check(store: Store): Promise<Account> {
    for (const [lookup, times] of this.#updates) this.#known(lookup).updates += times;
    for (const [lookup, times] of this.#ends) this.#known(lookup).ends += times;
    const ledgers = this.#ledgers();
    const live: Expected[] = [];
    await forEach(ledgers, async ([owner, ledger]) => {
      live.push(...(await this.#checkLedger(store, owner, ledger)));
    });
    await this.#checkTotals(store, live);
    await this.#checkEverything(store, live);
    return {
      faults: this.#faults,
      created: this.#records.size,
      ended: sum(this.#ends.values()) + sum([...this.#endedAll.values()].flat().map(({ count }) => count)),
      live: live.length,
      updates: sum(this.#updates.values()),
    };
  }

  #known(lookup: string): Expected {
    const record = this.#records.get(lookup);
    if (record === undefined) throw new Error(`A record that nobody created was written: ${lookup}.`);
    return record;
  }

  /** By user; all who are nobody together. */
  #ledgers(): ReadonlyMap<string | null, Ledger> {
    const ledgers = new Map<string | null, Ledger>();
    for (const record of this.#records.values()) {
      const { owner } = record;
      const ledger = ledgers.get(owner);
      if (ledger) ledger.records.push(record);
      else ledgers.set(owner, { records: [record], endedAll: (owner !== null && this.#endedAll.get(owner)) || [] });
    }
    return ledgers;
  }

  /** Compares one user's records with the store; answers those that live. */
  async #checkLedger(store: Store, owner: string | null, ledger: Ledger): Promise<Expected[]> {
    const isListed = owner !== null && hasOwnerIndex(store);
    const found = isListed ? await this.#listed(store, ownerOf(ledger, owner)) : await readAll(store, ledger.records);
    const live = ledger.records.filter((record) => this.#checkRecord(record, found.get(record.lookup), ledger));
    for (const lookup of found.keys())
      if (!this.#records.has(lookup)) this.#fault(lookup, "is listed, and was never created");
    if (!isListed) return live;
    const unlisted = ledger.records.filter(({ lookup }) => !found.has(lookup));
    for (const lookup of (await readAll(store, unlisted)).keys()) this.#fault(lookup, "lives, and is not listed");
    const ended = ledger.records.reduce((total, { ends }) => total + ends, 0);
    const endedAtOnce = ledger.endedAll.reduce((total, { count }) => total + count, 0);
    const expected = ledger.records.length - ended - endedAtOnce;
    if (found.size !== expected) this.#fault(`user ${owner}`, `has ${found.size} sessions instead of ${expected}`);
    return live;
  }

  async #listed(store: Store & OwnerIndex, key: OwnerKey): Promise<Map<string, StoredRecord>> {
    const found = new Map<string, StoredRecord>();
    let cursor: string | null = null;
    do {
      const page: RecordPage = await store.listByOwner(key, { cursor, limit: PAGE }, call());
      for (const record of page.records) found.set(record.lookup, record);
      cursor = page.cursor;
    } while (cursor !== null);
    const counted = await store.countByOwner(key, call());
    if (counted !== found.size)
      this.#fault(`user ${key.owner}`, `has ${found.size} sessions, and ${counted} are counted`);
    return found;
  }

  /** Whether the record lives, as it should or not. */
  #checkRecord(expected: Expected, found: StoredRecord | undefined, { endedAll }: Ledger): boolean {
    const { lookup, ends, updates, from, until } = expected;
    if (ends > 1) this.#fault(lookup, `was ended ${ends} times`);
    const mustBeOver = ends > 0 || endedAll.some((all) => all.from > until);
    const mayBeOver = mustBeOver || endedAll.some((all) => all.until > from);
    if (found === undefined) {
      if (!mayBeOver) this.#fault(lookup, "is gone, and was never ended");
      return false;
    }
    if (mustBeOver) this.#fault(lookup, "lives, and was ended");
    const version = 1 + updates;
    if (found.version !== version) this.#fault(lookup, `has version ${found.version} after ${updates} updates`);
    return true;
  }

  async #checkTotals(store: Store, live: readonly Expected[]): Promise<void> {
    if (!hasTenantIndex(store)) return;
    const owned = live.filter(({ owner }) => owner !== null);
    const [first] = this.#records.values();
    if (first === undefined) return;
    for (const tenant of new Set([null, ...owned.map((record) => record.tenant)])) {
      const expected = tenant === null ? owned : owned.filter((record) => record.tenant === tenant);
      const key = { space: first.space, tenant };
      const whose = tenant === null ? "the space" : `tenant ${tenant}`;
      const records = await store.countByTenant(key, call());
      if (records !== expected.length)
        this.#fault(whose, `has ${expected.length} sessions, and ${records} are counted`);
      const owners = new Set(expected.map(({ owner }) => owner)).size;
      const counted = await store.countOwners(key, call());
      if (counted !== owners) this.#fault(whose, `has ${owners} users, and ${counted} are counted`);
    }
  }

  /** Where a store tells everything it holds, nothing else is in it. */
  async #checkEverything(store: Store, live: readonly Expected[]): Promise<void> {
    if (!canReplicate(store)) return;
    const missing = new Set(live.map(({ lookup }) => lookup));
    let cursor: string | null = null;
    do {
      const page: ReplicaPage = await store.scan({ cursor, limit: PAGE }, call());
      for (const entry of page.entries) {
        if (!isTombstone(entry) && !missing.delete(entry.lookup))
          this.#fault(entry.lookup, "is stored, and should not live");
      }
      cursor = page.cursor;
    } while (cursor !== null);
    for (const lookup of missing) this.#fault(lookup, "lives, and was not found among everything");
  }

  #fault(what: string, how: string): void {
    if (this.#faults.length < MOST_FAULTS) this.#faults.push(`${what} ${how}`);
  }
}

function ownerOf({ records }: Ledger, owner: string): OwnerKey {
  const { space = "", route = 0 } = records[0] ?? {};
  return { space, route, owner };
}

/** Those of the records that live. */
async function readAll(store: Store, keys: readonly RecordKey[]): Promise<Map<string, StoredRecord>> {
  const found = new Map<string, StoredRecord>();
  await forEach(keys, async (key) => {
    const entry = await store.read(key, call());
    if (entry !== null && !isTombstone(entry)) found.set(key.lookup, entry);
  });
  return found;
}

/** Works through the items, some at once. */
async function forEach<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const one of numbers) total += one;
  return total;
}

function call(): StoreCall {
  return { now: Date.now(), signal: new AbortController().signal };
}
