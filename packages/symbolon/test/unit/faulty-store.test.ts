import { canPrune, hasOwnerIndex, type StoredRecord, StoreUnavailableError } from "symbolon";
import { memoryStore } from "symbolon/stores/memory";
import { faultyStore, manualClock } from "symbolon/testing";
import { describe, expect, test } from "vitest";

const NOW = Date.UTC(2026, 0, 1);

function callAt(signal: AbortSignal = new AbortController().signal) {
  return { now: NOW, signal };
}

const record: StoredRecord = {
  space: "space",
  route: 1,
  lookup: "lookup",
  owner: null,
  tenant: null,
  createdAt: NOW,
  touchedAt: NOW,
  deadline: NOW + 3_600_000,
  version: 1,
  envelope: Buffer.from("envelope"),
  data: null,
};

describe("faultyStore", () => {
  test("is the inner store until it is told otherwise", () => {
    const inner = memoryStore();
    const { store, calls } = faultyStore(inner);
    expect(store.create(record, callAt())).toBe("created");
    expect(inner.read(record, callAt())).toMatchObject({ version: 1 });
    expect(hasOwnerIndex(store) && canPrune(store)).toBe(true);
    expect("close" in store).toBe(false);
    expect(calls).toEqual([{ method: "create" }]);
  });

  test("fails so many calls, which do nothing", async () => {
    const { store, fail } = faultyStore(memoryStore());
    fail(2);
    await expect(async () => store.create(record, callAt())).rejects.toThrow(StoreUnavailableError);
    await expect(async () => store.read(record, callAt())).rejects.toThrow(StoreUnavailableError);
    expect(await store.read(record, callAt())).toBeNull();
  });

  test("loses the answers of writes that it applied, and of no read", async () => {
    const { store, lose, heal } = faultyStore(memoryStore());
    lose();
    await expect(async () => store.create(record, callAt())).rejects.toThrow(StoreUnavailableError);
    expect(await store.read(record, callAt())).toMatchObject({ version: 1 });
    await expect(async () => store.delete(record, { reason: "x", at: NOW }, callAt())).rejects.toThrow(/lost/);
    heal();
    expect(await store.delete(record, { reason: "x", at: NOW }, callAt())).toBe(false);
  });

  test("hangs until the caller gives up or it is healed", async () => {
    const { store, hang, heal } = faultyStore(memoryStore());
    hang();
    const controller = new AbortController();
    const given = Promise.resolve(store.create(record, callAt(controller.signal)));
    const healed = Promise.resolve(store.create(record, callAt()));
    const aborted = Promise.resolve(store.create(record, callAt(AbortSignal.abort())));
    await expect(aborted).rejects.toThrow(StoreUnavailableError);
    controller.abort();
    await expect(given).rejects.toThrow(StoreUnavailableError);
    heal();
    await expect(healed).rejects.toThrow(StoreUnavailableError);
    expect(await store.read(record, callAt())).toBeNull();
  });

  test("hangs for ever when it is deaf", async () => {
    const { store, hang, heal } = faultyStore(memoryStore());
    hang({ deaf: true });
    let settled = false;
    const settle = () => {
      settled = true;
    };
    Promise.resolve(store.read(record, callAt(AbortSignal.abort()))).then(settle, settle);
    heal();
    expect(await store.read(record, callAt())).toBeNull();
    await new Promise((resolve) => setImmediate(resolve));
    expect(settled).toBe(false);
  });

  test("lets calls start when the hook lets them, and fails them when it rejects", async () => {
    const { store, before } = faultyStore(memoryStore());
    let open: (() => void) | undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    before((method) => (method === "create" ? opened : Promise.reject(new Error(`not ${method}`))));
    const creation = Promise.resolve(store.create(record, callAt()));
    await expect(async () => store.read(record, callAt())).rejects.toThrow("not read");
    open?.();
    expect(await creation).toBe("created");
  });

  test("starts late, and not at all when the caller gives up first", async () => {
    const { store, delay, heal } = faultyStore(memoryStore());
    delay(1);
    expect(await store.create(record, callAt())).toBe("created");
    delay(60_000);
    const controller = new AbortController();
    const late = Promise.resolve(store.delete(record, { reason: "x", at: NOW }, callAt(controller.signal)));
    controller.abort();
    await expect(late).rejects.toThrow(/late/);
    heal();
    expect(await store.read(record, callAt())).toMatchObject({ version: 1 });
  });
});

describe("manualClock", () => {
  test("stands still until it is moved, either way", () => {
    const clock = manualClock(NOW);
    expect([clock.now(), clock.now()]).toEqual([NOW, NOW]);
    clock.advance(5);
    expect(clock.now()).toBe(NOW + 5);
    clock.advance(-10);
    expect(clock.now()).toBe(NOW - 5);
    clock.set(7);
    expect(clock.now()).toBe(7);
    expect(manualClock().now()).toBe(manualClock().now());
  });
});
