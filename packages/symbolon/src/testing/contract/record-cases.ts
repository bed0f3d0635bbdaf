/** Cases about reading, creating and updating. */
import assert from "node:assert/strict";
import { isTombstone } from "../../core/store.ts";
import {
  assertEntry,
  assertHolds,
  atOnce,
  callAt,
  changed,
  type ContractCase,
  createAll,
  digest,
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
export const recordCases: readonly ContractCase[] = [
  {
    name: "answers null for a record that was never created",
    needs,
    async run({ open }) {
      const store = await open();
      assert.equal(await store.read(newRecord(), callAt()), null);
    },
  },
  {
    name: "reads a created record back field for field",
    needs,
    async run({ open }) {
      const store = await open();
      const records = [
        newRecord(),
        newRecord({ ...newOwner(), tenant: digest(16), data: Buffer.from("data") }),
        newRecord({ ...newOwner(), createdAt: NOW - 5, touchedAt: NOW - 3, deadline: NOW + 400 * 24 * HOUR }),
        newRecord({ route: 0, tenant: digest(16) }),
        newRecord({ ...newOwner(), route: 2 ** 24 - 1, data: Buffer.alloc(0) }),
      ];
      await createAll(store, records);
      for (const record of records) await assertHolds(store, record);
    },
  },
  {
    name: "shows every write to a second handle at once",
    needs,
    async run(context) {
      const [first, second] = await openTwo(context);
      const record = newRecord({ data: Buffer.from("data") });
      const change = newChange();
      await first.create(record, callAt());
      await assertHolds(second, record);
      await second.update(record, 1, change, callAt());
      await assertHolds(first, changed(record, change));
      await first.delete(record, { reason: "logout", at: NOW }, callAt());
      await assertHolds(second, tombstoneOf(record, "logout", NOW, change.deadline));
    },
  },
  {
    name: "never overwrites a record that exists",
    needs,
    async run(context) {
      const [first, second] = await openTwo(context);
      const record = newRecord({ ...newOwner(), data: Buffer.from("first") });
      await createAll(first, [record]);
      const { space, route, lookup } = record;
      const rival = newRecord({ space, route, lookup, owner: digest(16), data: Buffer.from("second") });
      assert.equal(await second.create(rival, callAt()), "exists");
      await assertHolds(first, record);
      await first.update(record, 1, newChange(), callAt());
      assert.equal(await second.create(record, callAt()), "exists");
      assert.equal(versionOf(await first.read(record, callAt())), 2);
    },
  },
  {
    name: "never creates a record where one was ended",
    needs,
    async run({ open }) {
      const store = await open();
      const record = newRecord();
      await createAll(store, [record]);
      await store.delete(record, { reason: "logout", at: NOW }, callAt());
      assert.equal(await store.create(record, callAt()), "exists");
      await assertHolds(store, tombstoneOf(record, "logout", NOW, record.deadline));
    },
  },
  {
    name: "changes on update what the change names, and nothing else",
    needs,
    async run({ open }) {
      const store = await open();
      let record = newRecord({ ...newOwner(), tenant: digest(16), data: Buffer.from("data") });
      await createAll(store, [record]);
      const deadlines = [NOW + 3 * HOUR, NOW + MINUTE, NOW + 90 * 24 * HOUR];
      for (const deadline of deadlines) {
        const change = newChange({ deadline, touchedAt: record.touchedAt + 1000, data: Buffer.from(`${deadline}`) });
        assert.equal(await store.update(record, record.version, change, callAt()), "updated");
        record = changed(record, change);
        await assertHolds(store, record);
      }
      assert.equal(record.version, 4);
    },
  },
  {
    name: "keeps the data when a change leaves it out, and drops it when a change says null",
    needs,
    async run({ open }) {
      const store = await open();
      let record = newRecord({ data: Buffer.from("kept") });
      await createAll(store, [record]);
      for (const data of [undefined, null, undefined, Buffer.from("new"), undefined, Buffer.alloc(0)]) {
        const change = data === undefined ? newChange() : newChange({ data });
        assert.equal(await store.update(record, record.version, change, callAt()), "updated");
        record = changed(record, change);
        await assertHolds(store, record);
      }
    },
  },
  {
    name: "answers conflict, and changes nothing, when the version is another",
    needs,
    async run(context) {
      const [first, second] = await openTwo(context);
      const record = newRecord({ data: Buffer.from("data") });
      const change = newChange();
      await createAll(first, [record]);
      await first.update(record, 1, change, callAt());
      for (const version of [0, 1, 3, 1000]) {
        assert.equal(await second.update(record, version, newChange({ data: null }), callAt()), "conflict");
      }
      await assertHolds(first, changed(record, change));
    },
  },
  {
    name: "answers missing, and creates nothing, when an update finds no record",
    needs,
    async run({ open }) {
      const store = await open();
      const record = newRecord();
      for (const version of [0, 1, 2]) {
        assert.equal(await store.update(record, version, newChange(), callAt()), "missing");
      }
      assert.equal(await store.read(record, callAt()), null);
    },
  },
  {
    name: "answers missing, and revives nothing, when an update finds an ended record",
    needs,
    async run(context) {
      const [first, second] = await openTwo(context);
      const record = newRecord({ data: Buffer.from("data") });
      await createAll(first, [record]);
      await first.delete(record, { reason: "logout", at: NOW }, callAt());
      for (const version of [0, 1, 2]) {
        assert.equal(await second.update(record, version, newChange({ data: null }), callAt()), "missing");
      }
      await assertHolds(second, tombstoneOf(record, "logout", NOW, record.deadline));
    },
  },
  {
    name: "is not changed by a caller that changes what it passed in",
    needs,
    async run({ open }) {
      const store = await open();
      const envelope = Buffer.from("envelope 1");
      const data = Buffer.from("data 1");
      const record = newRecord({ envelope, data });
      const before = { ...record, envelope: Buffer.from(envelope), data: Buffer.from(data) };
      await createAll(store, [record]);
      envelope.fill(0);
      data.fill(0);
      Object.assign(record, { version: 7, deadline: 0 });
      await assertHolds(store, before);

      const change = newChange({ envelope: Buffer.from("envelope 2"), data: Buffer.from("data 2") });
      const after = changed(before, { ...change, envelope: Buffer.from("envelope 2"), data: Buffer.from("data 2") });
      await store.update(record, 1, change, callAt());
      change.envelope.fill(0);
      change.data?.fill(0);
      await assertHolds(store, after);
    },
  },
  {
    name: "is not changed by a caller that changes what it read",
    needs,
    async run({ open }) {
      const store = await open();
      const record = newRecord({ data: Buffer.from("data") });
      await createAll(store, [record]);
      const found = await store.read(record, callAt());
      assert.ok(found !== null && !isTombstone(found));
      found.envelope.fill(0);
      found.data?.fill(0);
      Object.assign(found, { version: 7, deadline: 0 });
      await assertHolds(store, record);

      await store.delete(record, { reason: "logout", at: NOW }, callAt());
      Object.assign((await store.read(record, callAt())) ?? {}, { reason: "other", deadline: 0 });
      await assertHolds(store, tombstoneOf(record, "logout", NOW, record.deadline));
    },
  },
  {
    name: "keeps many records apart",
    needs,
    async run(context) {
      const handles = await openTwo(context);
      const records = await atOnce(200, async (index) => {
        const record = newRecord({ data: Buffer.from(`${index}`) });
        assert.equal(await handles[index % 2 === 0 ? 0 : 1].create(record, callAt()), "created");
        return record;
      });
      for (const record of records) await assertHolds(handles[0], record);
    },
  },
  {
    name: "answers a record past its deadline as it is, or not at all",
    needs,
    async run({ open }) {
      const store = await open();
      const record = newRecord({ deadline: NOW + MINUTE });
      await createAll(store, [record]);
      const found = await store.read(record, callAt(NOW + HOUR));
      if (found !== null) assertEntry(found, record);
    },
  },
];

function versionOf(found: object | null): number | null {
  return found !== null && "version" in found ? Number(found.version) : null;
}
