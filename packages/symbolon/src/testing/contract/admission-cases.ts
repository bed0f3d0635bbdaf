/** Cases for stores that create a record only while there is room. */
import assert from "node:assert/strict";
import {
  type Admission,
  type AdmissionRules,
  type Admitting,
  canAdmit,
  isTombstone,
  type OwnerKey,
  type Store,
  type StoredRecord,
  TOMBSTONE_MS,
} from "../../core/store.ts";
import {
  assertEntries,
  assertEntry,
  assertHolds,
  atOnce,
  callAt,
  changed,
  type ContractCase,
  type ContractContext,
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
const CALLERS = 20;
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
    name: "gives the new record the place of the one it replaces, which counts for nothing and ends",
    needs,
    async run(context) {
      const [first, second] = await openPair(context);
      for (const onLimit of POLICIES) {
        const owner = newOwner();
        const held = recordsOf(owner, 3);
        await createAll(first, held);
        const record = ownedBy(owner);
        const replaced = held[1]!;
        const rules = rulesOf({ perOwner: 3, onLimit, replacing: replaced.lookup });
        assertCreated(await first.admit(record, rules, callAt(NOW + 5)), []);
        await assertHolds(second, tombstoneOf(replaced, "replaced", NOW + 5, replaced.deadline));
        for (const one of [held[0]!, held[2]!, record]) await assertHolds(second, one);
      }
    },
  },
  {
    name: "ends what is replaced where there was room anyway, and where there is no limit",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const perOwner of [3, null]) {
        const owner = newOwner();
        const [replaced, other] = recordsOf(owner, 2);
        await createAll(store, [replaced!, other!]);
        const record = ownedBy(owner);
        assertCreated(await store.admit(record, rulesOf({ perOwner, replacing: replaced!.lookup }), callAt()), []);
        await assertHolds(store, tombstoneOf(replaced!, "replaced", NOW, replaced!.deadline));
        for (const one of [other!, record]) await assertHolds(store, one);
      }
    },
  },
  {
    name: "neither evicts nor hands back what is replaced",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const onLimit of POLICIES) {
        const owner = newOwner();
        const held = recordsOf(owner, 4).map((record) => ({ ...record, touchedAt: record.createdAt }));
        await createAll(store, held);
        // The oldest and idlest where one gives way, the newest where one is used again.
        const replaced = onLimit === "reuse" ? held[3]! : held[0]!;
        const record = ownedBy(owner);
        const rules = rulesOf({ perOwner: 3, onLimit, replacing: replaced.lookup });
        const answer = await store.admit(record, rules, callAt());
        assert.equal(answer.status, statusAtLimit(onLimit));
        if (answer.status === "created") {
          assertCreated(answer, [held[1]!]);
          await assertHolds(store, tombstoneOf(held[1]!, "evicted", NOW, held[1]!.deadline));
          await assertHolds(store, tombstoneOf(replaced, "replaced", NOW, replaced.deadline));
          for (const one of [held[2]!, held[3]!, record]) await assertHolds(store, one);
        } else {
          if (answer.status === "reused") assertEntry(answer.record, held[2]!);
          await assertUntouched(store, held, record);
        }
      }
    },
  },
  {
    name: "lets be what is named as replaced and is not a live record of the user",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      const now = NOW + MINUTE;
      const owner = newOwner();
      const { space, route } = owner;
      const [ended, expired, held] = recordsOf(owner, 3);
      const others = [
        newRecord({ ...newOwner(space), route }),
        newRecord(newOwner(space)),
        newRecord({ ...owner, space: digest(8) }),
        newRecord({ space, route }),
        newRecord({ space }),
      ];
      const atDeadline = { ...expired!, deadline: now };
      await createAll(store, [ended!, atDeadline, held!, ...others]);
      await store.delete(ended!, { reason: "logout", at: NOW }, callAt());
      const hostile = ["", "%", "*", "' OR '1'='1", `${held!.lookup.slice(0, 42)}?`, digest(32)];
      for (const replacing of [ended!, atDeadline, ...others].map(({ lookup }) => lookup).concat(hostile)) {
        const refused = ownedBy(owner);
        const answer = await store.admit(refused, rulesOf({ perOwner: 1, replacing }), callAt(now));
        assert.deepEqual(answer, { status: "refused", limit: "owner" });
        await assertUntouched(store, [held!, ...others], refused);
        const stranger = ownedBy(newOwner(space));
        assertCreated(await store.admit(stranger, rulesOf({ perOwner: 1, replacing }), callAt(now)), []);
        for (const one of [stranger, held!, ...others]) await assertHolds(store, one, now);
        await assertHolds(store, tombstoneOf(ended!, "logout", NOW, ended!.deadline), now);
      }
    },
  },
  {
    name: "counts for the user only live records, only the user's, and only of the space",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      const now = NOW + MINUTE;
      const owner = newOwner();
      const { space, route } = owner;
      const [held, ended, ...expired] = recordsOf(owner, 4);
      const uncounted = [
        ...expired.map((record, index) => ({ ...record, deadline: now - index })),
        newRecord({ ...newOwner(space), route }),
        newRecord({ ...owner, space: digest(8) }),
        newRecord({ space, route }),
      ];
      await createAll(store, [held!, ended!, ...uncounted]);
      await store.delete(ended!, { reason: "logout", at: NOW }, callAt());
      const record = ownedBy(owner, { deadline: now + HOUR });
      const beyond = ownedBy(owner);
      const rules = rulesOf({ perOwner: 2 });
      const early = await store.admit(record, rules, callAt(now - 1));
      assert.deepEqual(early, { status: "refused", limit: "owner" });
      assertCreated(await store.admit(record, rules, callAt(now)), []);
      const late = await store.admit(beyond, rules, callAt(now));
      assert.deepEqual(late, { status: "refused", limit: "owner" });
      const evicting = rulesOf({ perOwner: 1, onLimit: "evict-oldest" });
      const last = await store.admit(beyond, evicting, callAt(now));
      assertCreated(last, [held!, record]);
    },
  },
  {
    name: "goes by the deadline of the last update",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      const owner = newOwner();
      const [shortened, prolonged] = recordsOf(owner, 2, { deadline: NOW + 2 * MINUTE });
      await createAll(store, [shortened!, prolonged!]);
      await store.update(shortened!, 1, newChange({ deadline: NOW + MINUTE }), callAt());
      await store.update(prolonged!, 1, newChange({ deadline: NOW + HOUR }), callAt());
      const rules = rulesOf({ perOwner: 2, total: 2 });
      const [early, late, last] = [ownedBy(owner), ownedBy(owner), ownedBy(owner)];
      const refused = await store.admit(early, rules, callAt(NOW + MINUTE - 1));
      assert.deepEqual(refused, { status: "refused", limit: "owner" });
      assertCreated(await store.admit(late, rules, callAt(NOW + MINUTE)), []);
      const full = await store.admit(last, rulesOf({ total: 2 }), callAt(NOW + 3 * MINUTE));
      assert.deepEqual(full, { status: "refused", limit: "total" });
    },
  },
  {
    name: "refuses what is more than the space may have, and changes nothing",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const onLimit of POLICIES) {
        const owner = newOwner();
        const others = recordsOf(newOwner(owner.space), 3);
        await createAll(store, others);
        const stranger = ownedBy(owner);
        // Nobody gives way to another user.
        const answer = await store.admit(stranger, rulesOf({ perOwner: 1, total: 3, onLimit }), callAt());
        assert.deepEqual(answer, { status: "refused", limit: "total" });
        await assertUntouched(store, others, stranger);
        assertCreated(await store.admit(stranger, rulesOf({ perOwner: 1, total: 4, onLimit }), callAt()), []);
      }
    },
  },
  {
    name: "ends nobody for a record that is then refused for the total",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const onLimit of EVICTING) {
        const owner = newOwner();
        const [held, replaced] = recordsOf(owner, 2);
        const all = [held!, replaced!, ...recordsOf(newOwner(owner.space), 2)];
        await createAll(store, all);
        const record = ownedBy(owner);
        const rules = rulesOf({ perOwner: 1, total: 2, onLimit, replacing: replaced!.lookup });
        assert.deepEqual(await store.admit(record, rules, callAt()), { status: "refused", limit: "total" });
        await assertUntouched(store, all, record);
      }
    },
  },
  {
    name: "counts for the total neither what gives way nor what is replaced",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      for (const onLimit of EVICTING) {
        const owner = newOwner();
        const [held, replaced] = recordsOf(owner, 2);
        const others = recordsOf(newOwner(owner.space), 2);
        await createAll(store, [held!, replaced!, ...others]);
        const record = ownedBy(owner);
        const rules = rulesOf({ perOwner: 1, total: 3, onLimit, replacing: replaced!.lookup });
        assertCreated(await store.admit(record, rules, callAt()), [held!]);
        assertEntries(await liveOf(store, [held!, replaced!, ...others, record]), [...others, record]);
        const next = ownedBy(owner);
        assertCreated(await store.admit(next, rulesOf({ total: 3, replacing: record.lookup }), callAt()), []);
        assertEntries(await liveOf(store, [...others, record, next]), [...others, next]);
      }
    },
  },
  {
    name: "counts for the total only live records, only those with an owner, and only of the space",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      const now = NOW + MINUTE;
      const { space } = newOwner();
      const [ended, endedLongAgo] = [ownedBy(newOwner(space)), ownedBy(newOwner(space), { deadline: now })];
      // What is past its deadline must not be taken off for what was never counted.
      const uncounted = [
        newRecord({ space }),
        newRecord({ space, deadline: now }),
        ...recordsOf(newOwner(), 2),
        ...recordsOf(newOwner(), 2, { deadline: now }),
      ];
      const counted = [ownedBy(newOwner(space)), ownedBy(newOwner(space), { deadline: now })];
      await createAll(store, [...counted, ended, endedLongAgo, ...uncounted]);
      for (const one of [ended, endedLongAgo]) await store.delete(one, { reason: "logout", at: NOW }, callAt());
      const record = ownedBy(newOwner(space));
      const rules = rulesOf({ total: 2 });
      const early = await store.admit(record, rules, callAt(now - 1));
      assert.deepEqual(early, { status: "refused", limit: "total" });
      assertCreated(await store.admit(record, rules, callAt(now)), []);
      const late = await store.admit(ownedBy(newOwner(space)), rules, callAt(now));
      assert.deepEqual(late, { status: "refused", limit: "total" });
    },
  },
  {
    name: "asks for the user's limit before the total",
    needs,
    async run(context) {
      const store = await openWith(context, canAdmit);
      const owner = newOwner();
      const held = ownedBy(owner);
      await createAll(store, [held]);
      const record = ownedBy(owner);
      const rules = rulesOf({ perOwner: 1, total: 1 });
      assert.deepEqual(await store.admit(record, rules, callAt()), { status: "refused", limit: "owner" });
      const reused = await store.admit(record, { ...rules, onLimit: "reuse" }, callAt());
      assert.ok(reused.status === "reused");
      assertEntry(reused.record, held);
      await assertUntouched(store, [held], record);
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
        const elsewhere = newRecord(newOwner());
        await createAll(store, [held!, ended!, elsewhere]);
        await store.delete(ended!, { reason: "logout", at: NOW }, callAt());
        for (const { lookup } of [held!, ended!, elsewhere]) {
          for (const perOwner of [1, 5]) {
            const record = ownedBy(owner, { lookup });
            const rules = rulesOf({ perOwner, total: perOwner, onLimit, replacing: held!.lookup });
            assert.deepEqual(await store.admit(record, rules, callAt()), { status: "exists" });
          }
        }
        for (const record of [held!, elsewhere]) await assertHolds(store, record);
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
  {
    name: "lets no more of twenty at once in than a user may have",
    needs,
    async run(context) {
      const handles = await openPair(context);
      for (const onLimit of POLICIES) {
        const owner = newOwner();
        const records = Array.from({ length: CALLERS }, (_, index) => ownedBy(owner, { createdAt: NOW + index }));
        const answers = await admitAtOnce(handles, records, rulesOf({ perOwner: 3, onLimit }));
        const created = createdOf(records, answers);
        assert.equal(created.length, statusAtLimit(onLimit) === "created" ? CALLERS : 3);
        for (const answer of answers) {
          if (answer.status === "created") continue;
          assert.equal(answer.status, statusAtLimit(onLimit));
          if (answer.status === "reused") assert.ok(created.some(({ lookup }) => lookup === answer.record.lookup));
        }
        const live = await liveOf(handles[0], records);
        assert.equal(live.length, 3);
        const gone = created.filter((record) => !live.some(({ lookup }) => lookup === record.lookup));
        const evicted = answers.flatMap((answer) => (answer.status === "created" ? answer.evicted : []));
        assertEntries(byLookup(evicted), byLookup(gone));
        for (const one of gone) await assertHolds(handles[1], tombstoneOf(one, "evicted", NOW, one.deadline));
      }
    },
  },
  {
    name: "lets no more of twenty users at once in than the space may have",
    needs,
    async run(context) {
      const handles = await openPair(context);
      const { space } = newOwner();
      const records = Array.from({ length: CALLERS }, () => ownedBy(newOwner(space)));
      const answers = await admitAtOnce(handles, records, rulesOf({ perOwner: 1, total: 3, onLimit: "evict-oldest" }));
      const created = createdOf(records, answers);
      assert.equal(created.length, 3);
      assertEntries(await liveOf(handles[0], records), created);
      for (const answer of answers) {
        if (answer.status !== "created") assert.deepEqual(answer, { status: "refused", limit: "total" });
      }
    },
  },
  {
    name: "lets exactly one of twenty take the place of one record",
    needs,
    async run(context) {
      const handles = await openPair(context);
      const owner = newOwner();
      const replaced = ownedBy(owner);
      await createAll(handles[0], [replaced]);
      const records = Array.from({ length: CALLERS }, () => ownedBy(owner));
      const rules = rulesOf({ perOwner: 1, replacing: replaced.lookup });
      const answers = await admitAtOnce(handles, records, rules);
      const created = createdOf(records, answers);
      assert.equal(created.length, 1);
      assert.equal(answers.filter(({ status }) => status === "refused").length, CALLERS - 1);
      assertEntries(await liveOf(handles[1], [replaced, ...records]), created);
      await assertHolds(handles[1], tombstoneOf(replaced, "replaced", NOW, replaced.deadline));
    },
  },
  {
    name: "lets exactly one of twenty with the same lookup in, and one record give way to it",
    needs,
    async run(context) {
      const handles = await openPair(context);
      const owner = newOwner();
      const held = recordsOf(owner, 3);
      await createAll(handles[0], held);
      const lookup = digest(32);
      const rivals = Array.from({ length: CALLERS }, () => ownedBy(owner, { lookup }));
      const answers = await admitAtOnce(handles, rivals, rulesOf({ perOwner: 3, onLimit: "evict-oldest" }));
      const winner = answers.findIndex(({ status }) => status === "created");
      assert.equal(answers.filter(({ status }) => status === "exists").length, CALLERS - 1);
      assertCreated(answers[winner]!, [held[0]!]);
      assertEntries(await liveOf(handles[1], [...held, rivals[winner]!]), [held[1]!, held[2]!, rivals[winner]!]);
    },
  },
];

type OwnedRecord = Parameters<Admitting["admit"]>[0];
type Handles = readonly [Store & Admitting, Store & Admitting];

async function openPair(context: ContractContext): Promise<Handles> {
  return [await openWith(context, canAdmit), await openWith(context, canAdmit)];
}

/** Rules without limits, but for what is named. */
function rulesOf(fields: Partial<AdmissionRules>): AdmissionRules {
  return { perOwner: null, total: null, onLimit: "reject", replacing: null, ...fields };
}

function ownedBy(owner: OwnerKey, fields: Partial<StoredRecord> = {}): OwnedRecord {
  return { ...newRecord(fields), ...owner };
}

/** What becomes of a user's record that is one too many. */
function statusAtLimit(onLimit: AdmissionRules["onLimit"]): Admission["status"] {
  if (onLimit === "reject") return "refused";
  return onLimit === "reuse" ? "reused" : "created";
}

/** Insists that the record was admitted, and that just these gave way. */
function assertCreated(answer: Admission, evicted: readonly StoredRecord[]): void {
  assert.ok(answer.status === "created", `the record is admitted, not ${answer.status}`);
  assertEntries(byLookup(answer.evicted), byLookup(evicted));
}

/** Insists that all records are as they were, and that there is nothing of the one that was not admitted. */
async function assertUntouched(store: Store, held: readonly StoredRecord[], record: StoredRecord): Promise<void> {
  for (const one of held) await assertHolds(store, one);
  assert.equal(await store.read(record, callAt()), null);
}

/** Admits all at once, on two handles in turn. */
async function admitAtOnce(
  handles: Handles,
  records: readonly OwnedRecord[],
  rules: AdmissionRules,
): Promise<Admission[]> {
  return atOnce(records.length, async (index) => handles[index % 2]!.admit(records[index]!, rules, callAt()));
}

function createdOf(records: readonly OwnedRecord[], answers: readonly Admission[]): OwnedRecord[] {
  return records.filter((_, index) => answers[index]?.status === "created");
}

/** Those of the records that have not ended, in their order. */
async function liveOf(store: Store, records: readonly StoredRecord[]): Promise<StoredRecord[]> {
  const found = await Promise.all(records.map(async (record) => store.read(record, callAt())));
  return found.flatMap((entry) => (entry === null || isTombstone(entry) ? [] : [entry]));
}

function byLookup(records: readonly StoredRecord[]): StoredRecord[] {
  return records.toSorted((a, b) => (a.lookup < b.lookup ? -1 : 1));
}

/** Overwrites the bytes. */
function blank({ envelope, data }: StoredRecord): void {
  envelope.fill(0);
  data?.fill(0);
}
