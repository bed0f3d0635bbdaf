/** Cases for stores that create a record only while there is room: what counts, and what is replaced. */
import assert from "node:assert/strict";
import { canAdmit } from "../../core/store.ts";
import { openPair, rulesOf, ownedBy, statusAtLimit, assertCreated, assertUntouched, liveOf } from "./admissions.ts";
import {
  assertEntries,
  assertEntry,
  assertHolds,
  callAt,
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

/** Stores that admit pass these, too. */
export const admissionCountCases: readonly ContractCase[] = [
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
    name: "counts by the deadline of the last update",
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
];
