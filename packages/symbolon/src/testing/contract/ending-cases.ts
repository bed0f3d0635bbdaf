/** Cases about ending records and about tombstones. */
import assert from "node:assert/strict";
import { TOMBSTONE_MS } from "../../core/store.ts";
import {
  assertHolds,
  callAt,
  type ContractCase,
  createAll,
  HOUR,
  MINUTE,
  newChange,
  newOwner,
  newRecord,
  NOW,
  openTwo,
  tombstoneOf,
} from "./contract-case.ts";

const needs = "store";

/** Every store passes these. */
export const endingCases: readonly ContractCase[] = [
  {
    name: "leaves a tombstone that says when and why, and nothing sealed",
    needs,
    async run(context) {
      const [first, second] = await openTwo(context);
      const record = newRecord({ ...newOwner(), tenant: "t".repeat(22), data: Buffer.from("data") });
      await createAll(first, [record]);
      assert.equal(await first.delete(record, { reason: "revoked", at: NOW + 7 }, callAt(NOW + 7)), true);
      // Field for field: an envelope, data, owner or tenant left over would show.
      await assertHolds(second, tombstoneOf(record, "revoked", NOW + 7, record.deadline));
    },
  },
  {
    name: "keeps a tombstone until the record's own deadline, and 24 hours at most",
    needs,
    async run({ open }) {
      const store = await open();
      const ending = { reason: "logout", at: NOW + MINUTE };
      const cap = ending.at + TOMBSTONE_MS;
      for (const deadline of [NOW + 2 * HOUR, cap - 1, cap, cap + 1, NOW + 400 * 24 * HOUR]) {
        const record = newRecord({ deadline });
        await createAll(store, [record]);
        await store.delete(record, ending, callAt(ending.at));
        await assertHolds(store, tombstoneOf(record, "logout", ending.at, Math.min(deadline, cap)), ending.at);
      }
    },
  },
  {
    name: "goes by the deadline of the last update",
    needs,
    async run({ open }) {
      const store = await open();
      for (const deadline of [NOW + MINUTE, NOW + 5 * HOUR, NOW + 48 * HOUR]) {
        const record = newRecord({ deadline: NOW + 3 * HOUR });
        await createAll(store, [record]);
        await store.update(record, 1, newChange({ deadline }), callAt());
        await store.delete(record, { reason: "logout", at: NOW }, callAt());
        await assertHolds(store, tombstoneOf(record, "logout", NOW, Math.min(deadline, NOW + TOMBSTONE_MS)));
      }
    },
  },
  {
    name: "leaves nothing when the tombstone would be past its deadline",
    needs,
    async run({ open }) {
      const store = await open();
      const expired = newRecord({ deadline: NOW + MINUTE });
      const endedLongAgo = newRecord({ deadline: NOW + 48 * HOUR });
      await createAll(store, [expired, endedLongAgo]);
      await store.delete(expired, { reason: "logout", at: NOW + MINUTE }, callAt(NOW + MINUTE));
      assert.equal(await store.read(expired, callAt(NOW + MINUTE)), null);
      await store.delete(endedLongAgo, { reason: "logout", at: NOW - TOMBSTONE_MS }, callAt());
      assert.equal(await store.read(endedLongAgo, callAt()), null);
    },
  },
  {
    name: "answers once that a live record was ended, and the first reason stays",
    needs,
    async run(context) {
      const [first, second] = await openTwo(context);
      const record = newRecord();
      await createAll(first, [record]);
      assert.equal(await first.delete(record, { reason: "logout", at: NOW }, callAt()), true);
      assert.equal(await second.delete(record, { reason: "revoked", at: NOW + 1 }, callAt(NOW + 1)), false);
      assert.equal(await first.delete(record, { reason: "evicted", at: NOW + 2 }, callAt(NOW + 2)), false);
      await assertHolds(first, tombstoneOf(record, "logout", NOW, record.deadline));
    },
  },
  {
    name: "leaves no tombstone for a record that never was",
    needs,
    async run({ open }) {
      const store = await open();
      const record = newRecord();
      assert.equal(await store.delete(record, { reason: "logout", at: NOW }, callAt()), false);
      assert.equal(await store.read(record, callAt()), null);
      await createAll(store, [record]);
      await assertHolds(store, record);
    },
  },
  {
    name: "ends a record whatever its version, and no other",
    needs,
    async run({ open }) {
      const store = await open();
      const owner = newOwner();
      const [ended, other] = [newRecord(owner), newRecord(owner)];
      await createAll(store, [ended, other]);
      for (const version of [1, 2, 3]) await store.update(ended, version, newChange(), callAt());
      assert.equal(await store.delete(ended, { reason: "logout", at: NOW }, callAt()), true);
      await assertHolds(store, other);
    },
  },
];
