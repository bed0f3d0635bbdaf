/** Cases for stores that find the records of a tenant, or of a whole space. */
import assert from "node:assert/strict";
import { hasTenantIndex, isTombstone, type StoredRecord, type TenantKey } from "../../core/store.ts";
import {
  assertEntries,
  assertHolds,
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

const needs = "tenant-index";

/** Stores with a tenant index pass these. */
export const tenantIndexCases: readonly ContractCase[] = [
  {
    name: "lists and counts what a tenant's users have, and what the whole space has, newest first",
    needs,
    async run(context) {
      const store = await openWith(context, hasTenantIndex);
      const { space, blue, red, none, anonymous, elsewhere } = await populate(store);
      const expected: readonly [TenantKey, readonly StoredRecord[], number][] = [
        [{ space, tenant: "blue" }, blue, 2],
        [{ space, tenant: "red" }, red, 1],
        [{ space, tenant: null }, [...blue, ...red, ...none], 4],
        [{ space, tenant: "green" }, [], 0],
        [{ space: elsewhere[0]!.space, tenant: null }, elsewhere, 1],
        [{ space: digest(8), tenant: null }, [], 0],
      ];
      assert.equal(anonymous.length, 2);
      for (const [key, records, owners] of expected) {
        const page = await store.listByTenant(key, ALL, callAt());
        assertEntries(page.records, newestFirst(records));
        assert.equal(page.cursor, null);
        assert.equal(await store.countByTenant(key, callAt()), records.length);
        assert.equal(await store.countOwners(key, callAt()), owners);
      }
    },
  },
  {
    name: "pages through a tenant and a space without loss or repetition",
    needs,
    async run(context) {
      const [first, second] = [await openWith(context, hasTenantIndex), await openWith(context, hasTenantIndex)];
      const { space, blue, red, none } = await populate(first);
      for (const [tenant, records] of [
        ["blue", blue],
        [null, [...blue, ...red, ...none]],
      ] as const) {
        let turn = 0;
        const pages = await pagesOf(
          (page) => (turn++ % 2 === 0 ? first : second).listByTenant({ space, tenant }, page, callAt()),
          2,
        );
        assertEntries(pages.flat(), newestFirst(records));
        assert.equal(pages.length, Math.ceil(records.length / 2));
      }
    },
  },
  {
    name: "goes on from a tenant's cursor while records come and go",
    needs,
    async run(context) {
      const store = await openWith(context, hasTenantIndex);
      const { space, blue } = await populate(store);
      const key = { space, tenant: "blue" };
      const listed = newestFirst(blue);
      const page = await store.listByTenant(key, { cursor: null, limit: 2 }, callAt());
      await createAll(store, recordsOf(newOwner(space), 2, { tenant: "blue", createdAt: NOW + HOUR }));
      await store.delete(listed[1]!, { reason: "logout", at: NOW }, callAt());
      const rest = await store.listByTenant(key, { cursor: page.cursor, limit: 10 }, callAt());
      assertEntries(rest.records, listed.slice(2));
      assert.equal(rest.cursor, null);
    },
  },
  {
    name: "answers an empty last page of a tenant to a cursor of another's making",
    needs,
    async run(context) {
      const store = await openWith(context, hasTenantIndex);
      const { space } = await populate(store);
      for (const cursor of FOREIGN_CURSORS) {
        for (const tenant of ["blue", null]) {
          const page = await store.listByTenant({ space, tenant }, { cursor, limit: 2 }, callAt());
          assert.deepEqual({ ...page }, { records: [], cursor: null });
        }
      }
    },
  },
  {
    name: "leaves a tenant's expired and ended records out of lists and counts, and follows updates",
    needs,
    async run(context) {
      const store = await openWith(context, hasTenantIndex);
      const space = digest(8);
      const records = recordsOf(newOwner(space), 3, { tenant: "blue", deadline: NOW + MINUTE });
      await createAll(store, records);
      const change = newChange({ deadline: NOW + HOUR });
      await store.update(records[0]!, 1, change, callAt());
      await store.delete(records[1]!, { reason: "logout", at: NOW }, callAt());
      for (const tenant of ["blue", null]) {
        const key = { space, tenant };
        assert.equal(await store.countByTenant(key, callAt(NOW + MINUTE - 1)), 2);
        assert.equal(await store.countByTenant(key, callAt(NOW + MINUTE)), 1);
        assert.equal(await store.countOwners(key, callAt(NOW + MINUTE)), 1);
        assert.equal(await store.countOwners(key, callAt(NOW + HOUR)), 0);
        const page = await store.listByTenant(key, ALL, callAt(NOW + MINUTE));
        assertEntries(page.records, [changed(records[0]!, change)]);
      }
    },
  },
  {
    name: "ends every record of a tenant, with or without an owner, and no other",
    needs,
    async run(context) {
      const [first, second] = [await openWith(context, hasTenantIndex), await openWith(context, hasTenantIndex)];
      const { space, blue, red, none, anonymous, elsewhere } = await populate(first);
      const ending = { reason: "revoked", at: NOW + 5 };
      const ended = [...blue, anonymous[0]!];
      assert.equal(await first.deleteByTenant({ space, tenant: "blue" }, ending, callAt(NOW + 5)), ended.length);
      for (const record of ended) {
        await assertHolds(second, tombstoneOf(record, "revoked", NOW + 5, record.deadline));
      }
      for (const record of [...red, ...none, anonymous[1]!, ...elsewhere]) await assertHolds(second, record);
      assert.equal(await second.countByTenant({ space, tenant: "blue" }, callAt()), 0);
      assert.equal(await second.deleteByTenant({ space, tenant: "blue" }, ending, callAt()), 0);
    },
  },
  {
    name: "ends every record of a space, with or without an owner, and of no other space",
    needs,
    async run(context) {
      const store = await openWith(context, hasTenantIndex);
      const { space, blue, red, none, anonymous, elsewhere } = await populate(store);
      const ending = { reason: "revoked", at: NOW };
      const ended = [...blue, ...red, ...none, ...anonymous];
      assert.equal(await store.deleteByTenant({ space, tenant: null }, ending, callAt()), ended.length);
      for (const record of ended) await assertHolds(store, tombstoneOf(record, "revoked", NOW, record.deadline));
      for (const record of elsewhere) await assertHolds(store, record);
      assert.equal(await store.countByTenant({ space, tenant: null }, callAt()), 0);
      assert.equal(await store.deleteByTenant({ space, tenant: null }, ending, callAt()), 0);
    },
  },
  {
    name: "ends more records of a tenant than any batch holds",
    needs,
    async run(context) {
      const store = await openWith(context, hasTenantIndex);
      const [blue, red] = [newOwner(), newOwner()];
      const records = [
        ...recordsOf(blue, 1100, { tenant: "blue" }),
        ...recordsOf({ ...red, space: blue.space }, 1100, { tenant: "red" }),
      ];
      await createAll(store, records);
      const ending = { reason: "revoked", at: NOW };
      assert.equal(await store.deleteByTenant({ space: blue.space, tenant: "blue" }, ending, callAt()), 1100);
      assert.equal(await store.countByTenant({ space: blue.space, tenant: null }, callAt()), 1100);
      assert.equal(await store.deleteByTenant({ space: blue.space, tenant: null }, ending, callAt()), 1100);
      for (const record of [records[0]!, records[2199]!]) {
        const found = await store.read(record, callAt());
        assert.ok(found !== null && isTombstone(found));
      }
    },
  },
  {
    name: "takes a tenant's digest for no pattern",
    needs,
    async run(context) {
      const store = await openWith(context, hasTenantIndex);
      const { space, blue } = await populate(store);
      for (const tenant of ["%", "*", "____", "' OR '1'='1", "null", "", "Blue", "blu"]) {
        const key = { space, tenant };
        assertEntries((await store.listByTenant(key, ALL, callAt())).records, []);
        assert.equal(await store.countByTenant(key, callAt()), 0);
        assert.equal(await store.deleteByTenant(key, { reason: "revoked", at: NOW }, callAt()), 0);
      }
      assert.equal(await store.countByTenant({ space, tenant: "blue" }, callAt()), blue.length);
    },
  },
];

/** Two tenants with users, users without a tenant, anonymous sessions, and another space with the same tenant. */
async function populate(store: Parameters<typeof createAll>[0]) {
  const { space } = newOwner();
  const [ann, bob, cid, dee] = [newOwner(space), newOwner(space), newOwner(space), newOwner(space)];
  const blue = [
    ...recordsOf(ann, 3, { tenant: "blue" }),
    ...recordsOf(bob, 2, { tenant: "blue", data: Buffer.from("data") }),
  ];
  const red = recordsOf(cid, 2, { tenant: "red" });
  const none = recordsOf(dee, 2);
  const anonymous = [newRecord({ space, tenant: "blue" }), newRecord({ space })];
  const elsewhere = recordsOf({ ...ann, space: digest(8) }, 2, { tenant: "blue" });
  await createAll(store, [...blue, ...red, ...none, ...anonymous, ...elsewhere]);
  return { space, blue, red, none, anonymous, elsewhere };
}
