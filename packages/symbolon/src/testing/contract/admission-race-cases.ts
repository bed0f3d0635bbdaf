/** Cases for stores that create a record only while there is room: many at once. */
import assert from "node:assert/strict";
import {
  openPair,
  rulesOf,
  ownedBy,
  statusAtLimit,
  assertCreated,
  admitAtOnce,
  createdOf,
  liveOf,
  byLookup,
} from "./admissions.ts";
import {
  assertEntries,
  assertHolds,
  type ContractCase,
  createAll,
  digest,
  newOwner,
  NOW,
  recordsOf,
  tombstoneOf,
} from "./contract-case.ts";

const needs = "admission";
const CALLERS = 20;
const EVICTING = ["evict-oldest", "evict-idle"] as const;
const POLICIES = ["reject", "reuse", ...EVICTING] as const;

/** Stores that admit pass these, too. */
export const admissionRaceCases: readonly ContractCase[] = [
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
