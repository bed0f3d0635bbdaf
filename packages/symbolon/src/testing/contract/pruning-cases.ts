/** Cases for stores that remove garbage when told. */
import assert from "node:assert/strict";
import { canPrune, hasOwnerIndex } from "../../core/store.ts";
import {
  assertHolds,
  callAt,
  changed,
  type ContractCase,
  createAll,
  HOUR,
  MINUTE,
  newChange,
  newOwner,
  newRecord,
  NOW,
  openWith,
  recordsOf,
  tombstoneOf,
} from "./contract-case.ts";

const needs = "prune";

/** Stores that prune pass these. */
export const pruningCases: readonly ContractCase[] = [
  {
    name: "removes records and tombstones of all spaces at their deadline, and leaves what lives on",
    needs,
    async run(context) {
      const [first, second] = [await openWith(context, canPrune), await openWith(context, canPrune)];
      const before = NOW + HOUR;
      const garbage = [
        newRecord({ ...newOwner(), deadline: before }),
        newRecord({ deadline: before - 1 }),
        newRecord({ deadline: NOW + MINUTE }),
      ];
      const ended = newRecord({ deadline: before });
      const live = [newRecord({ ...newOwner(), deadline: before + 1 }), newRecord({ deadline: before + 20 * MINUTE })];
      const endedLive = newRecord({ deadline: before + 1 });
      await createAll(first, [...garbage, ended, ...live, endedLive]);
      for (const record of [ended, endedLive]) await first.delete(record, { reason: "logout", at: NOW }, callAt());
      assert.equal(await second.prune(before, 100, callAt(before)), 4);
      for (const record of [...garbage, ended]) assert.equal(await first.read(record, callAt()), null);
      for (const record of live) await assertHolds(first, record);
      await assertHolds(first, tombstoneOf(endedLive, "logout", NOW, before + 1));
      assert.equal(await second.prune(before, 100, callAt(before)), 0);
    },
  },
  {
    name: "goes by the instant it is given, not by the time of the call",
    needs,
    async run(context) {
      const store = await openWith(context, canPrune);
      const record = newRecord({ deadline: NOW + HOUR });
      await createAll(store, [record]);
      assert.equal(await store.prune(NOW + HOUR - 1, 100, callAt(NOW + 5 * HOUR)), 0);
      await assertHolds(store, record);
    },
  },
  {
    name: "removes no more than the limit, and the oldest first",
    needs,
    async run(context) {
      const store = await openWith(context, canPrune);
      const hours = [5, 2, 6, 1, 4, 3];
      const records = hours.map((hour) => newRecord({ deadline: NOW + hour * HOUR }));
      await createAll(store, records);
      for (const expected of [
        [1, 2],
        [3, 4],
        [5, 6],
      ]) {
        assert.equal(await store.prune(NOW + 10 * HOUR, 2, callAt(NOW + 10 * HOUR)), 2);
        for (const [index, hour] of hours.entries()) {
          const found = await store.read(records[index]!, callAt());
          assert.equal(found === null, hour <= expected[1]!, `the record of hour ${hour}`);
        }
      }
      assert.equal(await store.prune(NOW + 10 * HOUR, 2, callAt(NOW + 10 * HOUR)), 0);
    },
  },
  {
    name: "goes by the deadline of the last update, later or earlier",
    needs,
    async run(context) {
      const store = await openWith(context, canPrune);
      const prolonged = newRecord({ deadline: NOW + HOUR });
      const shortened = newRecord({ deadline: NOW + 9 * HOUR });
      await createAll(store, [prolonged, shortened]);
      const change = newChange({ deadline: NOW + 5 * HOUR });
      await store.update(prolonged, 1, change, callAt());
      await store.update(shortened, 1, newChange({ deadline: NOW + HOUR }), callAt());
      assert.equal(await store.prune(NOW + 2 * HOUR, 100, callAt(NOW + 2 * HOUR)), 1);
      await assertHolds(store, changed(prolonged, change));
      assert.equal(await store.read(shortened, callAt()), null);
      assert.equal(await store.prune(NOW + 5 * HOUR, 100, callAt(NOW + 5 * HOUR)), 1);
    },
  },
  {
    name: "gets through more garbage than one call takes",
    needs,
    async run(context) {
      const store = await openWith(context, canPrune);
      const records = recordsOf(newOwner(), 25, { deadline: NOW + MINUTE });
      const live = newRecord({ deadline: NOW + 3 * HOUR });
      await createAll(store, [...records, live]);
      const removed: number[] = [];
      for (let last = -1; last !== 0; removed.push(last)) last = await store.prune(NOW + HOUR, 10, callAt(NOW + HOUR));
      assert.deepEqual(removed, [10, 10, 5, 0]);
      await assertHolds(store, live);
    },
  },
  {
    name: "makes room for a new record where garbage was",
    needs,
    async run(context) {
      const store = await openWith(context, canPrune);
      const owner = newOwner();
      const [record, ended] = recordsOf(owner, 2);
      await createAll(store, [record!, ended!]);
      await store.delete(ended!, { reason: "logout", at: NOW }, callAt());
      await store.prune(NOW + HOUR, 100, callAt(NOW + HOUR));
      if (hasOwnerIndex(store)) assert.equal(await store.countByOwner(owner, callAt()), 0);
      const successors = [record!, ended!].map((one) => ({ ...one, deadline: NOW + 2 * HOUR }));
      await createAll(store, successors);
      for (const successor of successors) await assertHolds(store, successor);
    },
  },
];
