import type { StoredRecord } from "symbolon";
import { StoreUnavailableError } from "symbolon";
import { type MemoryStore, memoryStore } from "symbolon/stores/memory";
import { describe, expect, test } from "vitest";
import { stepsDuring } from "../support/steps.ts";

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);

function callAt(now: number) {
  return { now, signal: new AbortController().signal };
}

function record(name: string, deadline: number): StoredRecord {
  return {
    space: "space",
    route: 1,
    lookup: name,
    owner: `owner of ${name}`,
    tenant: null,
    createdAt: START,
    touchedAt: START,
    deadline,
    version: 1,
    envelope: new Uint8Array([1, 2, 3]),
    data: null,
  };
}

/** So many records that end all over the hour after next, and fifty that end in the first. */
async function storeWith(live: number): Promise<MemoryStore> {
  const store = memoryStore();
  for (let index = 0; index < live; index++) {
    await store.create(record(`live ${index}`, START + 2 * HOUR + ((index * 997) % 3600) * 1000), callAt(START));
  }
  for (let index = 0; index < 50; index++) {
    await store.create(record(`due ${index}`, START + (index + 1) * 60_000), callAt(START));
  }
  return store;
}

describe("pruning the memory store", () => {
  test("takes the same work beside 1 000 and beside 100 000 live records", async () => {
    const stores = [await storeWith(1_000), await storeWith(100_000)];
    const steps: number[] = [];
    for (const store of stores) {
      const now = START + HOUR;
      steps.push(
        await stepsDuring(async () => expect(await store.prune(now, 1_000, callAt(now))).toBe(50)),
        await stepsDuring(async () => expect(await store.prune(now, 1_000, callAt(now))).toBe(0)),
      );
    }
    expect(steps.slice(0, 2)).toEqual(steps.slice(2));
    // The due records, and the minutes in which any record ends.
    expect(Math.max(...steps)).toBeLessThanOrEqual(50 + 120);
  });

  test("does not look at records that were touched since their first deadline", async () => {
    const store = await storeWith(0);
    const envelope = new Uint8Array([4]);
    for (let index = 0; index < 5_000; index++) {
      const touched = record(`touched ${index}`, START + HOUR);
      await store.create(touched, callAt(START));
      await store.update(touched, 1, { touchedAt: START, deadline: START + 2 * HOUR, envelope }, callAt(START));
    }
    const steps = await stepsDuring(async () => {
      expect(await store.prune(START + HOUR, 1_000, callAt(START + HOUR))).toBe(50);
    });
    expect(steps).toBeLessThanOrEqual(50 + 60);
  });

  test("stops looking at the limit", async () => {
    const store = await storeWith(0);
    const steps = await stepsDuring(async () => {
      expect(await store.prune(START + HOUR, 5, callAt(START + HOUR))).toBe(5);
    });
    expect(steps).toBeLessThanOrEqual(5 + 60);
  });
});

describe("a full memory store", () => {
  test("refuses a record, names the option, and keeps every live one", async () => {
    const store = memoryStore({ maxRecords: 2 });
    const [one, two, three] = [record("1", START + HOUR), record("2", START + HOUR), record("3", START + HOUR)];
    await store.create(one, callAt(START));
    await store.create(two, callAt(START));
    const refused = async () => store.create(three, callAt(START));
    await expect(refused).rejects.toThrow(StoreUnavailableError);
    await expect(refused).rejects.toThrow(/2 records.*maxRecords/);
    expect(await store.read(one, callAt(START))).not.toBeNull();
    expect(await store.read(two, callAt(START))).not.toBeNull();
    expect(await store.read(three, callAt(START))).toBeNull();
    expect(await store.create(one, callAt(START))).toBe("exists");
    expect(
      await store.update(one, 1, { touchedAt: START, deadline: START + HOUR, envelope: one.envelope }, callAt(START)),
    ).toBe("updated");
  });

  test("makes room of what is past its deadline, records and tombstones alike", async () => {
    const store = memoryStore({ maxRecords: 2 });
    await store.create(record("expired", START + 1), callAt(START));
    const ended = record("ended", START + 2);
    await store.create(ended, callAt(START));
    await store.delete(ended, { reason: "logout", at: START }, callAt(START));
    await expect(async () => store.create(record("early", START + HOUR), callAt(START))).rejects.toThrow(/full/);
    expect(await store.create(record("new", START + HOUR), callAt(START + 1))).toBe("created");
    expect(await store.create(record("newer", START + HOUR), callAt(START + 2))).toBe("created");
    expect(await store.read(ended, callAt(START + 2))).toBeNull();
  });

  test("refuses copies beyond its limit too", async () => {
    const store = memoryStore({ maxRecords: 1 });
    await store.apply(record("1", START + HOUR), callAt(START));
    await expect(async () => store.apply(record("2", START + HOUR), callAt(START))).rejects.toThrow(/full/);
    expect(await store.apply({ ...record("1", START + HOUR), version: 2 }, callAt(START))).toBe(true);
  });

  test("is refused a limit that is no positive integer", () => {
    for (const maxRecords of [0, -1, 1.5, Number.NaN, Infinity]) {
      expect(() => memoryStore({ maxRecords })).toThrow(/maxRecords/);
    }
  });
});
