/** Cases for stores that find the records of a user. */
import assert from "node:assert/strict";
import { hasOwnerIndex, isTombstone } from "../../core/store.ts";
import {
  assertEntries,
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
  newestFirst,
  newOwner,
  newRecord,
  NOW,
  openWith,
  recordsOf,
  tombstoneOf,
} from "./contract-case.ts";
import { ALL, FOREIGN_CURSORS, pagesOf } from "./pages.ts";

const needs = "owner-index";

/** Stores with an owner index pass these. */
export const ownerIndexCases: readonly ContractCase[] = [
  {
    name: "lists the records of one user, newest first, field for field",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const [owner, other] = [newOwner(), newOwner()];
      const mine = recordsOf(owner, 5, { tenant: digest(16), data: Buffer.from("data") });
      const namesakes = recordsOf({ ...owner, space: digest(8) }, 2);
      await createAll(store, [...mine, ...recordsOf(other, 3), ...namesakes, newRecord({ space: owner.space })]);
      const page = await store.listByOwner(owner, ALL, callAt());
      assertEntries(page.records, newestFirst(mine));
      assert.equal(page.cursor, null);
      assert.equal(await store.countByOwner(owner, callAt()), 5);
      assertEntries((await store.listByOwner({ ...owner, owner: digest(16) }, ALL, callAt())).records, []);
      assert.equal(await store.countByOwner({ ...owner, owner: digest(16) }, callAt()), 0);
    },
  },
  {
    name: "pages through a user's records without loss or repetition, also those of one instant",
    needs,
    async run(context) {
      const [first, second] = [await openWith(context, hasOwnerIndex), await openWith(context, hasOwnerIndex)];
      for (const [howMany, limit] of [
        [7, 2],
        [6, 3],
        [1, 1],
        [0, 1],
      ] as const) {
        const owner = newOwner();
        const records = recordsOf(owner, howMany).map((record, index) => ({
          ...record,
          createdAt: NOW + (index >> 2),
        }));
        await createAll(first, records);
        let turn = 0;
        const pages = await pagesOf(
          (page) => (turn++ % 2 === 0 ? first : second).listByOwner(owner, page, callAt()),
          limit,
        );
        assertEntries(pages.flat(), newestFirst(records));
        assert.equal(pages.length, Math.max(1, Math.ceil(howMany / limit)));
      }
    },
  },
  {
    name: "goes on from a cursor while records come and go",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const owner = newOwner();
      const records = recordsOf(owner, 6);
      await createAll(store, records);
      const listed = newestFirst(records);
      const page = await store.listByOwner(owner, { cursor: null, limit: 2 }, callAt());
      assertEntries(page.records, listed.slice(0, 2));
      await createAll(store, recordsOf(owner, 3, { createdAt: NOW + HOUR }));
      await store.delete(listed[1]!, { reason: "logout", at: NOW }, callAt());
      await store.delete(listed[3]!, { reason: "logout", at: NOW }, callAt());
      const rest = await store.listByOwner(owner, { cursor: page.cursor, limit: 10 }, callAt());
      assertEntries(rest.records, [listed[2]!, listed[4]!, listed[5]!]);
      assert.equal(rest.cursor, null);
    },
  },
  {
    name: "answers an empty last page to a cursor of another's making",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const owner = newOwner();
      await createAll(store, recordsOf(owner, 3));
      for (const cursor of FOREIGN_CURSORS) {
        const page = await store.listByOwner(owner, { cursor, limit: 2 }, callAt());
        assert.deepEqual({ ...page }, { records: [], cursor: null });
      }
    },
  },
  {
    name: "leaves out records at their deadline, ended ones and anonymous ones",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const owner = newOwner();
      const [live, expiring, ended] = recordsOf(owner, 3);
      const atDeadline = { ...expiring!, deadline: NOW + MINUTE };
      const { space, route } = owner;
      await createAll(store, [live!, atDeadline, ended!, newRecord({ space, route })]);
      await store.delete(ended!, { reason: "logout", at: NOW }, callAt());
      assert.equal(await store.countByOwner(owner, callAt(NOW + MINUTE - 1)), 2);
      assert.equal(await store.countByOwner(owner, callAt(NOW + MINUTE)), 1);
      assertEntries((await store.listByOwner(owner, ALL, callAt(NOW + MINUTE))).records, [live!]);
    },
  },
  {
    name: "shows records as they are after updates, in the same place",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const owner = newOwner();
      const records = newestFirst(recordsOf(owner, 3, { deadline: NOW + MINUTE }));
      await createAll(store, records);
      const change = newChange({ deadline: NOW + HOUR, data: Buffer.from("new") });
      await store.update(records[1]!, 1, change, callAt());
      const after = changed(records[1]!, change);
      assertEntries((await store.listByOwner(owner, ALL, callAt())).records, [records[0]!, after, records[2]!]);
      assertEntries((await store.listByOwner(owner, ALL, callAt(NOW + 2 * MINUTE))).records, [after]);
      assert.equal(await store.countByOwner(owner, callAt(NOW + 2 * MINUTE)), 1);
      await store.update(after, 2, newChange({ deadline: NOW + MINUTE }), callAt());
      assert.equal(await store.countByOwner(owner, callAt(NOW + 2 * MINUTE)), 0);
    },
  },
  {
    name: "hands out copies",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const owner = newOwner();
      const records = recordsOf(owner, 1, { data: Buffer.from("data") });
      await createAll(store, records);
      const [listed] = (await store.listByOwner(owner, ALL, callAt())).records;
      listed?.envelope.fill(0);
      listed?.data?.fill(0);
      await assertHolds(store, records[0]!);
    },
  },
  {
    name: "ends all records of a user but the named ones, and nobody else's",
    needs,
    async run(context) {
      const [first, second] = [await openWith(context, hasOwnerIndex), await openWith(context, hasOwnerIndex)];
      const [owner, other] = [newOwner(), newOwner()];
      const mine = recordsOf(owner, 5);
      const theirs = [
        ...recordsOf({ ...other, space: owner.space }, 2),
        ...recordsOf({ ...owner, space: digest(8) }, 2),
      ];
      await createAll(first, [...mine, ...theirs]);
      const kept = [mine[1]!, mine[3]!];
      const except = [...kept.map(({ lookup }) => lookup), digest(32), theirs[0]!.lookup, 'it\'s "%" \\'];
      const ending = { reason: "revoked", at: NOW + 5 };
      assert.equal(await first.deleteByOwner(owner, except, ending, callAt(NOW + 5)), 3);
      for (const record of [...kept, ...theirs]) await assertHolds(second, record);
      for (const record of mine.filter((one) => !kept.includes(one))) {
        await assertHolds(second, tombstoneOf(record, "revoked", NOW + 5, record.deadline));
      }
      assertEntries((await second.listByOwner(owner, ALL, callAt())).records, newestFirst(kept));
      assert.equal(await second.deleteByOwner(owner, except, ending, callAt()), 0);
      assert.equal(await second.deleteByOwner(owner, [], ending, callAt()), 2);
      assert.equal(await first.countByOwner(owner, callAt()), 0);
    },
  },
  {
    name: "ends a user's expired records too, and leaves nothing sealed of them",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const owner = newOwner();
      const [expired, live] = recordsOf(owner, 2);
      await createAll(store, [{ ...expired!, deadline: NOW + MINUTE }, live!]);
      await store.deleteByOwner(owner, [], { reason: "revoked", at: NOW + MINUTE }, callAt(NOW + MINUTE));
      assert.equal(await store.read(expired!, callAt(NOW + MINUTE)), null);
      await assertHolds(store, tombstoneOf(live!, "revoked", NOW + MINUTE, live!.deadline));
    },
  },
  {
    name: "lets the end of all of a user's records win over updates in flight, once",
    needs,
    async run(context) {
      const handles = [await openWith(context, hasOwnerIndex), await openWith(context, hasOwnerIndex)];
      const owner = newOwner();
      const records = recordsOf(owner, 20);
      await createAll(handles[0]!, records);
      const ended = await atOnce(50, async (index) => {
        const store = handles[index % 2]!;
        if (index % 10 === 5) return store.deleteByOwner(owner, [], { reason: "revoked", at: NOW }, callAt());
        await store.update(records[index % 20]!, 1, newChange(), callAt());
        return 0;
      });
      assert.equal(
        ended.reduce((sum, count) => sum + count, 0),
        20,
      );
      for (const record of records) {
        const found = await handles[0]!.read(record, callAt());
        assert.ok(found !== null && isTombstone(found));
      }
      assert.equal(await handles[1]!.countByOwner(owner, callAt()), 0);
    },
  },
  {
    name: "takes a user's digest for no pattern",
    needs,
    async run(context) {
      const store = await openWith(context, hasOwnerIndex);
      const owner = newOwner();
      const records = recordsOf(owner, 2);
      await createAll(store, records);
      for (const hostile of ["%", "*", "_".repeat(22), "' OR '1'='1", `${owner.owner.slice(0, 21)}?`, ""]) {
        const key = { ...owner, owner: hostile };
        assertEntries((await store.listByOwner(key, ALL, callAt())).records, []);
        assert.equal(await store.countByOwner(key, callAt()), 0);
        assert.equal(await store.deleteByOwner(key, [], { reason: "revoked", at: NOW }, callAt()), 0);
      }
      assert.equal(await store.countByOwner(owner, callAt()), 2);
    },
  },
];
