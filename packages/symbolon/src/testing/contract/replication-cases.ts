/** Cases for stores that can be copied from and to. */
import assert from "node:assert/strict";
import { canReplicate, hasOwnerIndex, isTombstone, type StoredRecord } from "../../core/store.ts";
import {
  assertEntries,
  assertEntry,
  assertHolds,
  atOnce,
  callAt,
  changed,
  type ContractCase,
  createAll,
  digest,
  HOUR,
  newChange,
  newestFirst,
  newOwner,
  newRecord,
  NOW,
  openWith,
  recordsOf,
  tombstoneOf,
} from "./contract-case.ts";
import { ALL, scanAll } from "./pages.ts";

const needs = "replication";

/** Stores that replicate pass these. */
export const replicationCases: readonly ContractCase[] = [
  {
    name: "scans every record and every tombstone of all spaces, once and as they are",
    needs,
    async run(context) {
      const store = await openWith(context, canReplicate);
      assert.deepEqual(await scanAll(store, 10), []);
      const records = [
        ...recordsOf(newOwner(), 8, { tenant: digest(16), data: Buffer.from("data") }),
        ...Array.from({ length: 8 }, () => newRecord()),
      ];
      const ended = recordsOf(newOwner(), 9);
      await createAll(store, [...records, ...ended]);
      for (const record of ended) await store.delete(record, { reason: "logout", at: NOW }, callAt());
      for (const limit of [1, 4, 5, 1000]) {
        const entries = await scanAll(store, limit);
        assert.equal(new Set(entries.map(({ lookup }) => lookup)).size, 25);
        assert.equal(entries.length, 25);
        for (const entry of entries) await assertHolds(store, entry);
        assert.equal(entries.filter(isTombstone).length, 9);
      }
    },
  },
  {
    name: "misses nothing that stays as it is while others come, change and go during a scan",
    needs,
    async run(context) {
      const store = await openWith(context, canReplicate);
      const staying = Array.from({ length: 20 }, () => newRecord());
      const moving = Array.from({ length: 20 }, () => newRecord());
      await createAll(
        store,
        staying.flatMap((record, index) => [record, moving[index]!]),
      );
      const seen = new Set<string>();
      let cursor: string | null = null;
      let page = 0;
      do {
        const found: Awaited<ReturnType<typeof store.scan>> = await store.scan({ cursor, limit: 5 }, callAt());
        for (const { lookup } of found.entries) seen.add(lookup);
        cursor = found.cursor;
        const [updated, ended] = [moving[page * 2], moving[page * 2 + 1]];
        if (updated) await store.update(updated, 1, newChange({ deadline: NOW + 9 * HOUR }), callAt());
        if (ended) await store.delete(ended, { reason: "logout", at: NOW }, callAt());
        if (page < 10) await createAll(store, [newRecord()]);
        assert.ok(++page < 100, "pages come to an end");
      } while (cursor !== null);
      for (const record of staying) assert.ok(seen.has(record.lookup));
    },
  },
  {
    name: "takes a copy as it is where it holds nothing, and finds it like any other",
    needs,
    async run(context) {
      const [first, second] = [await openWith(context, canReplicate), await openWith(context, canReplicate)];
      const owner = newOwner();
      const copy = newRecord({
        ...owner,
        tenant: digest(16),
        version: 7,
        touchedAt: NOW + 3,
        data: Buffer.from("data"),
      });
      assert.equal(await first.apply(copy, callAt()), true);
      await assertHolds(second, copy);
      assert.equal(await second.create(copy, callAt()), "exists");
      if (hasOwnerIndex(second)) assertEntries((await second.listByOwner(owner, ALL, callAt())).records, [copy]);
      const change = newChange();
      assert.equal(await second.update(copy, 7, change, callAt()), "updated");
      await assertHolds(first, changed(copy, change));
    },
  },
  {
    name: "replaces a record by a copy of a higher version only",
    needs,
    async run(context) {
      const store = await openWith(context, canReplicate);
      const record = newRecord({ ...newOwner(), version: 5, data: Buffer.from("five") });
      assert.equal(await store.apply(record, callAt()), true);
      for (const version of [1, 4, 5]) {
        const stale = { ...record, version, deadline: NOW + 2 * HOUR, data: null };
        assert.equal(await store.apply(stale, callAt()), false);
        await assertHolds(store, record);
      }
      const newer = { ...record, version: 9, deadline: NOW + 3 * HOUR, touchedAt: NOW + 9, data: Buffer.from("nine") };
      assert.equal(await store.apply(newer, callAt()), true);
      await assertHolds(store, newer);
    },
  },
  {
    name: "replaces a record of any version by a tombstone, and a tombstone by nothing",
    needs,
    async run(context) {
      const store = await openWith(context, canReplicate);
      const owner = newOwner();
      const record = newRecord({ ...owner, version: 12, data: Buffer.from("data") });
      const tombstone = tombstoneOf(record, "logout", NOW, NOW + HOUR);
      await store.apply(record, callAt());
      assert.equal(await store.apply(tombstone, callAt()), true);
      await assertHolds(store, tombstone);
      if (hasOwnerIndex(store)) assert.equal(await store.countByOwner(owner, callAt()), 0);
      assert.equal(await store.apply({ ...record, version: 99 }, callAt()), false);
      assert.equal(await store.apply({ ...tombstone, reason: "revoked", deadline: NOW + 2 * HOUR }, callAt()), false);
      await assertHolds(store, tombstone);
    },
  },
  {
    name: "keeps a tombstone of a record it never held",
    needs,
    async run(context) {
      const store = await openWith(context, canReplicate);
      const record = newRecord();
      const tombstone = tombstoneOf(record, "logout", NOW, NOW + HOUR);
      assert.equal(await store.apply(tombstone, callAt()), true);
      assert.equal(await store.create(record, callAt()), "exists");
      assert.equal(await store.apply(record, callAt()), false);
      await assertHolds(store, tombstone);
    },
  },
  {
    name: "ends up with the highest version in whatever order fifty copies arrive",
    needs,
    async run(context) {
      const handles = [await openWith(context, canReplicate), await openWith(context, canReplicate)];
      const record = newRecord(newOwner());
      const copies = Array.from({ length: 50 }, (_, index): StoredRecord => ({
        ...record,
        version: ((index * 7) % 50) + 1,
        data: Buffer.from(`${index}`),
      }));
      await atOnce(50, async (index) => handles[index % 2]!.apply(copies[index]!, callAt()));
      await assertHolds(
        handles[0]!,
        copies.find(({ version }) => version === 50)!,
      );
    },
  },
  {
    name: "ends up ended in whatever order a tombstone and fifty copies arrive",
    needs,
    async run(context) {
      const handles = [await openWith(context, canReplicate), await openWith(context, canReplicate)];
      const record = newRecord(newOwner());
      const tombstone = tombstoneOf(record, "logout", NOW, record.deadline);
      await atOnce(51, async (index) =>
        handles[index % 2]!.apply(index === 25 ? tombstone : { ...record, version: index + 1 }, callAt()),
      );
      await assertHolds(handles[0]!, tombstone);
    },
  },
  {
    name: "is not changed by a caller that changes a copy it gave or got",
    needs,
    async run(context) {
      const store = await openWith(context, canReplicate);
      const envelope = Buffer.from("envelope");
      const record = newRecord({ envelope });
      await store.apply(record, callAt());
      envelope.fill(0);
      const kept = { ...record, envelope: Buffer.from("envelope") };
      await assertHolds(store, kept);
      for (const entry of await scanAll(store, 10)) if (!isTombstone(entry)) entry.envelope.fill(0);
      await assertHolds(store, kept);
    },
  },
  {
    name: "takes nothing of what it has itself scanned",
    needs,
    async run(context) {
      const store = await openWith(context, canReplicate);
      const records = newestFirst(recordsOf(newOwner(), 5, { data: Buffer.from("data") }));
      await createAll(store, records);
      await store.delete(records[0]!, { reason: "logout", at: NOW }, callAt());
      for (const entry of await scanAll(store, 2)) {
        assert.equal(await store.apply(entry, callAt()), false, "nothing is newer than itself");
        assertEntry(await store.read(entry, callAt()), entry);
      }
    },
  },
];
