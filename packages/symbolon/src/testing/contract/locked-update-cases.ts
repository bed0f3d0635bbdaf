/** Cases about records that are written only while a lock is held. Leases may end by a server's clock, as for locks. */
import assert from "node:assert/strict";
import {
  type HeldLock,
  isTombstone,
  type LockKey,
  type Locking,
  type RecordKey,
  type Store,
  type StoredRecord,
} from "../../core/store.ts";
import {
  assertHolds,
  changed,
  type ContractCase,
  type ContractContext,
  createAll,
  HOUR,
  newChange,
  newRecord,
  NOW,
  sleep,
  tombstoneOf,
} from "./contract-case.ts";
import { acquire, callNow, newLock, openTwoLocking, untilAcquired } from "./locks.ts";

const needs = "lock";
const SHORT = 250;
const ENDING = { reason: "logout", at: NOW };

/** Of the race: so often somebody takes over who finds so many records being written. */
const ROUNDS = 20;
const RECORDS = 30;
const RACING_LEASE = 25;
const PATIENCE = 10_000;

/** Stores that lock pass these. */
export const lockedUpdateCases: readonly ContractCase[] = [
  {
    name: "updates a record while the lock is held, and answers conflict and missing as without one",
    needs,
    async run(context) {
      const { first, second, record, ended, absent, key, held } = await stage(context);
      await acquire(first, key, held.holder);
      const [one, two] = [newChange(), newChange()];
      assert.equal(await first.updateUnderLock(record, 1, one, held, callNow()), "updated");
      const once = changed(record, one);
      await assertHolds(second, once);
      assert.equal(await first.updateUnderLock(record, 1, two, held, callNow()), "conflict");
      assert.equal(await first.updateUnderLock(record, 3, two, held, callNow()), "conflict");
      assert.equal(await first.updateUnderLock(ended, 1, two, held, callNow()), "missing");
      assert.equal(await first.updateUnderLock(absent, 1, two, held, callNow()), "missing");
      await assertHolds(second, once);
      await assertHolds(second, tombstoneOf(ended, ENDING.reason, ENDING.at, ended.deadline));
      assert.equal(await second.read(absent, callNow()), null);
      assert.equal(await second.updateUnderLock(record, 2, two, held, callNow()), "updated");
      await assertHolds(first, changed(once, two));
    },
  },
  {
    name: "keeps data that an update under a lock leaves out, and replaces or clears what it does not",
    needs,
    async run(context) {
      const { first, second, record, key, held } = await stage(context);
      await acquire(first, key, held.holder);
      let expected = record;
      for (const data of [undefined, Buffer.from("new data"), undefined, null, undefined]) {
        const change = newChange(data === undefined ? {} : { data });
        const version = expected.version;
        assert.equal(await first.updateUnderLock(record, version, change, held, callNow()), "updated");
        expected = changed(expected, change);
        await assertHolds(second, expected);
      }
    },
  },
  {
    name: "answers lost to who does not have the lock, whoever else does",
    needs,
    async run(context) {
      const staged = await stage(context);
      const { first, key } = staged;
      await assertLost(staged);
      await acquire(first, key, "bob");
      await assertLost(staged);
    },
  },
  {
    name: "answers lost to who released the lock",
    needs,
    async run(context) {
      const staged = await stage(context);
      const { first, second, key, held } = staged;
      await acquire(first, key, held.holder);
      await second.releaseLock(key, held.holder, callNow());
      await assertLost(staged);
    },
  },
  {
    name: "answers lost when the lease has ended, though nobody took the lock since",
    needs,
    async run(context) {
      const staged = await stage(context);
      await acquire(staged.first, staged.key, staged.held.holder, SHORT);
      await sleep(SHORT * 2);
      await assertLost(staged);
    },
  },
  {
    name: "answers lost to who had the lock before its holder",
    needs,
    async run(context) {
      const staged = await stage(context);
      const { first, second, record, key, held } = staged;
      await acquire(first, key, held.holder, SHORT);
      await untilAcquired(second, key, "bob");
      await assertLost(staged);
      const change = newChange();
      assert.equal(await second.updateUnderLock(record, 1, change, { ...held, holder: "bob" }, callNow()), "updated");
      await assertHolds(first, changed(record, change));
    },
  },
  {
    name: "updates under a lock whose lease was renewed, or taken again by its holder",
    needs,
    async run(context) {
      const { first, second, record, key, held } = await stage(context);
      const again = newLock(key);
      await acquire(first, key, held.holder, SHORT * 4);
      await acquire(first, again, held.holder, SHORT * 4);
      assert.equal(await second.renewLock(key, held.holder, HOUR, callNow()), true);
      assert.ok((await acquire(second, again, held.holder)) !== null);
      await sleep(SHORT * 5);
      assert.equal(await first.updateUnderLock(record, 1, newChange(), held, callNow()), "updated");
      const other = { ...held, lock: again.lock };
      assert.equal(await first.updateUnderLock(record, 2, newChange(), other, callNow()), "updated");
    },
  },
  {
    name: "answers lost when the holder has another lock, or one of the same name in another space",
    needs,
    async run(context) {
      const staged = await stage(context);
      const { first, key, held } = staged;
      await acquire(first, newLock(key), held.holder);
      await acquire(first, { ...key, space: newRecord().space }, held.holder);
      await assertLost(staged);
    },
  },
  {
    name: "shows the next holder of a lock every write there was, and lets none come after",
    needs,
    async run(context) {
      const [first, second] = await openTwoLocking(context);
      for (let round = 0; round < ROUNDS; round++) {
        const key = newLock();
        const records = Array.from({ length: RECORDS }, () => newRecord({ space: key.space, route: key.route }));
        await createAll(first, records);
        await acquire(first, key, "ann", RACING_LEASE);
        const writing = Promise.all(records.map(async (record) => writeUntilLost(first, record, key, "ann")));
        await untilAcquired(second, key, "bob");
        const found = await Promise.all(records.map(async (record) => versionOf(second, record)));
        assert.deepEqual(found, await writing);
        for (const [index, record] of records.entries()) {
          const held = { lock: key.lock, holder: "bob" };
          assert.equal(
            await second.updateUnderLock(record, found[index]!, newChange(), held, callNow()),
            "updated",
            "somebody wrote who did not have the lock any more",
          );
        }
      }
    },
  },
];

