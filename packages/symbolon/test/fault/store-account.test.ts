/** The account that `store-load.test.ts` trusts finds what a store did wrong: each fault is planted, and found. */
import {
  generateKey,
  isTombstone,
  type RecordChange,
  type RecordKey,
  type Store,
  type StoredRecord,
  type Tombstone,
} from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { describe, expect, test } from "vitest";
import { Accountant } from "../../../../bench/scale/account.ts";
import { Journal } from "../../../../bench/scale/journal.ts";
import { beginCounters, Load, readCounter } from "../../../../bench/scale/load.ts";
import { type FullStore, intercept } from "../support/stores.ts";

const OPERATIONS = 1500;

/** Two processes' part of a load on one store, and everything that was found wrong after it. */
async function faultsOf(store: Store): Promise<string[]> {
  const key = generateKey();
  const journal = new Journal();
  const overheard = journal.of(store);
  const counters = await beginCounters(overheard, key, 5);
  const loads = [new Load(overheard, key, counters), new Load(overheard, key, counters)];
  const faults: string[] = [];
  for (const [index, load] of loads.entries()) {
    await load.preload({ users: `user ${index}-`, sessions: 200, perUser: 10 });
  }
  let done = 0;
  await Promise.all(loads.map((load) => load.run(() => done++ > OPERATIONS)));
  for (const load of loads) faults.push(...(await load.lookBack()));
  const accountant = new Accountant();
  for (const entry of journal.entries()) accountant.add(entry);
  faults.push(...(await accountant.check(store)).faults);
  for (const counter of counters) {
    const expected = loads.reduce((total, load) => total + (load.counted()[counter.id] ?? 0), 0);
    const found = await readCounter(store, key, counter);
    if (found !== expected) faults.push(`a shared count is ${found} instead of ${expected}`);
  }
  return faults;
}

/** A store whose update of an ended record puts it back, as an upsert would. */
function reviving(): FullStore {
  const seen = new Map<string, StoredRecord>();
  const revived = new Map<string, StoredRecord>();
  return intercept(memoryStore(), async (call) => {
    const { method, args } = call;
    const [{ lookup }, version, change] = args as [RecordKey, number, RecordChange];
    const answer = await call.proceed();
    if (method === "read") {
      const found = answer as StoredRecord | Tombstone | null;
      if (found !== null && !isTombstone(found)) seen.set(lookup, found);
      return revived.get(lookup) ?? found;
    }
    const before = seen.get(lookup);
    if (method !== "update" || answer !== "missing" || before === undefined) return answer;
    revived.set(lookup, { ...before, ...change, version: version + 1 });
    return "updated";
  });
}

/** A store that ends a record and leaves it in its index. */
function forgetful(): FullStore {
  const owners = new Map<string, string | null>();
  const left = new Map<string, number>();
  return intercept(memoryStore(), async (call) => {
    const { method, args } = call;
    const answer = await call.proceed();
    const [{ lookup, owner }] = args as [StoredRecord];
    if (method === "create" || method === "admit") owners.set(lookup, owner);
    const of = owners.get(lookup) ?? null;
    if (method === "delete" && answer === true && of !== null) left.set(of, (left.get(of) ?? 0) + 1);
    return method === "countByOwner" ? (answer as number) + (left.get(owner ?? "") ?? 0) : answer;
  });
}

/** A store that acknowledges an update in ten, and does not make it. */
function losing(): FullStore {
  let updates = 0;
  return intercept(memoryStore(), (call) =>
    call.method === "update" && ++updates % 10 === 0 ? "updated" : call.proceed(),
  );
}

/** A store that counts one session too many. */
function inventive(): FullStore {
  return intercept(memoryStore(), async (call) => {
    const answer = await call.proceed();
    return call.method === "countByTenant" ? (answer as number) + 1 : answer;
  });
}

describe("the account after a load", () => {
  test("finds nothing wrong with a store that does what it says", async () => {
    expect(await faultsOf(memoryStore())).toEqual([]);
  });

  test.each([
    ["an update that revives", reviving, "an ended session was revived"],
    ["an index that keeps what ended", forgetful, /^user \S+ has \d+ sessions, and \d+ are counted$/],
    ["an update that is lost", losing, /^\S+ has version \d+ after \d+ updates$/],
    ["a lost count", losing, /^a count is \d+ instead of \d+$/],
    ["a lost count of several processes", losing, /^a shared count is \d+ instead of \d+$/],
    ["a total that is not the sum", inventive, /^the space has \d+ sessions, and \d+ are counted$/],
  ])("finds %s", async (_what, make, fault) => {
    expect(await faultsOf(make())).toContainEqual(expect.stringMatching(fault));
  });
});
