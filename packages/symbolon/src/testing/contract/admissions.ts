/** Admissions, for the cases about stores that create a record only while there is room. */
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
} from "../../core/store.ts";
import {
  assertEntries,
  assertHolds,
  atOnce,
  callAt,
  type ContractContext,
  newRecord,
  openWith,
} from "./contract-case.ts";

export type OwnedRecord = Parameters<Admitting["admit"]>[0];
export type Handles = readonly [Store & Admitting, Store & Admitting];

export async function openPair(context: ContractContext): Promise<Handles> {
  return [await openWith(context, canAdmit), await openWith(context, canAdmit)];
}

/** Rules without limits, but for what is named. */
export function rulesOf(fields: Partial<AdmissionRules>): AdmissionRules {
  return { perOwner: null, total: null, onLimit: "reject", replacing: null, ...fields };
}

export function ownedBy(owner: OwnerKey, fields: Partial<StoredRecord> = {}): OwnedRecord {
  return { ...newRecord(fields), ...owner };
}

/** What becomes of a user's record that is one too many. */
export function statusAtLimit(onLimit: AdmissionRules["onLimit"]): Admission["status"] {
  if (onLimit === "reject") return "refused";
  return onLimit === "reuse" ? "reused" : "created";
}

/** Insists that the record was admitted, and that just these gave way. */
export function assertCreated(answer: Admission, evicted: readonly StoredRecord[]): void {
  assert.ok(answer.status === "created", `the record is admitted, not ${answer.status}`);
  assertEntries(byLookup(answer.evicted), byLookup(evicted));
}

/** Insists that all records are as they were, and that there is nothing of the one that was not admitted. */
export async function assertUntouched(
  store: Store,
  held: readonly StoredRecord[],
  record: StoredRecord,
): Promise<void> {
  for (const one of held) await assertHolds(store, one);
  assert.equal(await store.read(record, callAt()), null);
}

/** Admits all at once, on two handles in turn. */
export async function admitAtOnce(
  handles: Handles,
  records: readonly OwnedRecord[],
  rules: AdmissionRules,
): Promise<Admission[]> {
  return atOnce(records.length, async (index) => handles[index % 2]!.admit(records[index]!, rules, callAt()));
}

export function createdOf(records: readonly OwnedRecord[], answers: readonly Admission[]): OwnedRecord[] {
  return records.filter((_, index) => answers[index]?.status === "created");
}

/** Those of the records that have not ended, in their order. */
export async function liveOf(store: Store, records: readonly StoredRecord[]): Promise<StoredRecord[]> {
  const found = await Promise.all(records.map(async (record) => store.read(record, callAt())));
  return found.flatMap((entry) => (entry === null || isTombstone(entry) ? [] : [entry]));
}

export function byLookup(records: readonly StoredRecord[]): StoredRecord[] {
  return records.toSorted((a, b) => (a.lookup < b.lookup ? -1 : 1));
}

/** Overwrites the bytes. */
export function blank({ envelope, data }: StoredRecord): void {
  envelope.fill(0);
  data?.fill(0);
}
