/** Cases for stores that keep locks. Leases may end by a server's clock, so these wait for real time, though not for long. */
import assert from "node:assert/strict";
import { canLock } from "../../core/store.ts";
import {
  assertHolds,
  atOnce,
  type ContractCase,
  createAll,
  digest,
  HOUR,
  newRecord,
  openWith,
  sleep,
} from "./contract-case.ts";
import { acquire, callNow, newLock, openTwoLocking, untilAcquired } from "./locks.ts";

const needs = "lock";
const SHORT = 250;

/** Stores that lock pass these. */
export const lockingCases: readonly ContractCase[] = [
  {
    name: "gives a lock to one holder at a time, on every handle",
    needs,
    async run(context) {
      const [first, second] = await openTwoLocking(context);
      const key = newLock();
      const acquired = await acquire(first, key, "ann");
      assert.ok(acquired !== null && Number.isSafeInteger(acquired) && acquired > 0);
      const answer = await second.acquireLock(key, "bob", HOUR, callNow());
      assert.ok(answer.status === "held" && answer.remaining > 0 && answer.remaining <= HOUR);
      assert.equal(await second.releaseLock(key, "bob", callNow()), false);
      assert.equal(await acquire(second, key, "bob"), null);
      assert.equal(await first.releaseLock(key, "ann", callNow()), true);
      assert.ok((await acquire(second, key, "bob")) !== null);
    },
  },
  {
    name: "keeps locks apart by name and by space, and from records",
    needs,
    async run(context) {
      const store = await openWith(context, canLock);
      const key = newLock();
      const record = newRecord({ space: key.space, route: key.route, lookup: key.lock });
      await createAll(store, [record]);
      assert.ok((await acquire(store, key, "ann")) !== null);
      await assertHolds(store, record);
      for (const other of [
        { ...key, lock: digest(32) },
        { ...key, space: digest(8) },
        { ...key, lock: key.lock.toUpperCase() },
      ]) {
        assert.ok((await acquire(store, other, "bob")) !== null);
      }
      await store.delete(record, { reason: "logout", at: Date.now() }, callNow());
      assert.equal(await acquire(store, key, "bob"), null);
    },
  },
  {
    name: "lets exactly one of fifty at a time have the lock, with a greater fence each time",
    needs,
    async run(context) {
      const handles = await openTwoLocking(context);
      const key = newLock();
      const fences: number[] = [];
      for (let round = 0; round < 5; round++) {
        const answers = await atOnce(50, async (index) => acquire(handles[index % 2]!, key, `holder ${index}`));
        const winners = [...answers.entries()].filter(([, fence]) => fence !== null);
        assert.equal(winners.length, 1);
        const [winner, fence] = winners[0]!;
        fences.push(fence!);
        assert.equal(await handles[(winner + 1) % 2]!.releaseLock(key, `holder ${winner}`, callNow()), true);
      }
      for (const [index, fence] of fences.entries()) assert.ok(index === 0 || fence > fences[index - 1]!);
    },
  },
  {
    name: "answers the holder who asks again with the same fence",
    needs,
    async run(context) {
      const store = await openWith(context, canLock);
      const key = newLock();
      const fence = await acquire(store, key, "ann");
      assert.equal(await acquire(store, key, "ann"), fence);
    },
  },
  {
    name: "frees the lock when its lease ends, and not before",
    needs,
    async run(context) {
      const [first, second] = await openTwoLocking(context);
      const key = newLock();
      const since = performance.now();
      const fence = await acquire(first, key, "ann", SHORT);
      const next = await untilAcquired(second, key, "bob");
      assert.ok(performance.now() - since >= SHORT * 0.9, "the lease was cut short");
      assert.ok(fence !== null && next > fence);
      assert.equal(await first.renewLock(key, "ann", HOUR, callNow()), false);
      assert.equal(await first.releaseLock(key, "ann", callNow()), false);
      assert.equal(await acquire(first, key, "ann"), null);
      assert.equal(await second.releaseLock(key, "bob", callNow()), true);
    },
  },
  {
    name: "starts the lease anew when its holder renews it, and for nobody else",
    needs,
    async run(context) {
      const [first, second] = await openTwoLocking(context);
      const key = newLock();
      assert.ok((await acquire(first, key, "ann", SHORT * 4)) !== null);
      assert.equal(await second.renewLock(key, "bob", HOUR, callNow()), false);
      assert.equal(await first.renewLock(key, "ann", HOUR, callNow()), true);
      await sleep(SHORT * 5);
      assert.equal(await acquire(second, key, "bob"), null);
      assert.equal(await first.releaseLock(key, "ann", callNow()), true);
      assert.equal(await first.renewLock(key, "ann", HOUR, callNow()), false);
      assert.equal(await first.releaseLock(key, "ann", callNow()), false);
    },
  },
  {
    name: "gives a greater fence also after the lock was free",
    needs,
    async run(context) {
      const [first, second] = await openTwoLocking(context);
      const key = newLock();
      let last = 0;
      for (const [store, holder] of [
        [first, "ann"],
        [second, "bob"],
        [first, "ann"],
      ] as const) {
        const fence = await acquire(store, key, holder);
        assert.ok(fence !== null && fence > last);
        last = fence;
        await store.releaseLock(key, holder, callNow());
      }
    },
  },
];
