/** Cases about callers that do the same at the same time, on two handles. */
import assert from "node:assert/strict";
import { isTombstone, type Store } from "../../core/store.ts";
import {
  assertHolds,
  atOnce,
  callAt,
  changed,
  type ContractCase,
  type ContractContext,
  createAll,
  newChange,
  newRecord,
  NOW,
  openTwo,
  tombstoneOf,
} from "./contract-case.ts";

const needs = "store";
const CALLERS = 50;

/** Every store passes these. */
export const raceCases: readonly ContractCase[] = [
  {
    name: "lets exactly one of fifty creates win",
    needs,
    async run(context) {
      const handleOf = await alternate(context);
      const { space, route, lookup } = newRecord();
      const rivals = Array.from({ length: CALLERS }, () => newRecord({ space, route, lookup }));
      const answers = await atOnce(CALLERS, async (index) => handleOf(index).create(rivals[index]!, callAt()));
      assert.equal(answers.filter((answer) => answer === "created").length, 1);
      assert.equal(answers.filter((answer) => answer === "exists").length, CALLERS - 1);
      await assertHolds(handleOf(1), rivals[answers.indexOf("created")]!);
    },
  },
  {
    name: "lets exactly one of fifty updates of a version win",
    needs,
    async run(context) {
      const handleOf = await alternate(context);
      const record = newRecord({ data: Buffer.from("data") });
      await createAll(handleOf(0), [record]);
      const changes = Array.from({ length: CALLERS }, (_, index) => newChange({ data: Buffer.from(`${index}`) }));
      const answers = await atOnce(CALLERS, async (index) =>
        handleOf(index).update(record, 1, changes[index]!, callAt()),
      );
      assert.equal(answers.filter((answer) => answer === "updated").length, 1);
      assert.equal(answers.filter((answer) => answer === "conflict").length, CALLERS - 1);
      await assertHolds(handleOf(1), changed(record, changes[answers.indexOf("updated")]!));
    },
  },
  {
    name: "lets exactly one of fifty deletes end the record",
    needs,
    async run(context) {
      const handleOf = await alternate(context);
      const record = newRecord();
      await createAll(handleOf(0), [record]);
      const answers = await atOnce(CALLERS, async (index) =>
        handleOf(index).delete(record, { reason: `reason-${index}`, at: NOW + index }, callAt()),
      );
      assert.equal(answers.filter(Boolean).length, 1);
      const winner = answers.indexOf(true);
      await assertHolds(handleOf(1), tombstoneOf(record, `reason-${winner}`, NOW + winner, record.deadline));
    },
  },
  {
    name: "lets the end win over every update in flight",
    needs,
    async run(context) {
      const handleOf = await alternate(context);
      const record = newRecord();
      await createAll(handleOf(0), [record]);
      const ending = { reason: "logout", at: NOW };
      const answers = await atOnce(CALLERS, async (index) =>
        index === CALLERS / 2
          ? handleOf(index).delete(record, ending, callAt())
          : handleOf(index).update(record, 1, newChange({ deadline: record.deadline }), callAt()),
      );
      assert.equal(answers[CALLERS / 2], true);
      assert.ok(answers.filter((answer) => answer === "updated").length <= 1);
      await assertHolds(handleOf(1), tombstoneOf(record, "logout", NOW, record.deadline));
    },
  },
  {
    name: "loses none of fifty increments that are repeated until they land",
    needs,
    async run(context) {
      const handleOf = await alternate(context);
      const record = newRecord({ data: Buffer.from("0") });
      await createAll(handleOf(0), [record]);
      await atOnce(CALLERS, async (index) => increment(handleOf(index), record));
      const found = await handleOf(0).read(record, callAt());
      assert.ok(found !== null && !isTombstone(found));
      assert.equal(Buffer.from(found.data ?? []).toString(), `${CALLERS}`);
      assert.equal(found.version, CALLERS + 1);
    },
  },
  {
    name: "answers a delete that races a create as the record then shows",
    needs,
    async run(context) {
      const handleOf = await alternate(context);
      await atOnce(CALLERS, async (index) => {
        const record = newRecord();
        const [created, ended] = await Promise.all([
          handleOf(index).create(record, callAt()),
          handleOf(index + 1).delete(record, { reason: "logout", at: NOW }, callAt()),
        ]);
        assert.equal(created, "created");
        await assertHolds(handleOf(index), ended ? tombstoneOf(record, "logout", NOW, record.deadline) : record);
      });
    },
  },
];

async function alternate(context: ContractContext): Promise<(index: number) => Store> {
  const [first, second] = await openTwo(context);
  return (index) => (index % 2 === 0 ? first : second);
}

async function increment(store: Store, record: Parameters<Store["read"]>[0]): Promise<void> {
  for (;;) {
    const found = await store.read(record, callAt());
    assert.ok(found !== null && !isTombstone(found));
    const data = Buffer.from(`${Number(Buffer.from(found.data ?? []).toString()) + 1}`);
    const answer = await store.update(record, found.version, newChange({ data }), callAt());
    if (answer === "updated") return;
    assert.equal(answer, "conflict");
  }
}
