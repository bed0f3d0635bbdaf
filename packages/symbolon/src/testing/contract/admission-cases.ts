/** Cases for stores that create a record only while there is room: who gives way. */
import assert from "node:assert/strict";
import { canAdmit, TOMBSTONE_MS } from "../../core/store.ts";
import {
  openPair,
  rulesOf,
  ownedBy,
  statusAtLimit,
  assertCreated,
  assertUntouched,
  liveOf,
  blank,
} from "./admissions.ts";
import {
  assertEntries,
  assertEntry,
  assertHolds,
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
  openWith,
  recordsOf,
  tombstoneOf,
} from "./contract-case.ts";

const needs = "admission";
const EVICTING = ["evict-oldest", "evict-idle"] as const;
const POLICIES = ["reject", "reuse", ...EVICTING] as const;

/** Stores that admit pass these. */
export const admissionCases: readonly ContractCase[] = [
  {
    name: "admits a record while there is room, as create would store it",
    needs,
    async run(context) {
      const [first, second] = await openPair(context);
      for (const onLimit of POLICIES) {
        const owner = newOwner();
        const held = recordsOf(owner, 2);
        await createAll(first, held);
        const record = ownedBy(owner, { tenant: digest(16), data: Buffer.from("data") });
        assertCreated(await first.admit(record, rulesOf({ perOwner: 3, total: 3, onLimit }), callAt()), []);
        for (const one of [...held, record]) await assertHolds(second, one);
        const change = newChange();
        assert.equal(await second.update(record, 1, change, callAt()), "updated");
        await assertHolds(first, changed(record, change));
      }
    },
  },
  {
    name: "admits any number where the rules set no limit",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      const owner = newOwner();
      const records = Array.from({ length: 30 }, () => ownedBy(owner));
      for (const [index, record] of records.entries()) {
        const rules = rulesOf({ onLimit: POLICIES[index % POLICIES.length]! });
        assertCreated(await store.admit(record, rules, callAt()), []);
      }
      for (const record of records) await assertHolds(store, record);
    },
  },
  {
    name: "refuses what is more than a user may have, and changes nothing",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const perOwner of [1, 2, 3]) {
        const owner = newOwner();
        const held = recordsOf(owner, 3);
        await createAll(store, held);
        const record = ownedBy(owner);
        const answer = await store.admit(record, rulesOf({ perOwner, onLimit: "reject" }), callAt());
        assert.deepEqual(answer, { status: "refused", limit: "owner" });
        await assertUntouched(store, held, record);
      }
    },
  },
  {
    name: "lets the oldest of a user's records give way, and hands it out as it was",
    needs,
    async run(context) {
      const [first, second] = await openPair(context);
      const owner = newOwner();
      const [oldest, older, old] = recordsOf(owner, 3, { tenant: digest(16), data: Buffer.from("data") });
      await createAll(first, [older!, oldest!, old!]);
      // Used last, and the oldest all the same.
      const change = newChange({ data: Buffer.from("new") });
      await second.update(oldest!, 1, change, callAt());
      const record = ownedBy(owner);
      const answer = await first.admit(record, rulesOf({ perOwner: 3, onLimit: "evict-oldest" }), callAt(NOW + 5));
      assertCreated(answer, [changed(oldest!, change)]);
      await assertHolds(second, tombstoneOf(oldest!, "evicted", NOW + 5, change.deadline));
      for (const one of [older!, old!, record]) await assertHolds(second, one);
    },
  },
  {
    name: "lets the one give way that was unused for longest",
    needs,
    async run(context) {
      const [first, second] = await openPair(context);
      const owner = newOwner();
      const [oldest, older, old] = recordsOf(owner, 3);
      await createAll(first, [oldest!, older!, old!]);
      const changes = [newChange({ touchedAt: NOW + 30 }), newChange({ touchedAt: NOW + 20 })];
      await second.update(oldest!, 1, changes[0]!, callAt());
      await second.update(old!, 1, changes[1]!, callAt());
      const rules = rulesOf({ perOwner: 3, onLimit: "evict-idle" });
      const records = [ownedBy(owner, { touchedAt: NOW + 40 }), ownedBy(owner, { touchedAt: NOW + 50 })];
      assertCreated(await first.admit(records[0]!, rules, callAt(NOW + 40)), [older!]);
      assertCreated(await first.admit(records[1]!, rules, callAt(NOW + 50)), [changed(old!, changes[1]!)]);
      await assertHolds(second, tombstoneOf(older!, "evicted", NOW + 40, older!.deadline));
      await assertHolds(second, tombstoneOf(old!, "evicted", NOW + 50, changes[1]!.deadline));
      for (const one of [changed(oldest!, changes[0]!), ...records]) await assertHolds(second, one);
    },
  },
  {
    name: "chooses among records of one instant by createdAt, then by lookup",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const onLimit of EVICTING) {
        const owner = newOwner();
        const instants = [NOW - 2, NOW - 1, NOW - 1, NOW - 1, NOW];
        const held = instants.map((createdAt) => ownedBy(owner, { createdAt, touchedAt: NOW + 7 }));
        await createAll(store, held);
        const order = held.toSorted((a, b) => a.createdAt - b.createdAt || (a.lookup < b.lookup ? -1 : 1));
        for (const expected of order) {
          const record = ownedBy(owner, { createdAt: NOW + 9, touchedAt: NOW + 9 });
          assertCreated(await store.admit(record, rulesOf({ perOwner: 5, onLimit }), callAt()), [expected]);
        }
      }
    },
  },
  {
    name: "lets as many give way as it takes when the limit was lowered",
    needs,
    async run(context) {
      const [first, second] = await openPair(context);
      for (const [onLimit, instant] of [
        ["evict-oldest", "createdAt"],
        ["evict-idle", "touchedAt"],
      ] as const) {
        const owner = newOwner();
        const held = Array.from({ length: 6 }, (_, index) => ownedBy(owner, { [instant]: NOW - index }));
        await createAll(first, held);
        const [kept, evicted] = [held.slice(0, 1), held.slice(1)];
        const record = ownedBy(owner);
        assertCreated(await first.admit(record, rulesOf({ perOwner: 2, onLimit }), callAt()), evicted);
        for (const one of evicted) await assertHolds(second, tombstoneOf(one, "evicted", NOW, one.deadline));
        for (const one of [...kept, record]) await assertHolds(second, one);
      }
    },
  },
  {
    name: "hands back the newest record where one is to be used again, and changes nothing",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const perOwner of [1, 3]) {
        const owner = newOwner();
        const held = recordsOf(owner, 2, { data: Buffer.from("data") });
        const twin = { ...held[1]!, lookup: digest(32), data: Buffer.from("twin") };
        const newest = twin.lookup > held[1]!.lookup ? twin : held[1]!;
        await createAll(store, [...held, twin]);
        const change = newChange({ touchedAt: NOW + HOUR });
        await store.update(held[0]!, 1, change, callAt());
        const record = ownedBy(owner);
        const answer = await store.admit(record, rulesOf({ perOwner, onLimit: "reuse" }), callAt());
        assert.ok(answer.status === "reused");
        assertEntry(answer.record, newest);
        await assertUntouched(store, [changed(held[0]!, change), held[1]!, twin], record);
      }
    },
  },
  {
    name: "keeps to a limit of one",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const onLimit of POLICIES) {
        const owner = newOwner();
        const [first, second] = [ownedBy(owner), ownedBy(owner)];
        const rules = rulesOf({ perOwner: 1, onLimit });
        assertCreated(await store.admit(first, rules, callAt()), []);
        const answer = await store.admit(second, rules, callAt());
        assert.equal(answer.status, statusAtLimit(onLimit));
        assertEntries(await liveOf(store, [first, second]), [answer.status === "created" ? second : first]);
      }
    },
  },
  {
    name: "answers that the lookup is taken, room or not, and changes nothing",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const onLimit of POLICIES) {
        const owner = newOwner();
        const [held, ended] = recordsOf(owner, 2);
        const anothers = newRecord({ ...newOwner(owner.space), route: owner.route });
        await createAll(store, [held!, ended!, anothers]);
        await store.delete(ended!, { reason: "logout", at: NOW }, callAt());
        for (const { lookup } of [held!, ended!, anothers]) {
          for (const perOwner of [1, 5]) {
            const record = ownedBy(owner, { lookup });
            const rules = rulesOf({ perOwner, total: perOwner, onLimit, replacing: held!.lookup });
            assert.deepEqual(await store.admit(record, rules, callAt()), { status: "exists" });
          }
        }
        for (const record of [held!, anothers]) await assertHolds(store, record);
        await assertHolds(store, tombstoneOf(ended!, "logout", NOW, ended!.deadline));
      }
    },
  },
  {
    name: "ends what gives way and what is replaced as delete would",
    needs,
    async run(context) {
      const [first, second] = await openPair(context);
      const at = NOW + MINUTE;
      const cap = at + TOMBSTONE_MS;
      for (const deadline of [at + 1, NOW + HOUR, cap - 1, cap, cap + 1, NOW + 400 * 24 * HOUR]) {
        const owner = newOwner();
        const fields = { deadline, tenant: digest(16), data: Buffer.from("data") };
        const [evicted, replaced] = [ownedBy(owner, fields), ownedBy(owner, fields)];
        await createAll(first, [evicted, replaced]);
        const rules = rulesOf({ perOwner: 1, onLimit: "evict-oldest", replacing: replaced.lookup });
        assertCreated(await first.admit(ownedBy(owner), rules, callAt(at)), [evicted]);
        const until = Math.min(deadline, cap);
        // Field for field: an envelope, data, owner or tenant left over would show.
        await assertHolds(second, tombstoneOf(evicted, "evicted", at, until), at);
        await assertHolds(second, tombstoneOf(replaced, "replaced", at, until), at);
        assert.equal(await second.update(evicted, 1, newChange(), callAt(at)), "missing");
        assert.equal(await second.delete(replaced, { reason: "logout", at: at + 1 }, callAt(at)), false);
      }
    },
  },
  {
    name: "admits copies, and hands out copies",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      const owner = newOwner();
      const fields = { envelope: Buffer.from("envelope"), data: Buffer.from("data") };
      const passed = ownedBy(owner, { envelope: Buffer.from("envelope"), data: Buffer.from("data") });
      await store.admit(passed, rulesOf({ perOwner: 1 }), callAt());
      blank(passed);
      await assertHolds(store, { ...passed, ...fields });
      const reused = await store.admit(ownedBy(owner), rulesOf({ perOwner: 1, onLimit: "reuse" }), callAt());
      assert.ok(reused.status === "reused");
      blank(reused.record);
      await assertHolds(store, { ...passed, ...fields });
      const rules = rulesOf({ perOwner: 1, onLimit: "evict-oldest" });
      assertCreated(await store.admit(ownedBy(owner), rules, callAt()), [{ ...passed, ...fields }]);
    },
  },
];