interface Stage {
  readonly first: Store & Locking;
  readonly second: Store & Locking;
  readonly record: StoredRecord;
  readonly ended: StoredRecord;
  readonly absent: RecordKey;
  readonly key: LockKey;
  /** The lock in the hands of `ann`, who has yet to take it. */
  readonly held: HeldLock;
}

/** Two handles, and a lock that lives with a record, one that ended and one that never was. */
async function stage(context: ContractContext): Promise<Stage> {
  const [first, second] = await openTwoLocking(context);
  const record = newRecord({ data: Buffer.from("data") });
  const { space, route } = record;
  const [ended, absent] = [newRecord({ space, route }), newRecord({ space, route })];
  await createAll(first, [record, ended]);
  await first.delete(ended, ENDING, callNow());
  const key = newLock(record);
  return { first, second, record, ended, absent, key, held: { lock: key.lock, holder: "ann" } };
}

/** Insists on `lost`, also for what is a conflict or missing, and that nothing changes. */
async function assertLost({ first, second, record, ended, absent, held }: Stage): Promise<void> {
  for (const store of [first, second]) {
    for (const [target, version] of [
      [record, 1],
      [record, 2],
      [ended, 1],
      [absent, 1],
    ] as const) {
      const change = newChange({ data: Buffer.from("late") });
      assert.equal(await store.updateUnderLock(target, version, change, held, callNow()), "lost");
    }
  }
  await assertHolds(second, record);
  await assertHolds(second, tombstoneOf(ended, ENDING.reason, ENDING.at, ended.deadline));
  assert.equal(await second.read(absent, callNow()), null);
}

/** Updates the record until the lock is lost; answers the version that it then has. */
async function writeUntilLost(store: Locking, record: RecordKey, key: LockKey, holder: string): Promise<number> {
  const until = performance.now() + PATIENCE;
  for (let version = 1; ; version++) {
    const held = { lock: key.lock, holder };
    const answer = await store.updateUnderLock(record, version, newChange(), held, callNow());
    if (answer === "lost") return version;
    assert.equal(answer, "updated");
    assert.ok(performance.now() < until, "writes went on long after the lease had ended");
    // So that the other gets a turn, also where every answer is there at once.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function versionOf(store: Store, record: RecordKey): Promise<number | null> {
  const found = await store.read(record, callNow());
  return found === null || isTombstone(found) ? null : found.version;
}
