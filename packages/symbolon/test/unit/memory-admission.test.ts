import { type AdmissionRules, type StoredRecord, StoreUnavailableError } from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { describe, expect, test } from "vitest";
import { stepsDuring } from "../support/steps.ts";

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 0, 1);

function callAt(now: number) {
  return { now, signal: new AbortController().signal };
}

function recordOf(owner: string, lookup: string, deadline = NOW + HOUR) {
  return {
    space: "space",
    route: 1,
    lookup,
    owner,
    tenant: null,
    createdAt: NOW,
    touchedAt: NOW,
    deadline,
    version: 1,
    envelope: new Uint8Array([1, 2, 3]),
    data: null,
  } satisfies StoredRecord;
}

function rulesOf(fields: Partial<AdmissionRules>): AdmissionRules {
  return { perOwner: null, total: null, onLimit: "reject", replacing: null, ...fields };
}

/** A store with three records of ann, and so many of others that end all over the hour after next. */
async function storeWith(others: number): Promise<MemoryStore> {
  const store = memoryStore();
  for (let index = 0; index < others; index++) {
    const deadline = NOW + 2 * HOUR + ((index * 997) % 3600) * 1000;
    await store.create(recordOf(`user ${index}`, `other ${index}`, deadline), callAt(NOW));
  }
  for (const lookup of ["a", "b", "c"]) await store.create(recordOf("ann", lookup), callAt(NOW));
  return store;
}

describe("an admission into the memory store", () => {
  test("takes the same work beside 1 000 and beside 100 000 records of others", async () => {
    const steps: number[][] = [];
    for (const others of [1_000, 100_000]) {
      const store = await storeWith(others);
      const answers = [
        { rules: rulesOf({ perOwner: 3 }), status: "refused" },
        { rules: rulesOf({ perOwner: 3, onLimit: "evict-oldest" }), status: "created" },
        { rules: rulesOf({ perOwner: 9, total: others + 5 }), status: "created" },
        // At the total itself, what lives is not looked at either.
        { rules: rulesOf({ perOwner: 9, total: others + 4 }), status: "refused" },
      ] as const;
      const taken: number[] = [];
      for (const [index, { rules, status }] of answers.entries()) {
        const work = async () => {
          const answer = await store.admit(recordOf("ann", `new ${index}`), rules, callAt(NOW));
          expect(answer).toMatchObject({ status });
        };
        taken.push(await stepsDuring(work));
      }
      steps.push(taken);
    }
    expect(steps[0]).toEqual(steps[1]);
    // The records of one user, and the minutes in which any record ends.
    expect(Math.max(...steps.flat())).toBeLessThanOrEqual(20 + 120);
  });

  test("counts for the total what is there after ends, updates, copies and pruning", async () => {
    const store = memoryStore();
    const records = ["a", "b", "c", "d"].map((lookup, index) => recordOf(lookup, lookup, NOW + (index + 1) * HOUR));
    for (const record of records) await store.create(record, callAt(NOW));
    const [a, b, c, d] = records;
    const later = NOW + HOUR;
    await store.update(b!, 1, { ...b!, deadline: NOW + 9 * HOUR }, callAt(NOW));
    await store.apply({ ...c!, version: 5 }, callAt(NOW));
    await store.delete(d!, { reason: "logout", at: NOW }, callAt(NOW));
    expect(await store.prune(later, 10, callAt(later))).toBe(1);
    expect(await store.read(a!, callAt(later))).toBeNull();
    for (const [lookup, status] of [
      ["e", "created"],
      ["f", "refused"],
    ] as const) {
      const record = recordOf(lookup, lookup, NOW + 9 * HOUR);
      expect(await store.admit(record, rulesOf({ total: 3 }), callAt(later))).toMatchObject({ status });
    }
  });
});

describe("an admission into a full memory store", () => {
  const evicting = rulesOf({ perOwner: 1, onLimit: "evict-oldest" });

  test("ends nobody for a record that it has no place for", async () => {
    const store = memoryStore({ maxRecords: 2 });
    const [held, replaced] = [recordOf("ann", "held"), recordOf("ann", "replaced")];
    for (const record of [held, replaced]) await store.create(record, callAt(NOW));
    const admission = async () =>
      store.admit(recordOf("ann", "new"), { ...evicting, replacing: "replaced" }, callAt(NOW));
    await expect(admission).rejects.toThrow(StoreUnavailableError);
    for (const record of [held, replaced]) expect(await store.read(record, callAt(NOW))).toMatchObject({ version: 1 });
    expect(await store.read(recordOf("ann", "new"), callAt(NOW))).toBeNull();
  });

  test("makes room of what is past its deadline first", async () => {
    const store = memoryStore({ maxRecords: 2 });
    const held = recordOf("ann", "held");
    await store.create(recordOf("bob", "expired", NOW + 1), callAt(NOW));
    await store.create(held, callAt(NOW));
    const answer = await store.admit(recordOf("ann", "new"), evicting, callAt(NOW + 1));
    expect(answer).toMatchObject({ status: "created", evicted: [{ lookup: "held" }] });
    expect(await store.read(held, callAt(NOW + 1))).toMatchObject({ reason: "evicted" });
  });

  test("is answered by the rules where nothing is to be stored", async () => {
    const store = memoryStore({ maxRecords: 1 });
    const held = recordOf("ann", "held");
    await store.create(held, callAt(NOW));
    const admit = async (lookup: string, rules: AdmissionRules) =>
      store.admit(recordOf("ann", lookup), rules, callAt(NOW));
    expect(await admit("held", evicting)).toEqual({ status: "exists" });
    expect(await admit("new", rulesOf({ perOwner: 1 }))).toEqual({ status: "refused", limit: "owner" });
    expect(await admit("new", rulesOf({ total: 1 }))).toEqual({ status: "refused", limit: "total" });
    expect(await admit("new", rulesOf({ perOwner: 1, onLimit: "reuse" }))).toMatchObject({
      record: { lookup: "held" },
    });
  });
});
