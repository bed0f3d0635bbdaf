/** Cases for stores that tell what is written. */
import assert from "node:assert/strict";
import {
  canAdmit,
  canLock,
  canReplicate,
  hasInvalidations,
  hasOwnerIndex,
  hasTenantIndex,
  type Invalidations,
  type Store,
} from "../../core/store.ts";
import {
  callAt,
  type ContractCase,
  type ContractContext,
  createAll,
  digest,
  newChange,
  newOwner,
  newRecord,
  NOW,
  openWith,
  recordsOf,
  sleep,
} from "./contract-case.ts";
import { callNow, newLock } from "./locks.ts";

const needs = "invalidations";
const ENDING = { reason: "revoked", at: NOW };
const WAIT_MS = 10_000;

/** Stores that tell what is written pass these. */
export const invalidationCases: readonly ContractCase[] = [
  {
    name: "tells every listener of an update and of an end, whichever handle wrote it",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      const heard = [await listen(first), await listen(second)];
      const [updated, ended] = [newRecord(), newRecord()];
      await createAll(first, [updated, ended]);
      await first.update(updated, 1, newChange(), callAt());
      await second.delete(ended, ENDING, callAt());
      for (const { changed } of heard) await untilHas(changed, [updated.lookup, ended.lookup]);
      for (const { stop } of heard) await stop();
    },
  },
  {
    name: "tells of each record that ends with others",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      const { changed, stop } = await listen(second);
      const owner = newOwner();
      const ofOwner = recordsOf(owner, 3);
      await createAll(first, ofOwner);
      if (hasOwnerIndex(first)) {
        await first.deleteByOwner(owner, [], ENDING, callAt());
        await untilHas(changed, lookupsOf(ofOwner));
      }
      const tenant = digest(16);
      const ofTenant = recordsOf(newOwner(), 3, { tenant });
      await createAll(first, ofTenant);
      if (hasTenantIndex(first)) {
        await first.deleteByTenant({ space: ofTenant[0]!.space, tenant }, ENDING, callAt());
        await untilHas(changed, lookupsOf(ofTenant));
      }
      await stop();
    },
  },
  {
    name: "tells of records that give way to another",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      if (!canAdmit(first)) return;
      const { changed, stop } = await listen(second);
      const owner = newOwner();
      const [oldest, replaced, record] = recordsOf(owner, 3);
      await createAll(first, [oldest!, replaced!]);
      const rules = { perOwner: 1, total: null, onLimit: "evict-oldest", replacing: replaced!.lookup } as const;
      await first.admit({ ...record!, owner: owner.owner }, rules, callAt());
      await untilHas(changed, [oldest!.lookup, replaced!.lookup]);
      await stop();
    },
  },
  {
    name: "tells of a copy that took the place of a record",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      if (!canReplicate(first)) return;
      const { changed, stop } = await listen(second);
      const record = newRecord();
      await createAll(first, [record]);
      await first.apply({ ...record, version: 5 }, callAt());
      await untilHas(changed, [record.lookup]);
      await stop();
    },
  },
  {
    name: "tells of an update under a lock, as of any other",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      if (!canLock(first)) return;
      const { changed, stop } = await listen(second);
      const record = newRecord();
      await createAll(first, [record]);
      const key = newLock(record);
      const held = { lock: key.lock, holder: "ann" };
      await first.acquireLock(key, held.holder, WAIT_MS, callNow());
      await first.updateUnderLock(record, 1, newChange(), held, callNow());
      await untilHas(changed, [record.lookup]);
      await stop();
    },
  },
  {
    name: "tells of a lock that is released",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      if (!canLock(first)) return;
      const { released, stop } = await listen(second);
      const key = newLock();
      await first.acquireLock(key, "ann", WAIT_MS, callNow());
      await first.releaseLock(key, "ann", callNow());
      await untilHas(released, [key.lock]);
      await stop();
    },
  },
  {
    name: "tells nothing more to who stopped listening, and goes on for the others",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      const stopped = await listen(second);
      const goesOn = await listen(second);
      await stopped.stop();
      await stopped.stop();
      const record = newRecord();
      await createAll(first, [record]);
      await first.update(record, 1, newChange(), callAt());
      await untilHas(goesOn.changed, [record.lookup]);
      assert.deepEqual([...stopped.changed], []);
      await goesOn.stop();
    },
  },
  {
    name: "is not disturbed by a listener that throws",
    needs,
    async run(context) {
      const [first, second] = await openTwoTelling(context);
      const stopFailing = await second.subscribe(
        { changed: fail, released: fail, lost: fail, restored: fail },
        callAt(),
      );
      const { changed, stop } = await listen(second);
      const records = [newRecord(), newRecord()];
      await createAll(first, records);
      for (const record of records) assert.equal(await first.update(record, 1, newChange(), callAt()), "updated");
      await untilHas(changed, lookupsOf(records));
      await stop();
      await stopFailing();
    },
  },
];

interface Heard {
  readonly changed: ReadonlySet<string>;
  readonly released: ReadonlySet<string>;
  readonly stop: () => Promise<void>;
}

function fail(): never {
  throw new Error("a listener's own mistake");
}

async function listen(store: Invalidations): Promise<Heard> {
  const changed = new Set<string>();
  const released = new Set<string>();
  const stop = await store.subscribe(
    {
      changed: (lookup) => void changed.add(lookup),
      released: (lock) => void released.add(lock),
      lost: () => undefined,
      restored: () => undefined,
    },
    callAt(),
  );
  return { changed, released, stop: async () => stop() };
}

/** Messages travel on their own, so a write may be acknowledged before they arrive. */
async function untilHas(heard: ReadonlySet<string>, wanted: readonly string[]): Promise<void> {
  const until = performance.now() + WAIT_MS;
  while (!wanted.every((one) => heard.has(one))) {
    assert.ok(performance.now() < until, "a listener was not told of a write");
    await sleep(5);
  }
}

function lookupsOf(records: readonly { readonly lookup: string }[]): string[] {
  return records.map(({ lookup }) => lookup);
}

async function openTwoTelling(
  context: ContractContext,
): Promise<readonly [Store & Invalidations, Store & Invalidations]> {
  return [await openWith(context, hasInvalidations), await openWith(context, hasInvalidations)];
}
