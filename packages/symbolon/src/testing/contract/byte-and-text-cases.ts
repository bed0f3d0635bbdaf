/** Cases about bytes, hostile text, and calls that nobody waits for any more. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { RecordKey, Store, StoredRecord } from "../../core/store.ts";
import { isSymbolonError } from "../../errors.ts";
import {
  assertEntry,
  assertHolds,
  callAt,
  changed,
  type ContractCase,
  createAll,
  digest,
  newChange,
  newOwner,
  newRecord,
  NOW,
  openTwo,
  tombstoneOf,
} from "./contract-case.ts";

const needs = "store";

const PRINTABLE = [
  `it's "quoted" \\' \`so\``,
  "'; DROP TABLE symbolon_sessions; --",
  "%_*?[a-z]{1}",
  "../../../etc/passwd",
  "__proto__",
  "constructor",
  "line\r\nbreak\ttab",
  "grüße, 東京, 🗝️",
  "{hash}tag:with:colons",
  " leading and trailing ",
  "$1 ${x} %s :name @name ?",
];

/** These a store may refuse as keys, but it must not mistake them for another. */
const UNSTORABLE = ["nul\0byte", "nul", "\u0000", "x".repeat(5000), "x".repeat(4999)];

/** Every store passes these. */
export const byteAndTextCases: readonly ContractCase[] = [
  {
    name: "keeps every value of a byte, and no bytes at all",
    needs,
    async run({ open }) {
      const store = await open();
      const every = Uint8Array.from({ length: 256 }, (_, value) => value);
      const record = newRecord({ envelope: every, data: new Uint8Array(0) });
      await createAll(store, [record]);
      await assertHolds(store, record);
      const change = newChange({ envelope: every.toReversed(), data: every });
      await store.update(record, 1, change, callAt());
      await assertHolds(store, changed(record, change));
    },
  },
  {
    name: "keeps data of 64 KiB and more, and the largest envelope",
    needs,
    async run({ open }) {
      const store = await open();
      const record = newRecord({ envelope: randomBytes(16_384), data: randomBytes(65_536) });
      await createAll(store, [record]);
      await assertHolds(store, record);
      const change = newChange({ envelope: randomBytes(16_384), data: randomBytes(200_001) });
      await store.update(record, 1, change, callAt());
      await assertHolds(store, changed(record, change));
    },
  },
  {
    name: "keeps just the bytes of a view, and takes Buffer and Uint8Array alike",
    needs,
    async run({ open }) {
      const store = await open();
      const whole = new Uint8Array(randomBytes(100));
      const record = newRecord({ envelope: whole.subarray(10, 20), data: Buffer.from(whole.buffer, 30, 7) });
      await createAll(store, [record]);
      await assertHolds(store, record);
    },
  },
  {
    name: "keeps a reason of any printable text",
    needs,
    async run({ open }) {
      const store = await open();
      for (const reason of PRINTABLE) {
        const record = newRecord();
        await createAll(store, [record]);
        await store.delete(record, { reason, at: NOW }, callAt());
        await assertHolds(store, tombstoneOf(record, reason, NOW, record.deadline));
      }
    },
  },
  {
    name: "keeps hostile text in digests as it is or refuses it, and touches no other record",
    needs,
    async run({ open }) {
      const store = await open();
      const bystander = newRecord({ ...newOwner(), tenant: digest(16) });
      await createAll(store, [bystander]);
      for (const text of [...PRINTABLE, ...UNSTORABLE]) {
        const { space, route } = bystander;
        const strangers: StoredRecord[] = [
          newRecord({ space, route, lookup: text }),
          newRecord({ space: text, route }),
          newRecord({ space, route, owner: text }),
          newRecord({ space, route, owner: digest(16), tenant: text }),
        ];
        for (const stranger of strangers) await useOrRefuse(store, stranger);
      }
      await assertHolds(store, bystander);
    },
  },
  {
    name: "takes no text for a pattern",
    needs,
    async run({ open }) {
      const store = await open();
      const record = newRecord({ lookup: "a".repeat(43) });
      await createAll(store, [record]);
      for (const lookup of ["a*", "%", `${"a".repeat(42)}?`, "_".repeat(43), "[a]*", `${"a".repeat(42)}*`]) {
        assert.equal(await answerOrNull(async () => store.read({ ...record, lookup }, callAt())), null);
        await answerOrNull(async () => store.delete({ ...record, lookup }, { reason: "logout", at: NOW }, callAt()));
      }
      await assertHolds(store, record);
    },
  },
  {
    name: "tells digests apart that differ in case only",
    needs,
    async run({ open }) {
      const store = await open();
      const { space, route } = newRecord();
      const records = ["aBcDeF", "abcdef", "ABCDEF"].map((head) =>
        newRecord({ space, route, lookup: head + "x".repeat(37), data: Buffer.from(head) }),
      );
      await createAll(store, records);
      await store.delete(records[1]!, { reason: "logout", at: NOW }, callAt());
      await assertHolds(store, records[0]!);
      await assertHolds(store, records[2]!);
    },
  },
  {
    name: "never lets one space reach the records of another",
    needs,
    async run(context) {
      const [first, second] = await openTwo(context);
      const record = newRecord(newOwner());
      await createAll(first, [record]);
      for (const space of [digest(8), record.space.toLowerCase() + "x", "", record.space.slice(0, -1)]) {
        const key: RecordKey = { ...record, space };
        assert.equal(await answerOrNull(async () => second.read(key, callAt())), null);
        assert.notEqual(await answerOrNull(async () => second.update(key, 1, newChange(), callAt())), "updated");
        assert.notEqual(await answerOrNull(async () => second.delete(key, { reason: "x", at: NOW }, callAt())), true);
      }
      await assertHolds(first, record);
    },
  },
  {
    name: "does the whole work or refuses it when the caller has stopped waiting",
    needs,
    async run({ open }) {
      const store = await open();
      const gone = callAt(NOW, AbortSignal.abort());
      const record = newRecord({ data: Buffer.from("data") });
      const change = newChange();

      const created = await answerOrNull(async () => store.create(record, gone));
      assertEntry(await store.read(record, callAt()), created === null ? null : record);
      if (created === null) await createAll(store, [record]);

      const updated = await answerOrNull(async () => store.update(record, 1, change, gone));
      const current = updated === null ? record : changed(record, change);
      await assertHolds(store, current);

      const found = await answerOrNull(async () => store.read(record, gone));
      if (found !== null) assertEntry(found, current);

      const ended = await answerOrNull(async () => store.delete(record, { reason: "logout", at: NOW }, gone));
      await assertHolds(store, ended === null ? current : tombstoneOf(record, "logout", NOW, current.deadline));
    },
  },
];

/** The answer, or null when the store refuses in the one way it may. */
async function answerOrNull<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (isSymbolonError(error) && error.retryable) return null;
    throw error;
  }
}

async function useOrRefuse(store: Store, record: StoredRecord): Promise<void> {
  assert.equal(await answerOrNull(async () => store.read(record, callAt())), null);
  const created = await answerOrNull(async () => store.create(record, callAt()));
  if (created === null) return;
  assert.equal(created, "created");
  const found = await answerOrNull(async () => store.read(record, callAt()));
  // A client may cut text at a NUL on the way back; the record must be the right one all the same.
  assert.ok(found !== null && "envelope" in found && Buffer.from(record.envelope).equals(found.envelope));
  assert.equal(await store.delete(record, { reason: "logout", at: NOW }, callAt()), true);
}
